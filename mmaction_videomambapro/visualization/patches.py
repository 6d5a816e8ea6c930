"""Patches that let MMAction2 draw the frames that this package decodes."""

import os.path as osp

from ..compat import patch
from ..compat.helpers import replace
from ..datasets.videos import Video


@patch(
    'mmaction.visualization.action_visualizer',
    symptom='pictures of predictions show the frames that decord takes for them',
    until='ActionVisualizer takes a decoder',
)
def _pictures_of_decord(module):
    @replace(module.ActionVisualizer, '_load_video')
    def _load_video(original, self, video, target_resolution=None):
        if isinstance(video, str) and osp.isfile(video):
            with Video(video) as file:
                frames = file.frames(range(len(file)))
            video = [frame[..., ::-1] for frame in frames]
        return original(self, video, target_resolution)
