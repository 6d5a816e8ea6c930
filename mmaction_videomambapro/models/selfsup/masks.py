"""Masks: which tokens the context encoder sees, and which have to be predicted."""

from __future__ import annotations

import numpy as np
import torch
from mmaction.registry import TASK_UTILS
from torch import Tensor

from ..checks import check_choice

TRIES = 100


class VideoMask:
    """Base class of masks; all processes agree on the masks of a global batch.

    Sizes depend only on a key, such as (seed, step). What differs between samples
    depends on the key and the sample's index in the global batch. So masks depend
    neither on the number of processes nor on earlier draws, and a resumed run gets the
    masks that an uninterrupted one would have had.
    """

    def __call__(
        self,
        grid: tuple[int, int, int],
        rows: range,
        total: int,
        key: tuple[int, ...],
    ) -> tuple[Tensor, Tensor]:
        """Draw the masks of some samples.

        Args:
            grid (tuple[int]): Tokens along time, height and width.
            rows (range): Indices of the samples in the global batch.
            total (int): Number of samples in the global batch.
            key (tuple[int]): Non-negative; the same key gives the same masks.

        Returns:
            tuple[Tensor, Tensor]: Indices of the visible tokens (B, K) and of the
            tokens to predict (B, M) of the B samples, int64, each ascending, on the
            CPU. A token is in one of them or in neither.

        Raises:
            ValueError: If no token is visible, or none is left to predict.
        """
        raise NotImplementedError


@TASK_UTILS.register_module()
class MultiBlock3DMask(VideoMask):
    """Predict the union of blocks, as V-JEPA does (arXiv 2404.08471).

    All blocks of a global batch have the same size, drawn once per batch; their places
    differ between samples. The size of the union varies from sample to sample, so some
    tokens have to be left out to make the samples of a batch equally long.

    Args:
        num_blocks (int): Blocks per sample. Defaults to 8.
        spatial_scale (tuple[float]): Range of the share of a frame that a block
            covers. Defaults to (0.15, 0.15).
        temporal_scale (tuple[float]): Range of the share of the clip's length that a
            block covers. Defaults to (1.0, 1.0).
        aspect_ratio (tuple[float]): Range of a block's height divided by its width.
            Defaults to (0.75, 1.5).
        max_temporal_keep (float): Share of the clip, from its beginning, in which
            tokens can be visible; later tokens have to be predicted. Rounded down to
            whole time steps, but at least one. Defaults to 1.0.
        max_keep (int, optional): Maximum number of visible tokens.
            Defaults to None (no maximum).
        equalise (str): How the samples of a batch become equally long:

            - 'random': each keeps a random subset of its visible tokens, and one of
              its tokens to predict, as large as the smallest in the batch.
            - 'full_complement': each keeps a random subset of its visible tokens, and
              all others are predicted (V-JEPA 2's rule except for the random subset).
            - 'truncate': each keeps its first tokens, as published. The beginning of a
              clip is then visible or predicted far more often than its end.

            Defaults to 'random'.

    Raises:
        ValueError: If an argument is out of range.
    """

    def __init__(
        self,
        num_blocks: int = 8,
        spatial_scale: tuple[float, float] = (0.15, 0.15),
        temporal_scale: tuple[float, float] = (1.0, 1.0),
        aspect_ratio: tuple[float, float] = (0.75, 1.5),
        max_temporal_keep: float = 1.0,
        max_keep: int | None = None,
        equalise: str = 'random',
    ) -> None:
        check_choice('equalise', equalise, ('random', 'full_complement', 'truncate'))
        for name in ('spatial_scale', 'temporal_scale', 'aspect_ratio'):
            low, high = locals()[name]
            if not 0 < low <= high or (name.endswith('scale') and high > 1):
                raise ValueError(f'{name} is not a valid range: {(low, high)}')
        if num_blocks < 1 or not 0 < max_temporal_keep <= 1:
            raise ValueError(
                'num_blocks must be at least 1 and max_temporal_keep in (0, 1], but '
                f'they are {num_blocks} and {max_temporal_keep}'
            )
        if max_keep is not None and max_keep < 1:
            raise ValueError(f'max_keep must be at least 1, but is {max_keep}')
        self.num_blocks = num_blocks
        self.spatial_scale, self.temporal_scale = spatial_scale, temporal_scale
        self.aspect_ratio = aspect_ratio
        self.max_temporal_keep, self.max_keep = max_temporal_keep, max_keep
        self.equalise = equalise

    def __call__(self, grid, rows, total, key):
        hidden = self._hidden(grid, total, key)  # (total, tokens)
        num_hidden = hidden.sum(1)
        K = int(hidden.shape[1] - num_hidden.max())
        K = K if self.max_keep is None else min(K, self.max_keep)
        M = int(num_hidden.min())
        if M == 0:
            raise ValueError(f'{self} leaves nothing to predict in a grid of {grid}')
        keep, targets = [], []
        for row in rows:
            visible, other = np.flatnonzero(~hidden[row]), np.flatnonzero(hidden[row])
            if self.equalise == 'truncate':
                visible, other = visible[:K], other[:M]
            else:
                rng = np.random.default_rng([*key, 1, row])
                visible = _subset(rng, visible, K)
                if self.equalise == 'random':
                    other = _subset(rng, other, M)
                else:
                    other = np.setdiff1d(np.arange(hidden.shape[1]), visible)
            keep.append(visible)
            targets.append(other)
        return _stack(keep), _stack(targets)

    def _hidden(self, grid, total, key):
        """Draw the union of each sample's blocks, (total, tokens), bool."""
        rng = np.random.default_rng([*key, 0])
        size = self._block_size(grid, rng)
        hidden = self._union(grid, size, rng, total)
        for _ in range(TRIES):
            covered = hidden.all(1)
            if not covered.any():
                return hidden
            hidden[covered] = self._union(grid, size, rng, total)[covered]
        raise ValueError(
            f'{self} covered the whole grid of {grid} {TRIES} times in a row: choose '
            'fewer or smaller blocks'
        )

    def _block_size(self, grid, rng):
        """Draw the size of a batch's blocks in tokens, (t, h, w)."""
        T, H, W = grid
        time, space, ratio = (
            low + rng.random() * (high - low)
            for low, high in (
                self.temporal_scale,
                self.spatial_scale,
                self.aspect_ratio,
            )
        )
        area = int(H * W * space)
        height, width = round((area * ratio) ** 0.5), round((area / ratio) ** 0.5)
        return max(1, int(T * time)), _clip(height, H), _clip(width, W)

    def _union(self, grid, size, rng, total):
        inside = []
        places = rng.random((total, self.num_blocks, 3))
        for axis in range(3):
            start = (places[..., axis] * (grid[axis] - size[axis] + 1)).astype(int)
            place = np.arange(grid[axis]) - start[..., None]
            inside.append((place >= 0) & (place < size[axis]))  # (total, blocks, n)
        time, rows, columns = inside
        hidden = np.zeros((total, *grid), dtype=bool)
        for block in range(self.num_blocks):
            frame = rows[:, block, :, None] & columns[:, block, None, :]
            hidden |= time[:, block, :, None, None] & frame[:, None]
        hidden[:, max(1, int(grid[0] * self.max_temporal_keep)) :] = True
        return hidden.reshape(total, -1)

    def __repr__(self) -> str:
        arguments = ', '.join(f'{k}={v!r}' for k, v in vars(self).items())
        return f'{type(self).__name__}({arguments})'


