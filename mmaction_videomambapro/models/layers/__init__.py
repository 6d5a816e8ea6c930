from .block import MambaBlock
from .mixer import MaskedResidualBiMamba

__all__ = ['MambaBlock', 'MaskedResidualBiMamba']
