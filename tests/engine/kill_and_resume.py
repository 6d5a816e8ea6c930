"""Kill trainings at random moments, resume them, and compare their weights.

python -m tests.engine.kill_and_resume --kills 40 --seed 0

Each training is killed and resumed until it ends, by SIGKILL: at a random time, or
while a checkpoint is opened, put in place or removed. At no moment may be lost what was
saved before, and in the end the weights are those of an uninterrupted training, bit for
bit.
"""

from __future__ import annotations

import argparse
import copy
import importlib
import os
import random
import signal
import sys
import tempfile
import threading
import time
import traceback
from pathlib import Path

import torch
from mmaction.utils import register_all_modules
from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.runner import Runner, loops

from mmaction_videomambapro.datasets.demo_clips import DemoClips
from mmaction_videomambapro.engine.checkpoints import newest_checkpoint
from tests.conftest import DEMO_CONFIG, ROOT

EVENTS = 'time', 'open', 'os.rename', 'os.remove'
LOOPS = {
    'by epoch': dict(train_cfg=dict(max_epochs=5)),
    'inside an epoch': {
        'train_cfg': dict(max_epochs=5),
        'default_hooks.checkpoint': dict(by_epoch=False, interval=3),
        'optim_wrapper.accumulative_counts': 2,
    },
    'by iteration': {
        'train_cfg': dict(
            _delete_=True, type='IterBasedTrainLoop', max_iters=20, val_interval=8
        ),
        'param_scheduler': [dict(type='CosineAnnealingLR', by_epoch=False)],
        'default_hooks.checkpoint': dict(by_epoch=False, interval=2),
    },
}


def make_config(clips: Path, loop: str) -> Config:
    """A training run of seconds that uses every source of randomness."""
    cfg = Config.fromfile(ROOT / DEMO_CONFIG)
    changes = {
        'model.backbone.arch': dict(embed_dims=32, depth=2),
        'model.backbone.drop_path_rate': 0.3,
        'model.cls_head.in_channels': 32,
        'train_dataloader.batch_size': 4,
        'train_cfg.val_interval': 2,
        'default_hooks.checkpoint.max_keep_ckpts': 1,
        'default_hooks.checkpoint.save_best': 'auto',
        'custom_hooks': [dict(type='EpochSeedHook'), dict(type='EMAHook')],
        'log_level': 'ERROR',
    }
    for split, name in (('train', 'train'), ('val', 'val')):
        dataset = f'{split}_dataloader.dataset'
        changes[f'{dataset}.ann_file'] = str(clips / f'{name}_rawframes.txt')
        changes[f'{dataset}.data_prefix'] = dict(_delete_=True, img=str(clips))
        changes[f'{dataset}.type'] = 'RawframeDataset'
        changes[f'{split}_dataloader.num_workers'] = 0
    cfg.merge_from_dict({**changes, **copy.deepcopy(LOOPS[loop])})
    for split in ('train', 'val'):
        pipeline = cfg[f'{split}_dataloader'].dataset.pipeline
        steps = [step for step in pipeline if step.type != 'VideoInit']
        for step in steps:
            if step.type == 'VideoDecode':
                step.type = 'RawFrameDecode'
        cfg[f'{split}_dataloader'].dataset.pipeline = steps
    return cfg


def train(cfg: Config, work_dir: Path, death: tuple | None) -> bool:
    """Train in a separate process; True if it finished."""
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            silence = os.open(os.devnull, os.O_WRONLY)
            os.dup2(silence, 1)
            cfg = cfg.copy()
            cfg.work_dir, cfg.resume = str(work_dir), 'auto'
            runner = Runner.from_cfg(cfg)
            if death:
                runner.register_hook(Death(*death))
            runner.train()
            code = 0
        except Exception:
            traceback.print_exc()
        finally:
            os._exit(code)
    _, status = os.waitpid(pid, 0)
    if os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL:
        return False
    if status:
        raise AssertionError(f'the training in {work_dir} ended with {status}')
    return True


