"""Options that do not fit the config are refused in one sentence."""

import pytest

from mmaction_videomambapro.apis.cli import build_runner, refusing_configs
from mmaction_videomambapro.configs import merge_options, read_config
from mmaction_videomambapro.errors import UsageError
from tests.conftest import DEMO_CONFIG, ROOT


@pytest.mark.parametrize(
    ('changes', 'message'),
    [
        ({'model.backbone.frozen_stages': 12},
         r'VideoMambaPro: frozen_stages must be in \[-1, 4\], but got 12'),
        ({'model.backbone.typo': 1}, "VideoMambaPro: .* keyword argument 'typo'"),
        ({'model.backbone.type': 'Nothing'}, 'Nothing is not in the .*model registry'),
        ({'custom_hooks': [dict(type='EMAHook', begin_iter=1, begin_epoch=1)]},
         'EMAHook: `begin_iter` and `begin_epoch` should not be both'),
    ],
)  # fmt: skip
def test_what_a_class_refuses_is_one_line(changes, message, tmp_path):
    cfg = read_config(ROOT / DEMO_CONFIG)
    merge_options(cfg, changes)
    cfg.update(work_dir=str(tmp_path), experiment_name=f'{tmp_path.name}{message}')
    with pytest.raises(UsageError, match=message) as error, refusing_configs():
        build_runner(cfg)
    assert '\n' not in str(error.value)


def test_faults_of_programs_keep_their_traceback():
    def wrong():
        raise ValueError('mine')

    with pytest.raises(ValueError, match='mine'), refusing_configs():
        wrong()


def test_options_that_lead_nowhere_are_named():
    cfg = read_config(ROOT / DEMO_CONFIG)
    for options in ({'custom_hooks.7.type': 'EMAHook'}, {'num_classes.x': 1}):
        with pytest.raises(UsageError, match=f'--cfg-options {next(iter(options))}='):
            merge_options(cfg, options)
