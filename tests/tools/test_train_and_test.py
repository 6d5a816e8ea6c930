"""The tools as users call them, from video files to pictures."""

import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import mmaction
import mmengine
import pytest
import torch

from tests.conftest import DEMO_CONFIG, ROOT, TOOL_ENVIRONMENT


def free_port():
    with socket.socket() as probe:
        probe.bind(('127.0.0.1', 0))
        return str(probe.getsockname()[1])


def weights(work_dir, epoch):
    checkpoint = torch.load(work_dir / f'epoch_{epoch}.pth', weights_only=False)
    return checkpoint['state_dict']


def test_train_test_and_draw(tool, demo_options, clips, tmp_path):
    work_dir, result = tmp_path / 'run', tmp_path / 'run' / 'result.pkl'
    tool('train.py', DEMO_CONFIG, '--work-dir', work_dir, *demo_options())
    assert (work_dir / 'last_checkpoint').read_text() == 'epoch_3.pth'

    process = tool(
        'test.py', DEMO_CONFIG, work_dir, '--work-dir', work_dir, '--dump', result,
        '--show-dir', tmp_path / 'shown', '--interval', 4, *demo_options(),
    )  # fmt: skip
    assert 'acc/top1' in process.stdout + process.stderr
    results = mmengine.load(result)
    assert len(results) == 8
    assert [int(r['gt_label']) for r in results] == list(range(8))
    for r in results:
        assert r['pred_score'].shape == (8,)
        assert float(r['pred_score'].sum()) == pytest.approx(1, abs=1e-4)
        assert int(r['pred_label']) == int(r['pred_score'].argmax())
    # samples 0 and 4, all frames of their first view
    assert len(list((tmp_path / 'shown').rglob('*.png'))) == 2 * 8

    tool('analysis/draw_curves.py', work_dir)
    process = tool(
        'analysis/draw_predictions.py', DEMO_CONFIG, result,
        '--classes', clips / 'classes.txt', *demo_options(),
    )  # fmt: skip
    top1 = sum(int(r['pred_label']) == int(r['gt_label']) for r in results) / 8
    assert f'top-1 {top1:.3f}' in process.stdout
    for name in ('curves.png', 'predictions.png'):
        assert (work_dir / name).stat().st_size > 10_000


def test_kinetics_config_trains_and_tests(tool, clips, tmp_path):
    """The 16x4x1 recipe for a shallow network and few videos, as the pages say."""
    leaf = 'videomambapro-tiny-p16_16x4x1_kinetics400-rgb.py'
    config = tmp_path / 'config.py'
    config.write_text(
        f"_base_ = 'mmaction_videomambapro::recognition/videomambapro/{leaf}'\n"
        'model = dict(\n'
        '    backbone=dict(arch=dict(_delete_=True, embed_dims=32, depth=1)),\n'
        '    cls_head=dict(in_channels=32),\n'
        ')\n'
        'custom_hooks = [\n'
        "    *_base_.custom_hooks, dict(type='EMAHook', momentum=1e-4)\n"
        ']\n'
    )
    videos = (clips / 'val_videos.txt').read_text().splitlines()[:2]
    (tmp_path / 'list.txt').write_text('\n'.join(videos) + '\n')
    options = [
        'train_cfg.max_epochs=2', 'param_scheduler.0.end=1',
        'param_scheduler.1.begin=1', 'optim_wrapper.accumulative_counts=2',
        'model.backbone.with_cp=True', 'load_from=None',
        'train_dataloader.sampler.weights=class_balanced',
    ]  # fmt: skip
    for split in ('train', 'val', 'test'):
        loader = f'{split}_dataloader'
        options += [
            f'{loader}.num_workers=1',
            f'{loader}.batch_size=1',
            f'{loader}.dataset.ann_file={tmp_path}/list.txt',
            f'{loader}.dataset.data_prefix.video={clips}',
        ]
    options = ['--work-dir', tmp_path, '--cfg-options', *options]
    tool('train.py', config, *options)
    tool('test.py', config, tmp_path / 'epoch_2.pth', '--dump',
         tmp_path / 'result.pkl', *options)  # fmt: skip
    results = mmengine.load(tmp_path / 'result.pkl')
    assert [len(r['pred_score']) for r in results] == [400, 400]
    checkpoint = torch.load(tmp_path / 'epoch_2.pth', weights_only=False)
    assert 'ema_state_dict' in checkpoint
    assert checkpoint['meta']['dataset_meta']['classes'][399] == 'zumba'


