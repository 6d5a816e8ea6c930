from .attentive_head import AttentiveHead
from .probe_grid import AttentiveProbeGrid

__all__ = ['AttentiveHead', 'AttentiveProbeGrid']
