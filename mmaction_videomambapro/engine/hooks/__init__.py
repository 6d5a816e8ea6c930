from .adapt_checkpoint_hook import AdaptCheckpointHook
from .broken_files_hook import BrokenFilesHook
from .clip_visualization_hook import ClipVisualizationHook
from .epoch_seed_hook import EpochSeedHook
from .finite_loss_hook import FiniteLossHook
from .pretraining_curves_hook import PretrainingCurvesHook
from .probe_choice_hook import ProbeChoiceHook
from .resume_hook import ResumeHook

__all__ = [
    'AdaptCheckpointHook',
    'BrokenFilesHook',
    'ClipVisualizationHook',
    'EpochSeedHook',
    'FiniteLossHook',
    'PretrainingCurvesHook',
    'ProbeChoiceHook',
    'ResumeHook',
]
