"""What MMEngine expects of every package."""

from mmengine.hub import get_model

from mmaction_videomambapro.models import VideoMambaPro


def test_models_come_from_the_hub_by_their_config():
    config = 'demo/videomambapro-nano_8x2x1-15e_demo-clips-rgb.py'
    model = get_model(f'mmaction_videomambapro::{config}')
    assert isinstance(model.backbone, VideoMambaPro)
