"""Deployment: one clip, and 12 views, in PyTorch and in every exported file.

    python benchmarks/deployment.py
    python benchmarks/deployment.py --arch tiny --frames 8 --views 1 12

Prints, for features of VideoMambaPro from frames of 224 x 224 pixels: the time of a
view, that of PyTorch's kernels being 1; how far a process grows that opens the model
and runs it, with PyTorch and ONNX Runtime imported; the size of the file; and the
difference from PyTorch in float32, relative to the norm. PyTorch is measured in a plain
program and in one that keeps freed memory, as the tools do (engine/memory.py). Each row
is a process of its own. Weights are random, but remember for long
(weight_init='mamba'): where states are forgotten within a few tokens, errors would be
as well. On 2 cores, it takes 20 minutes.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import NamedTuple

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime
import torch
from common import header, machine, megabytes, milliseconds, row
from mmengine.logging import MMLogger

from mmaction_videomambapro.deploy.export import relative_error
from mmaction_videomambapro.deploy.frames import FramesModel
from mmaction_videomambapro.deploy.graph import graph_of, lower
from mmaction_videomambapro.deploy.lowerings import LOWERINGS
from mmaction_videomambapro.deploy.metadata import Metadata
from mmaction_videomambapro.deploy.precision import store
from mmaction_videomambapro.deploy.session import INPUT, OnnxModel
from mmaction_videomambapro.engine.memory import keep_freed_memory
from mmaction_videomambapro.ops.backends import FORCE_VARIABLE


class Case(NamedTuple):
    arch: str
    frames: int
    views: int

    def __str__(self):
        return f'{self.arch}, {self.frames} frames, views: {self.views}'


CASES = [
    Case('tiny', 8, 1),
    Case('tiny', 8, 12),  # 4 clips x 3 crops
    Case('tiny', 16, 1),
    Case('small', 8, 1),
    Case('small', 16, 1),
]
KERNELS = 'PyTorch'
WAYS = {
    KERNELS: KERNELS,
    'keeping': 'PyTorch, freed memory kept',
    'compiled': 'the same, torch.compile',
    'bfloat16': 'the same, bfloat16 autocast',
    'chunked': 'the same, plain chunks',
}
STANDARD = CASES[:1]  # more would take longer than all the rest

Run = Callable[[np.ndarray], np.ndarray]


def build(case: Case) -> FramesModel:
    """The same weights in every process."""
    from mmaction.registry import MODELS
    from mmaction.utils import register_all_modules

    register_all_modules()
    MMLogger.get_current_instance().setLevel('WARNING')  # it logs to stdout
    torch.manual_seed(0)
    recognizer = MODELS.build(
        dict(
            type='Recognizer3D',
            backbone=dict(
                type='VideoMambaPro',
                arch=case.arch,
                num_frames=case.frames,
                weight_init='mamba',
            ),
            data_preprocessor=dict(
                type='ActionDataPreprocessor',
                mean=[123.675, 116.28, 103.53],
                std=[58.395, 57.12, 57.375],
                format_shape='NCTHW',
            ),
        )
    )
    recognizer.init_weights()
    return FramesModel(recognizer.eval(), features=True)


def pytorch(case: Case, way: str) -> Run:
    if way != KERNELS:
        keep_freed_memory()
    if way == 'chunked':
        os.environ[FORCE_VARIABLE] = 'chunked'
    model = build(case)
    compute = torch.compile(model) if way == 'compiled' else model

    @torch.inference_mode()
    def run(frames):
        with torch.autocast('cpu', torch.bfloat16, enabled=way == 'bfloat16'):
            return compute(torch.from_numpy(frames)).float().numpy()

    return run


def exported(path: str) -> Run:
    return OnnxModel(path, torch.get_num_threads()).run


def export(case: Case, folder: Path) -> None:
    """A file for each lowering: tracing takes long, lowering does not."""
    size = case.frames, 224, 224, 3
    example = torch.zeros(2, 2, *size, dtype=torch.uint8)
    graph = graph_of(build(case), example, (INPUT, 'features'))
    content = ir.to_proto(graph).SerializeToString()
    for lowering in LOWERINGS:
        graph = ir.from_proto(onnx.ModelProto.FromString(content))
        lower(graph, lowering)
        graph.metadata_props.update(
            Metadata(lowering=lowering, precision='float32').to_props()
        )
        onnx.save_model(ir.to_proto(graph), file_of(case, folder, lowering))


def file_of(case: Case, folder: Path, name: str) -> str:
    return str(folder / f'{case.arch}-{case.frames}-{name}.onnx')


def figures(opening: Callable[[], Run], case: Case, expected: Path) -> list[float]:
    """Milliseconds of a view, megabytes and error.

    What is expected is what PyTorch computes, which is the first row.
    """
    rng = np.random.default_rng(0)
    frames = rng.integers(
        256, size=(1, case.views, case.frames, 224, 224, 3), dtype=np.uint8
    )
    run: Run
    found: np.ndarray

    def first():
        nonlocal run, found
        run = opening()
        found = run(frames)

    import mmaction.models  # noqa: F401, imported in all rows, before memory counts

    memory = megabytes(first)
    time = milliseconds(lambda: run(frames)) / case.views
    if not expected.exists():
        np.save(expected, found)
    return [time, memory, relative_error(found, np.load(expected))]


def fresh(function: Callable, *args):
    """Call a function in a process of its own."""
    with ProcessPoolExecutor(1, get_context('spawn')) as pool:
        return pool.submit(function, *args).result()


def smaller(path: str) -> str:
    """The same file with weights of 8 bits."""
    model = onnx.load_model(path)
    store(model.graph, 'int8')
    out = path.replace('.onnx', '-int8.onnx')
    onnx.save_model(model, out)
    return out


def compare(case: Case, folder: Path) -> None:
    """The rows of a case."""
    expected = folder / f'{"-".join(map(str, case))}.npy'
    times: dict[str, float] = {}

    def measure(name, opening, path=None):
        try:
            time, memory, error = fresh(figures, opening, case, expected)
        except Exception as reason:  # no compiler, an operator that is missing, memory
            return row(case, name, (str(reason).split('\n')[0])[:80], *('',) * 4)
        times[name] = time
        file = os.path.getsize(path) / 1e6 if path else ''
        ratio = time / times[KERNELS] if KERNELS in times else ''
        return row(case, name, time, ratio, memory, file, f'{error:.0e}')

    for way, name in WAYS.items():
        measure(name, partial(pytorch, case, way))
    if not Path(file_of(case, folder, 'scan')).exists():
        fresh(export, case, folder)
    files = {name: file_of(case, folder, name) for name in LOWERINGS}
    for name, path in files.items():
        if name != 'standard' or case in STANDARD:
            measure(name, partial(exported, path), path)
    fastest = min((x for x in files if x in times), key=times.__getitem__)
    path = smaller(files[fastest])
    measure(f'{fastest}, int8', partial(exported, path), path)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or '').split('\n')[0])
    for name in Case._fields:
        known = sorted({getattr(case, name) for case in CASES})
        parser.add_argument(f'--{name}', nargs='+', type=type(known[0]), default=known)
    args = parser.parse_args()
    print(f'{machine()}, onnxruntime {onnxruntime.__version__}\n')
    header(
        'VideoMambaPro',
        '',
        'ms',
        'times PyTorch',
        'memory, MB',
        'file, MB',
        'difference',
    )
    with tempfile.TemporaryDirectory() as folder:
        for case in CASES:
            if all(getattr(case, x) in getattr(args, x) for x in Case._fields):
                compare(case, Path(folder))


if __name__ == '__main__':
    main()
