from .adapt_checkpoint_hook import AdaptCheckpointHook
from .broken_files_hook import BrokenFilesHook
from .epoch_seed_hook import EpochSeedHook

__all__ = ['AdaptCheckpointHook', 'BrokenFilesHook', 'EpochSeedHook']
