"""Prediction: clips per second beside what decoding and the model take, and its start.

    python benchmarks/predict.py CHECKPOINT LIST
    python benchmarks/predict.py work_dirs/demo data/demo_clips/val_videos.txt

Rates are of one process without workers, so that they add up: decoding and the rest of
the pipeline alone, the model alone on the same batches, and the loop of predict.py. The
start is that of tools/predict.py with one clip, beside that of a process which imports
what any tool with a model needs: PyTorch, and MMAction2's models and datasets. Medians.
"""

from __future__ import annotations

import argparse
import io
import subprocess
import sys
import time
from contextlib import redirect_stdout
from functools import partial
from statistics import median

import torch
from common import header, machine, row

from mmaction_videomambapro.apis import VideoInferencer
from mmaction_videomambapro.apis.inputs import find_inputs
from mmaction_videomambapro.apis.predict import predict

# with our patches, without which MMAction2 cannot be imported beside today's libraries
IMPORTS = 'import mmaction_videomambapro, mmaction.apis, mmaction.datasets'


def seconds(function) -> float:
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


def process(*command: str) -> None:
    subprocess.run([sys.executable, *command], check=True, capture_output=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or '').split('\n')[0])
    parser.add_argument('checkpoint')
    parser.add_argument('videos')
    parser.add_argument('--repeats', type=int, default=5)
    args = parser.parse_args()
    print(machine())

    inferencer = VideoInferencer(args.checkpoint)
    inferencer.num_workers = 0
    inputs, size = find_inputs(args.videos), inferencer.batch_size
    batches: list = []

    def decode():
        batches.clear()
        for i in range(0, len(inputs), size):
            samples = [inferencer.pipeline(x) for x in inputs[i : i + size]]
            batches.append(inferencer.collate_fn(samples))

    @torch.no_grad()
    def run_model():
        for batch in batches:
            inferencer.model.test_step(batch)

    def whole():
        ask = partial(inferencer.answers, batch_size=size)
        with redirect_stdout(io.StringIO()):
            predict(ask, inputs, size)

    decode()
    run_model()  # compiles kernels
    times = [
        [seconds(f) for f in (decode, run_model, whole)] for _ in range(args.repeats)
    ]
    decoding, model, both = map(median, zip(*times))
    share = median((a + b) / c for a, b, c in times)
    header('', 'clips per second')
    row('decoding and pipeline alone', len(inputs) / decoding)
    row('model alone', len(inputs) / model)
    row('one after the other', len(inputs) / (decoding + model))
    row('predict', len(inputs) / both)
    print(f'\npredict reaches {share:.2f} of one after the other')

    tool = ['tools/predict.py', args.checkpoint, inputs[0].name]
    imports, starts = zip(
        *(
            [seconds(partial(process, '-c', IMPORTS)), seconds(partial(process, *tool))]
            for _ in range(args.repeats)
        )
    )
    print(f'\nstart with one clip: {median(starts):.2f} s')
    print(f'importing PyTorch and MMAction2: {median(imports):.2f} s')


if __name__ == '__main__':
    main()