def test_killed_and_resumed_equals_uninterrupted(tool, demo_options, tmp_path):
    """Same weights, bit for bit, with random crops, dropped paths, other workers."""
    options = demo_options('model.backbone.drop_path_rate=0.3',
                           'default_hooks.checkpoint.max_keep_ckpts=3',
                           'train_cfg.max_epochs=4')  # fmt: skip
    whole, broken = tmp_path / 'whole', tmp_path / 'broken'
    tool('train.py', DEMO_CONFIG, '--no-validate', '--work-dir', whole, *options)

    command = [sys.executable, ROOT / 'tools/train.py', DEMO_CONFIG, '--no-validate',
               '--work-dir', broken, *options]  # fmt: skip
    process = subprocess.Popen(
        list(map(str, command)), cwd=ROOT, stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )  # fmt: skip
    deadline = time.time() + 120
    last = broken / 'last_checkpoint'
    while time.time() < deadline:
        if last.is_file() and last.read_text().endswith('.pth'):
            break
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not (broken / 'epoch_4.pth').exists(), 'killed too late to prove anything'

    tool('train.py', DEMO_CONFIG, '--no-validate', '--work-dir', broken, '--resume',
         *options, 'train_dataloader.num_workers=3')  # fmt: skip
    expected, resumed = weights(whole, 4), weights(broken, 4)
    for key, value in expected.items():
        assert torch.equal(resumed[key], value), key


def forks(pid):
    """The children that are still the same program, so not the git of a checkpoint."""

    def program(process):
        with suppress(OSError):
            return Path(f'/proc/{process}/cmdline').read_bytes()

    children = Path(f'/proc/{pid}/task/{pid}/children').read_text().split()
    return [child for child in children if program(child) == program(pid)]


