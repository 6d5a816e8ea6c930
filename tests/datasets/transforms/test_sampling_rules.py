"""Every sampler against the published rule, written down a second time.

The rules are read here one frame at a time, in plain numbers, as VideoMAE, VideoMamba
and V-JEPA state them. Draws are replaced by the least and by the largest of what may be
drawn, so that training is compared exactly too.
"""

import itertools
import math

import numpy as np
import pytest

from mmaction_videomambapro.datasets.transforms.sampling import (
    SampleDense,
    SampleSparse,
    SampleSSv2,
    SampleVJEPA,
)

LENGTHS = range(1, 61)
CLIP_LENS = 1, 2, 3, 4, 7, 8, 16


def at(start, end, count, i):
    """The i-th of ``count`` numbers, evenly spaced from start to end."""
    return start + (end - start) / max(count - 1, 1) * i if count > 1 else start


def stretch(start, end, T):
    """T frames from start to end, without the end itself."""
    return [int(min(at(start, end, T, i), end - 1)) for i in range(T)]  # towards 0


def repeated(end, last, T, rate):
    """Fewer than T frames up to ``end``, then ``last`` repeated."""
    count = end // rate
    spread = [at(0, end, count, i) for i in range(count)]
    return [int(max(min(x, last), 0)) for x in spread + [last] * (T - count)]


def every(start, n, T, rate):
    """T frames ``rate`` apart; the last one is repeated after the end."""
    last = start + (min(T, math.ceil((n - start) / rate)) - 1) * rate
    return [min(start + i * rate, last) for i in range(T)]


def sparse(n, T, rate, K, mode, draw):
    s = max(0.0, (n - 1) / T)
    begin = [round(s * i) for i in range(T + 1)]  # halves to even, as NumPy's
    if mode == 'train':
        return [[min(draw(begin[i], begin[i + 1]), n - 1) for i in range(T)]]
    K = K if mode == 'test' else 1
    return [
        [min(begin[i] + int(s / (K + 1) * (k + 1)), n - 1) for i in range(T)]
        for k in range(K)
    ]


def dense(n, T, rate, K, mode, draw, published_val):
    c = T * rate
    if mode == 'test':
        step = max((n - c) / (K - 1), 0)
        return [every(int(k * step), n, T, rate) for k in range(K)]
    if n <= c:
        return [repeated(n, n - 1, T, rate)]
    if mode == 'train':
        end = draw(c, n - 1)
        return [stretch(end - c, end, T)]
    if published_val:  # counts from the end where it is negative
        end = (n - c) // 2
        return [[x % n for x in stretch(end - c, end, T)]]
    start = (n - c) // 2
    return [stretch(start, start + c, T)]


def ssv2_video(n, T, rate, K, mode, draw):
    tick, whole = n / T, n // T
    middle = [int(tick / 2 + tick * i) for i in range(T)]
    if mode == 'val':
        return [middle]
    if mode == 'test':
        both = sorted(middle + [int(tick * i) for i in range(T)])
        return [both[0::2], both[1::2]]
    return [[i * whole + draw(0, whole - 1) if whole else 0 for i in range(T)]]


def ssv2_rawframes(n, T, rate, K, mode, draw):
    tick, whole = n / T, n // T
    if mode == 'test':
        inds = [int(k * tick / K + tick * i) for k in range(K) for i in range(T)]
        return [sorted(inds)[k::K] for k in range(K)]
    if n < T:
        return [[0] * (T - n) + list(range(n))]
    shift = whole // 2
    return [
        [i * whole + (draw(0, whole - 1) if mode == 'train' else shift)
         for i in range(T)]
    ]  # fmt: skip


