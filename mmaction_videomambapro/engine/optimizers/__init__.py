from . import guarded, layer_decay, probe_grid

__all__ = ['guarded', 'layer_decay', 'probe_grid']