def test_a_signal_ends_all_processes_of_the_only_run(tool, demo_options, tmp_path):
    options = demo_options(
        'train_cfg.max_epochs=1000', 'train_dataloader.num_workers=2',
        'train_dataloader.persistent_workers=True',
    )  # fmt: skip
    command = [DEMO_CONFIG, '--no-validate', '--work-dir', tmp_path, *options]
    with subprocess.Popen(
        [sys.executable, ROOT / 'tools/train.py', *map(str, command)], cwd=ROOT,
        env={**os.environ, **TOOL_ENVIRONMENT}, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        shown = []
        for line in process.stdout:
            shown.append(line)
            if 'Epoch(train)' in line:
                break
        assert len(shown) < 12, 'pages before the first useful line'
        second = tool('train.py', *command, check=False)
        assert second.returncode == 2
        assert f'{tmp_path} is in use by process {process.pid}' in second.stderr
        workers = forks(process.pid)
        assert len(workers) == 2
        process.terminate()
        _, error = process.communicate(timeout=60)
    assert process.returncode == 128 + signal.SIGTERM
    assert error == 'train.py: error: ended by SIGTERM\n'
    assert not any(Path(f'/proc/{pid}').exists() for pid in workers)


def test_two_processes_equal_one(tool, demo_options, tmp_path):
    """Two gloo processes with half the batch each take the same steps and crops."""
    config = tmp_path / 'config.py'
    config.write_text(
        f"_base_ = '{ROOT / DEMO_CONFIG}'\n"
        "optim_wrapper = dict(optimizer=dict(_delete_=True, type='SGD', lr=0.1))\n"
    )
    common = ['--no-validate', '--seed', '3']
    one, two = tmp_path / 'one', tmp_path / 'two'
    env = dict(PYTHON=sys.executable, PORT=free_port(), OMP_NUM_THREADS='1')
    tool('train.py', config, *common, '--work-dir', one, *demo_options())
    tool(
        'dist_train.sh', config, 2, *common, '--work-dir', two,
        *demo_options('train_dataloader.batch_size=2'), command=['bash'],
        env=env,
    )  # fmt: skip
    expected, parallel = weights(one, 3), weights(two, 3)
    for key, value in expected.items():
        torch.testing.assert_close(parallel[key], value, rtol=1e-4, atol=1e-5, msg=key)
    log = next(two.glob('*/*.log')).read_text()
    assert 'GPU number: 2' in log  # MMEngine's name for the number of processes

    checkpoint = one / 'epoch_3.pth'
    alone, together = tmp_path / 'alone.pkl', tmp_path / 'together.pkl'
    tool('test.py', config, checkpoint, '--work-dir', one, '--dump', alone,
         *demo_options())  # fmt: skip
    tool(
        'dist_test.sh', config, checkpoint, 2, '--work-dir', two, '--dump', together,
        *demo_options('test_dataloader.batch_size=3'), command=['bash'], env=env,
    )  # fmt: skip
    for x, y in zip(mmengine.load(alone), mmengine.load(together), strict=True):
        assert torch.equal(x['gt_label'], y['gt_label'])
        torch.testing.assert_close(x['pred_score'], y['pred_score'])


def test_stock_config_trains_through_mmaction2(demo_options, tmp_path):
    """Only custom_imports is ours; tool, base and pipeline are MMAction2's."""
    stock = os.path.join(mmaction.__path__[0], '.mim')
    config = tmp_path / 'config.py'
    config.write_text(
        f"_base_ = '{stock}/configs/_base_/default_runtime.py'\n"
        + (ROOT / DEMO_CONFIG)
        .read_text()
        .replace("_base_ = '../_base_/default_runtime.py'", '')
        .replace('SeededSampler', 'DefaultSampler')
        .replace('VideoClsDataset', 'VideoDataset')
        .replace('VideoInit', 'DecordInit')
        .replace('VideoDecode', 'DecordDecode')
        + "\ncustom_imports = dict(imports=['mmaction_videomambapro'])\n"
    )
    for arguments in ((), ('--resume', '--amp')):
        process = subprocess.run(
            [sys.executable, f'{stock}/tools/train.py', str(config), '--work-dir',
             str(tmp_path), *arguments, *demo_options(
                 f'train_cfg.max_epochs={3 + len(arguments)}')],
            cwd=tmp_path, capture_output=True, text=True, timeout=300,
        )  # fmt: skip
        assert process.returncode == 0, process.stderr
    assert (tmp_path / 'epoch_5.pth').is_file()


@pytest.mark.parametrize('dtype', [['--amp'], ['--amp', 'fp16']])
def test_mixed_precision_on_a_cpu(tool, demo_options, tmp_path, dtype):
    tool('train.py', DEMO_CONFIG, '--work-dir', tmp_path,
         *demo_options(), *dtype)  # fmt: skip
    config = next(tmp_path.glob('*.py')).read_text()
    assert ('float16' if 'fp16' in dtype else 'bfloat16') in config
    state = weights(tmp_path, 3)
    assert all(v.isfinite().all() for v in state.values())


@pytest.mark.parametrize(
    ('name', 'arguments', 'message'),
    [
        ('train.py', ['nowhere.py'], 'config file nowhere.py does not exist'),
        ('train.py', [DEMO_CONFIG, '--cfg-options',
                      'train_dataloader.dataset.ann_file=no.txt'],
         'annotation file no.txt (train_dataloader.dataset.ann_file) does not exist'),
        ('train.py', [DEMO_CONFIG, '--cfg-options', 'train_cfg.max_epochs=1'],
         'param_scheduler.1 begins after epoch 1, but there are only train_cfg'),
        ('train.py', [DEMO_CONFIG, '--cfg-options',
                      'model.backbone.init_cfg.type=Pretrained',
                      'model.backbone.init_cfg.checkpoint=no.pth'],
         'checkpoint no.pth (model.backbone.init_cfg.checkpoint) does not exist'),
        ('test.py', [DEMO_CONFIG, 'no.pth'], 'checkpoint no.pth does not exist'),
        ('test.py', [DEMO_CONFIG, 'no.pth', '--dump', 'x.txt'], 'must end in .pkl'),
        ('analysis/draw_curves.py', ['nowhere'], 'holds no */vis_data/scalars.json'),
        ('analysis/compare_runs.py', ['nowhere'], 'holds no */vis_data/scalars.json'),
        ('data/make_demo_clips.py', ['tests'], 'does not contain these demo clips'),
    ],
)  # fmt: skip
def test_wrong_arguments_end_in_one_line(tool, name, arguments, message):
    process = tool(name, *arguments, check=False)
    assert process.returncode == 2
    assert message in process.stderr
    assert 'Traceback' not in process.stderr
    assert len(process.stderr.strip().splitlines()) == 1


def test_malicious_checkpoint_ends_in_one_line(tool, demo_options, tmp_path):
    class Attack:
        def __reduce__(self):
            return os.system, (f'touch {tmp_path}/victim',)

    torch.save(dict(state_dict=Attack()), tmp_path / 'malicious.pth')
    process = tool('test.py', DEMO_CONFIG, tmp_path / 'malicious.pth', '--work-dir',
                   tmp_path, *demo_options(), check=False)  # fmt: skip
    assert process.returncode == 2
    last = process.stderr.strip().splitlines()[-1]
    assert 'malicious.pth was refused' in last
    assert 'Traceback' not in process.stderr
    assert not (tmp_path / 'victim').exists()


@pytest.mark.parametrize(
    'script', ['dist_train.sh', 'dist_test.sh', 'slurm_train.sh', 'slurm_test.sh']
)
def test_scripts_print_their_usage(tool, script):
    process = tool(script, check=False, command=['bash'])
    assert process.returncode == 2
    assert process.stderr.startswith('usage:')


def test_slurm_script_calls_srun(tool, tmp_path):
    srun = tmp_path / 'srun'
    srun.write_text('#!/usr/bin/env bash\nprintf "%s\\n" "$@"\n')
    srun.chmod(0o755)
    path = f'{tmp_path}{os.pathsep}{os.environ["PATH"]}'
    out = tool(
        'slurm_train.sh', 'part', 'job', 'a config.py', '--amp', command=['bash'],
        env=dict(PATH=path, GPUS='16', SRUN_ARGS='--qos=high --time=1'),
    ).stdout.splitlines()  # fmt: skip
    assert {'--partition=part', '--ntasks=16', '--qos=high', '--time=1'} <= set(out)
    assert out[-4:] == ['a config.py', '--launcher', 'slurm', '--amp']