def vjepa(n, T, rate, K, mode, draw, allow_overlap):
    c, part = T * rate, n // K
    clips = []
    for k in range(K):
        if part > c:
            end = draw(c, part - 1) if mode == 'train' else c
            clips.append([x + k * part for x in stretch(end - c, end, T)])
        elif allow_overlap:
            last = min(c, n) - 1
            shift = k * ((n - c) // (K - 1)) if n > c else 0
            # the published code takes the frame before the last of a part
            clips.append([x + shift for x in repeated(last, last - 1, T, rate)])
        else:
            clips.append([x + k * part for x in repeated(part, part - 1, T, rate)])
    return clips


RULES = {
    'sparse': (SampleSparse, {}, sparse),
    'dense': (SampleDense, dict(published_val=False), dense),
    'dense, published_val': (SampleDense, dict(published_val=True), dense),
    'ssv2, video': (SampleSSv2, dict(source='video'), ssv2_video),
    'ssv2, rawframes': (SampleSSv2, dict(source='rawframes'), ssv2_rawframes),
    'vjepa': (SampleVJEPA, dict(allow_overlap=False), vjepa),
    'vjepa, overlap': (SampleVJEPA, dict(allow_overlap=True), vjepa),
}
DRAWS = {
    'least': (lambda low, high: low, lambda low, high: low),
    'largest': (lambda low, high: high, lambda low, high: np.asarray(high) - 1),
}


def settings(name, mode):
    rates = (1, 2, 3) if name.startswith(('dense', 'vjepa')) else (1,)
    counts = (1,)
    if name == 'ssv2, video' and mode == 'test':
        counts = (2,)
    elif name.startswith('dense') and mode == 'test':
        counts = 2, 3, 4  # the published rule divides by 0 for one
    elif mode == 'test' or name.startswith('vjepa'):
        counts = 1, 2, 3
    return itertools.product(CLIP_LENS, rates, counts)


@pytest.mark.parametrize('name', RULES)
@pytest.mark.parametrize(
    ('mode', 'draw'),
    [('train', 'least'), ('train', 'largest'), ('val', 'least'), ('test', 'least')],
)
def test_published_rule(name, mode, draw, monkeypatch):
    kind, arguments, rule = RULES[name]
    draw, randint = DRAWS[draw]

    def replaced(low, high=None, size=None):
        low, high = (0, low) if high is None else (low, high)
        assert np.all(np.asarray(low) < high)
        drawn = randint(low, high)
        return drawn if size is None else np.full(size, drawn)

    monkeypatch.setattr(np.random, 'randint', replaced)
    extra = {k: v for k, v in arguments.items() if k != 'source'}
    if kind is SampleVJEPA:
        arguments = dict(arguments, random=mode == 'train')
    for T, rate, K in settings(name, mode):
        sampler = kind(
            clip_len=T, frame_interval=rate, num_clips=K, mode=mode, **arguments
        )
        for n in LENGTHS:
            if kind is SampleVJEPA and n < K:
                continue  # parts without a frame: the published code fails
            expected = rule(n, T, rate, K, mode, draw, **extra)
            found = sampler.transform(dict(total_frames=n))['frame_inds']
            found = found.reshape(-1, T).tolist()
            assert found == expected, dict(n=n, T=T, rate=rate, K=K)


def test_fewer_frames_than_two_clips():
    sampler = SampleSSv2(clip_len=16, num_clips=2, mode='test')
    inds = sampler.transform(dict(total_frames=20))['frame_inds']
    first, second = inds.reshape(2, 16)
    assert first.tolist() == [0, 1, 2, 3, 5, 6, 7, 8, 10, 11, 12, 13, 15, 16, 17, 18]
    assert second.tolist() == [0, 1, 3, 4, 5, 6, 8, 9, 10, 11, 13, 14, 15, 16, 18, 19]


def test_fewer_raw_frames_than_a_clip():
    sampler = SampleSSv2(clip_len=16, mode='val', source='rawframes')
    inds = sampler.transform(dict(total_frames=14))['frame_inds']
    assert inds.tolist() == [0, 0, *range(14)]
