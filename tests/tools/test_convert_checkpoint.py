"""tools/checkpoints/convert.py, and published files in tools/test.py."""

import torch
from mmaction.registry import MODELS
from mmengine.config import Config, DictAction
from mmengine.registry import init_default_scope

from mmaction_videomambapro.checkpoints.rules import official_name
from tests.conftest import DEMO_CONFIG, ROOT


def official_file(path, options):
    """A file with the keys of the published ones, for the demo's model."""
    init_default_scope('mmaction')
    cfg = Config.fromfile(ROOT / DEMO_CONFIG)
    cfg.merge_from_dict(
        {k: DictAction._parse_iterable(v) for k, v in (o.split('=') for o in options)}
    )
    model = MODELS.build(cfg.model)
    model.init_weights()
    state_dict = {official_name(k): v for k, v in model.state_dict().items()}
    torch.save(dict(model=state_dict), path)
    return state_dict


def test_convert_and_test(tool, demo_options, tmp_path):
    source, result = tmp_path / 'official.pth', tmp_path / 'new' / 'converted.pth'
    options = demo_options()
    state_dict = official_file(source, options[1:])
    process = tool(
        'checkpoints/convert.py', source, result, '--config', DEMO_CONFIG,
        '--to', 'official', *options,
    )  # fmt: skip
    assert f'{len(state_dict)} tensors loaded as they are' in process.stdout
    assert [p.name for p in result.parent.iterdir()] == ['converted.pth']
    converted = torch.load(result, weights_only=True)['model']
    assert converted.keys() == state_dict.keys()
    assert all(torch.equal(converted[key], value) for key, value in state_dict.items())

    process = tool('test.py', DEMO_CONFIG, result, '--work-dir', tmp_path, *options)
    output = process.stdout + process.stderr
    assert 'Checkpoint fitted to the model' in output
    assert 'acc/top1' in output


def test_what_does_not_fit_is_one_line(tool, demo_options, tmp_path):
    source, result = tmp_path / 'official.pth', tmp_path / 'converted.pth'
    official_file(source, demo_options()[1:])
    deeper = demo_options('model.backbone.arch.depth=3')
    process = tool(
        'checkpoints/convert.py', source, result, '--config', DEMO_CONFIG, *deeper,
        check=False,
    )  # fmt: skip
    assert process.returncode == 2
    error = process.stderr.strip().splitlines()[-1]
    assert error.startswith(f'convert.py: error: {source}: it does not fit')
    assert '2 layers of 32 channels against 3 layers of 32 channels' in error
    assert 'Traceback' not in process.stderr
    assert not result.exists()
