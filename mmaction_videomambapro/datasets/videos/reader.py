"""The exact reader: frame i is the i-th that is shown, or there is an error."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from itertools import chain

import av
import numpy as np

from .packets import Packets
from .rgb import ToRGB, is_turned
from .source import Source, VideoError

# Containers that store when a frame is shown. AVI and others store its place in the
# stream only, and what FFmpeg makes of it is wrong with B-frames.
STAMPED = 'mov,mp4,m4a,3gp,3g2,mj2', 'matroska,webm', 'flv', 'mpegts', 'nut', 'ivf'
# Codecs of which every packet shows one frame. A packet of a few bytes may show none
# in the older ones.
WHOLE = 'h264', 'hevc', 'av1', 'vp9', 'vp8'
OLDER = 'mpeg4', 'msmpeg4v1', 'msmpeg4v2', 'msmpeg4v3', 'wmv1', 'wmv2', 'h263', 'flv1'
FEW_BYTES = 16
HDR = 16, 18  # transfer curves: PQ and HLG (ITU-T H.273)
PROGRESSIVE = 0, 1  # FFmpeg's field orders: not known, or no fields


class Reindexed(Exception):
    """A video's order of frames was found to be another; reading has to start anew."""


class Reader:
    """Reads frames with PyAV, which is FFmpeg with all its codecs.

    While a file is opened its packets are read, not decoded. They tell how many frames
    there are and in which order they are shown, where container and codec can be
    trusted to say so. Where not, all is decoded once to see. Frames are then decoded
    from the packet before them at which decoding can start, and recognised by the
    packet they were in: no seek is believed.

    Args:
        source (Source): What to read.

    Attributes:
        fps (float): Frames per second, on average.
        told (int | None): Frames that the container names, where it does.

    Raises:
        VideoError: If there is no video in it, or it is damaged.
        av.FFmpegError: If it cannot be read.
    """

    def __init__(self, source: Source) -> None:
        self._source = source
        source.restart()
        self.packets = packets = Packets(source)
        stream, self._decoder = packets.stream, packets.stream.codec_context
        self._decoder.thread_type = 'NONE'  # data loaders have workers
        self._decoder.thread_count = 1
        self.fps = float(stream.average_rate or stream.guessed_rate or 0)
        self.told = stream.frames or None
        self._time_base = float(stream.time_base)
        self._rgb = ToRGB(self._decoder.width, self._decoder.height)
        self._in_order = True  # frames are known by their packets
        self.scanned, self._skips = False, may_skip(self._decoder)
        self._set_order(shown_order(packets) or self._decoded_order())

    def __len__(self) -> int:
        return len(self.order)

    def read(self, inds: Sequence[int]) -> Iterator[np.ndarray]:
        """Frames, (H, W, 3) uint8 RGB each.

        Args:
            inds (Sequence[int]): Ascending, without repetition, below the length.

        Raises:
            VideoError: If one of them is damaged.
            Reindexed: If the order of frames was wrong. It is right from now on.
        """
        starts = [bisect_right(self._key_ranks, i) - 1 for i in inds]
        at = 0
        while at < len(inds):
            stop = bisect_right(starts, starts[at])
            wanted = [self.order[i] for i in inds[at:stop]]
            for frame in self._find(wanted, self._keys[starts[at]]):
                self._source.restart()
                yield self._rgb(frame)
            at = stop

    def close(self) -> None:
        self.packets.close()

    def _set_order(self, order):
        """Note the packets' numbers in order of display."""
        if not order:
            raise VideoError('it has no frames')
        self.order = order
        rank = {number: i for i, number in enumerate(order)}
        self._keys, self._key_ranks = [0], [0]
        for key in self.packets.keys if self._in_order else ():
            if rank.get(key, -1) > self._key_ranks[-1]:
                self._keys.append(key)
                self._key_ranks.append(rank[key])

    def _find(self, wanted, start):
        """Decode from a packet on, and give the frames of some, in order of display."""
        missing = set(wanted)
        for number, frame in self._decode(start, missing if self._skips else None):
            if frame is None and number <= max(missing):
                raise VideoError(f'damaged at {self._seconds(number):.1f} s')
            if number not in missing:
                continue
            if number != wanted[-len(missing)]:
                break
            missing.remove(number)
            yield frame
            if not missing:
                return
        if self.scanned:
            raise VideoError('its frames come differently each time')
        self._set_order(self._decoded_order())
        raise Reindexed

    def _decode(self, start, wanted=None):
        """Numbers and frames from a packet on; None for a frame where damage is met.

        With some ``wanted``, frames that no other is made from are not decoded else.
        """
        decoder, frames = self._decoder, 0
        decoder.flush_buffers()
        decoder.skip_frame = 'DEFAULT'
        for packet in chain(self.packets.since(start), [None]):
            self._source.check()
            number = packet.pts if packet else len(self.packets) - 1
            if wanted is not None:
                in_demand = packet is None or number in wanted
                decoder.skip_frame = 'DEFAULT' if in_demand else 'NONREF'
            try:
                decoded = decoder.decode(packet)
            except EOFError:
                return
            except av.FFmpegError:
                if frames or not self.scanned:  # else it begins within a group
                    yield number, None
                continue
            if number in self.packets.corrupt:
                yield number, None
            for frame in decoded:
                place = frame.pts if self._in_order else frames
                frames += 1
                yield place, None if frame.is_corrupt else frame

    def _decoded_order(self):
        """Packets' numbers in order of display, found by decoding them all.

        Where packets hold more or less than a frame each, frames have numbers of their
        own, and are always decoded from the first one on.
        """
        self.scanned, self._skips = True, False
        order, damage = [], None
        for number, frame in self._decode(0):
            self._source.restart()
            if frame is None:
                damage = number if damage is None else damage
            elif damage is None:
                order.append(number)
            elif number is None or number > damage:
                raise VideoError(f'damaged at {self._seconds(damage):.1f} s')
        if self._in_order and (None in order or len(set(order)) < len(order)):
            self._in_order = False
            return list(range(len(order)))
        return order

    def _seconds(self, number):
        """When a packet's frame is shown, about."""
        pts = [stamp for stamp in self.packets.pts if stamp is not None]
        stamp = self.packets.pts[min(number, len(self.packets) - 1)]
        if stamp is None or not pts:
            return number / self.fps if self.fps else 0.0
        return (stamp - min(pts)) * self._time_base

    @property
    def traits(self) -> frozenset[str]:
        """What is unusual: 'variable rate', 'rotated', 'interlaced', 'HDR'."""
        decoder = self._decoder
        _, frame = next(self._decode(self._keys[0]), (0, None))
        stamps = [self.packets.pts[n] for n in self.order if self._in_order]
        steps = [] if None in stamps else np.diff(np.sort(stamps)).tolist()
        ticks = max(1, 0.002 / self._time_base)  # containers round to milliseconds
        found = {
            'variable rate': bool(steps) and max(steps) - min(steps) > ticks,
            'rotated': frame is not None and is_turned(frame),
            'interlaced': decoder.field_order not in PROGRESSIVE
            or (frame is not None and frame.interlaced_frame),
            'HDR': decoder.color_trc in HDR,
        }
        return frozenset(name for name, true in found.items() if true)


