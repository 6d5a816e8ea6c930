"""Which files decoders other than PyAV are given."""

from __future__ import annotations

import numpy as np

from .reader import Reader

FORMATS = 'mov,mp4,m4a,3gp,3g2,mj2', 'matroska,webm', 'flv'
CODECS = dict(
    decord=('h264', 'hevc', 'vp8', 'vp9'),
    opencv=('h264', 'hevc', 'vp8', 'vp9'),
    torchcodec=('h264', 'hevc', 'vp8', 'vp9', 'av1'),
)
COLOURS = 2, 5, 6  # matrices: not named, BT.470BG's and SMPTE 170M's, which is BT.601's
FULL_RANGE = 2


def why_not_plain(reader: Reader, decoder: str) -> str | None:
    """What keeps a file from another decoder, in words; None for a plain file.

    A file is plain where all decoders agree: one progressive video in eight bits,
    BT.601 and limited range, upright, from time 0 on, in closed groups of pictures, in
    a container with time stamps.
    """
    if reader.scanned:
        return 'its time stamps do not identify the frames'
    packets, codec = reader.packets, reader.packets.stream.codec_context
    ranks = np.full(len(packets), len(packets))
    ranks[reader.order] = np.arange(len(reader))
    earliest = np.minimum.accumulate(ranks[::-1])[::-1]  # of all packets from one on
    reasons = {
        'it has more than one video stream': packets.streams > 1,
        f'it is {packets.codec} in {packets.format}': packets.format not in FORMATS
        or packets.codec not in CODECS[decoder],
        'frames are hidden': bool(packets.hidden),
        'it does not begin at time 0': packets.pts[reader.order[0]] != 0,
        'groups of pictures are open': packets.flagged != len(packets.keys)
        or any(earliest[key] != ranks[key] for key in packets.keys),
        'its pixels are not 8 bits of 4:2:0': codec.pix_fmt != 'yuv420p',
        'its colours are not BT.601 in limited range': codec.colorspace not in COLOURS
        or codec.color_range == FULL_RANGE,
        'it is rotated': 'rotated' in reader.traits,
        'it is interlaced': 'interlaced' in reader.traits,
    }
    return next((reason for reason, true in reasons.items() if true), None)