@TASK_UTILS.register_module()
class RandomTubeMask(VideoMask):
    """Show the same random places in all frames and predict the others.

    VideoMAE's mask (arXiv 2203.12602), part of V-JEPA's comparison.

    Args:
        ratio (float): Share of the places to predict; int(H' W' (1 - ratio)) stay
            visible. Defaults to 0.9.

    Raises:
        ValueError: If ``ratio`` is not inside (0, 1).
    """

    def __init__(self, ratio: float = 0.9) -> None:
        if not 0 < ratio < 1:
            raise ValueError(f'ratio must be inside (0, 1), but is {ratio}')
        self.ratio = ratio

    def __call__(self, grid, rows, total, key):
        places = grid[1] * grid[2]
        count = int(round(places * (1 - self.ratio), 6))  # 0.1 is not exactly 1 - 0.9
        if not 0 < count < places:
            raise ValueError(
                f'a ratio of {self.ratio} leaves {count} of {places} places visible'
            )
        keep, targets = [], []
        for row in rows:
            order = np.random.default_rng([*key, row]).permutation(places)
            for drawn, out in ((order[:count], keep), (order[count:], targets)):
                frame = np.sort(drawn)
                out.append(np.concatenate([frame + places * t for t in range(grid[0])]))
        return _stack(keep), _stack(targets)

    def __repr__(self) -> str:
        return f'{type(self).__name__}(ratio={self.ratio})'


def _clip(extent, limit):
    return min(max(extent, 1), limit)


def _subset(rng, indices, count):
    return np.sort(rng.choice(indices, count, replace=False))


def _stack(indices):
    return torch.from_numpy(np.stack(indices).astype(np.int64))