def shown_order(packets: Packets) -> list[int] | None:
    """Packets' numbers in order of display, or None where only decoding can tell."""
    decoder, pts = packets.stream.codec_context, packets.pts
    numbers = [n for n in range(len(packets)) if n not in packets.hidden]
    if not numbers or packets.keys[:1] != [0] or packets.corrupt:
        return None
    if decoder.field_order not in PROGRESSIVE:  # a packet may hold a field
        return None
    if decoder.codec.intra_only or packets.codec in OLDER:
        few = min(packets.sizes) < FEW_BYTES and not decoder.codec.intra_only
        return None if few or decoder.has_b_frames else numbers
    if packets.codec not in WHOLE or packets.format not in STAMPED:
        return None
    stamps = [pts[n] for n in numbers]
    if None in stamps or len(set(stamps)) < len(stamps) or None in pts[:1]:
        return None
    if min(stamps) < pts[0]:  # shown before the first, and perhaps made from more
        return None
    return sorted(numbers, key=pts.__getitem__)


def may_skip(decoder: av.VideoCodecContext) -> bool:
    """Whether what FFmpeg takes for a frame that no other needs is one for sure.

    In HEVC it may be needed by a higher temporal layer, if there is one.
    """
    if decoder.field_order not in PROGRESSIVE:
        return False
    extradata = decoder.extradata or b''
    one_layer = len(extradata) > 21 and extradata[0] == 1 and extradata[21] >> 3 & 7 == 1
    return decoder.name == 'h264' or (decoder.name == 'hevc' and one_layer)
