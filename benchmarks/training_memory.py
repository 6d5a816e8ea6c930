"""What a training step keeps for its backward pass, counted without a GPU.

    python benchmarks/training_memory.py
    python benchmarks/training_memory.py --arch tiny --frames 64

Tensors are fake: they have shapes and types, but no memory. Counted is what autograd
saves in a forward pass under autocast, with the operators of the GPU kernels; the peak
is higher by what is alive for a moment. Beside it is what VideoMamba's published block
saves with mamba-ssm, by formula: mamba-ssm's fused function keeps the projected tokens,
the scan's output, the selected B, C and step sizes before their projection, and states
each 2048 tokens, for each direction on a flipped copy; it computes the convolution and
the step sizes again.
"""

from __future__ import annotations

import argparse
import os

os.environ['TRITON_INTERPRET'] = '1'  # define the kernels' operators without a GPU

import torch
from common import header, row
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.autograd.graph import saved_tensors_hooks

from mmaction_videomambapro.models import VideoMambaPro
from mmaction_videomambapro.ops.backends import BACKENDS, serving

GIB = 2**30
STATES_APART = 2048  # tokens, of mamba-ssm


def saved_bytes(model: torch.nn.Module, clips: torch.Tensor) -> int:
    """Bytes that autograd keeps, weights aside, each storage once."""
    weights = {p.untyped_storage()._cdata for p in model.parameters()}
    kept = {}

    def pack(tensor):
        storage = tensor.untyped_storage()
        kept[storage._cdata] = storage  # alive: a new one cannot take its address
        return tensor

    autocast = torch.autocast('cpu', torch.bfloat16)  # fakes are on a CPU
    with saved_tensors_hooks(pack, lambda x: x), serving(BACKENDS['triton']), autocast:
        result = model(clips)
    del result
    return sum(x.nbytes() for key, x in kept.items() if key not in weights)


def published_mixer_bytes(batch: int, tokens: int, dims: int, states: int) -> int:
    """What the published mixer saves between its two projections, in bfloat16."""
    rank = -(-dims // 16)
    inner = 2 * dims
    # x and z; the output; what is selected, and B and C again as copies
    per_token = 2 * (2 * inner + inner + (rank + 2 * states) + 2 * states)
    apart = -(-tokens // STATES_APART) * 2 * states * inner * 4
    return 2 * batch * (tokens * per_token + apart)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or '').split('\n')[0])
    parser.add_argument('--arch', default='middle', choices=VideoMambaPro.arch_zoo)
    parser.add_argument('--frames', type=int, default=16)
    parser.add_argument('--batch', type=int, default=8)
    args = parser.parse_args()
    shape = args.batch, 3, args.frames, 224, 224
    header(f'{args.arch}, {args.frames} frames, batch {args.batch}', 'GiB', 'per clip')

    def report(what, size):
        row(what, size / GIB, f'{size / GIB / args.batch:.2f}')

    tokens = args.frames * 14**2 + 1
    with FakeTensorMode():
        for with_cp in (False, 'selection', True):
            model = VideoMambaPro(args.arch, num_frames=args.frames, with_cp=with_cp)
            report(f'{with_cp=}', saved_bytes(model, torch.empty(shape)))
            if with_cp is True:
                continue
            mixer = model.layers[0].mixer
            hidden = torch.empty(args.batch, tokens, model.embed_dims)
            outside = saved_bytes(_Projections(mixer), hidden)
            between = saved_bytes(mixer, hidden) - outside
            report('of it, between the projections of mixers', model.depth * between)
    theirs = published_mixer_bytes(args.batch, tokens, model.embed_dims, mixer.d_state)
    report('the same as published, with mamba-ssm', model.depth * theirs)


class _Projections(torch.nn.Module):
    """A mixer without what is between its projections."""

    def __init__(self, mixer):
        super().__init__()
        self.mixer = mixer

    def forward(self, hidden):
        x, _ = self.mixer.in_proj(hidden).chunk(2, -1)
        return self.mixer.out_proj(x.contiguous())


if __name__ == '__main__':
    main()