class Death(Hook):
    """SIGKILL some time after an event of a checkpoint, the count-th one.

    Args:
        event (str): 'time', from the first iteration on, or an audit event.
        count (int): How often that happens before.
        delay (float): Seconds from there on.
    """

    def __init__(self, event: str, count: int, delay: float) -> None:
        self.event, self.count, self.delay = event, count, delay

    def before_train_epoch(self, runner) -> None:
        if self.event == 'time':
            self.event = None
            self.die()
        elif self.event:
            self.awaited, self.event = self.event, None
            sys.addaudithook(self.listen)

    def listen(self, event, arguments) -> None:
        if event != self.awaited or not is_checkpoint(arguments[0]):
            return
        if event == 'open' and not arguments[2] & (os.O_WRONLY | os.O_RDWR):
            return
        if self.count == 0:
            self.die()
        self.count -= 1

    def die(self) -> None:
        if self.delay:
            timer = threading.Timer(self.delay, os.kill, (os.getpid(), signal.SIGKILL))
            timer.daemon = True
            timer.start()
        else:
            os.kill(os.getpid(), signal.SIGKILL)


def is_checkpoint(path) -> bool:
    name = os.path.basename(path) if isinstance(path, str) else ''
    return '.pth' in name or 'last_checkpoint' in name


def iteration(work_dir: Path) -> int:
    """The iteration of the newest complete checkpoint."""
    newest = newest_checkpoint(work_dir)
    return torch.load(newest, weights_only=False)['meta']['iter'] if newest else 0


def result(work_dir: Path) -> tuple[dict, list[str]]:
    """The final weights and averages, and the names of the checkpoints."""
    content = torch.load(newest_checkpoint(work_dir), weights_only=False)
    names = [p.name for p in work_dir.iterdir() if is_checkpoint(str(p))]
    state = {f'{part}.{key}': value
             for part in ('state_dict', 'ema_state_dict')
             for key, value in content[part].items()}  # fmt: skip
    return state, sorted(names)


def random_death(rng: random.Random, duration: float) -> tuple:
    event = rng.choice(EVENTS)
    if event == 'time':
        return event, 0, rng.uniform(0, duration)
    # nothing, or a part of the milliseconds that a checkpoint takes
    return event, rng.randrange(4), rng.choice([0, rng.uniform(0, 0.004)])


def kill_and_resume(folder: Path, kills: int, seed: int) -> dict[str, int]:
    """Kill as often as said, in one loop after the other; returns counts by event.

    Raises:
        AssertionError: If something was lost, or the weights differ.
    """
    register_all_modules()  # once, not in each process, like the imports of optimizers
    importlib.import_module('torch._dynamo')
    clips = folder / 'clips'
    DemoClips(train=16, val=8, frames=20).make(clips)
    rng = random.Random(seed)
    expected, deaths, halves = {}, {}, 0
    loops.time.sleep = lambda seconds: None  # two of them, after every epoch
    training = 0
    while sum(deaths.values()) < kills:
        loop = list(LOOPS)[(seed + training) % len(LOOPS)]
        training += 1
        cfg = make_config(clips, loop)
        if loop not in expected:
            whole, begin = folder / f'whole {loop}', time.time()
            train(cfg, whole, None)
            expected[loop] = (*result(whole), time.time() - begin)
        state, names, duration = expected[loop]
        work_dir, saved = folder / f'broken {training}', 0
        while sum(deaths.values()) < kills:
            death = random_death(rng, duration)
            if train(cfg, work_dir, death):
                break
            deaths[death[0]] = deaths.get(death[0], 0) + 1
            left = [p for p in work_dir.iterdir() if p.name.startswith('.')]
            halves += len(left)
            now = iteration(work_dir)
            assert now >= saved, f'{work_dir}: iteration {saved} was lost'
            saved = now
            print(f'{loop}: killed {death}, {now} iterations are safe', flush=True)
        else:
            train(cfg, work_dir, None)
        resumed, resumed_names = result(work_dir)
        assert resumed_names == names, (work_dir, resumed_names, names)
        for key, value in state.items():
            assert torch.equal(resumed[key], value), f'{work_dir}: {key} differs'
        print(f'{loop}: the same weights, {len(state)} tensors', flush=True)
    return {**deaths, 'trainings': training, 'files left in halves': halves}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--kills', type=int, default=40)
    parser.add_argument('--seed', type=int, default=0)
    args = parser.parse_args()
    os.environ['CUDA_VISIBLE_DEVICES'] = ''  # forks cannot use what their parent does
    with tempfile.TemporaryDirectory() as folder:
        counts = kill_and_resume(Path(folder), args.kills, args.seed)
    print(', '.join(f'{name}: {count}' for name, count in counts.items()))


if __name__ == '__main__':
    main()
