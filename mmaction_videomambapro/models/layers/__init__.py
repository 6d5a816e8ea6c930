from .block import MambaBlock, init_blocks
from .mixer import MaskedResidualBiMamba

__all__ = ['MambaBlock', 'MaskedResidualBiMamba', 'init_blocks']
