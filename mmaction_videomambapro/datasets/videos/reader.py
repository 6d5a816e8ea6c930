"""The exact reader: frame i is the i-th that is shown, or there is an error."""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from itertools import accumulate, chain

import av
import numpy as np

from .bitstreams import PICTURES, has_one_layer
from .packets import OPTIONS, Packets
from .rgb import ToRGB, display_matrix, is_upright
from .source import Source, VideoError

# Containers that store when a frame is shown. AVI and others store its place in the
# stream only, and what FFmpeg makes of it is wrong with B-frames.
STAMPED = 'mov,mp4,m4a,3gp,3g2,mj2', 'matroska,webm', 'flv', 'mpegts', 'nut', 'ivf'
JOINED = 'mpegts', 'mpeg', 'mpegvideo'  # may be two videos, one after the other
# Codecs of which every packet shows one frame.
WHOLE = 'h264', 'hevc', 'av1', 'vp9', 'vp8'
HDR = 16, 18  # transfer curves: PQ and HLG (ITU-T H.273)
ENDING = 16  # packets: as many can be early in the file for what is shown late
USUAL_FPS = 25  # taken for what is not known
MOST_FPS = 1000  # more is a clock, not a rate
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
        rates = map(float, filter(None, (stream.average_rate, stream.guessed_rate)))
        self.fps = next((rate for rate in rates if rate <= MOST_FPS), 0.0)
        self.told = frames_told(packets)
        self._time_base = float(stream.time_base)
        self._rgb = ToRGB(self._decoder.width, self._decoder.height)
        self._matrix = None  # that not all frames bring, but the video itself
        self._in_order = True  # frames are known by their packets
        self.scanned, self._skips = False, may_skip(packets)
        order, options = shown_order(packets), dict(max_pixels=OPTIONS['max_pixels'])
        if packets.codec == 'h264' and (order is None or order != sorted(order)):
            options['strict'] = '1'  # else it may drop frames that come late
        self._decoder.options = options
        self._set_order(order or self._decoded_order())

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
            yield from self._pictures(inds[at:stop], self._keys[starts[at]])
            at = stop

    def stream(self, inds: Sequence[int]) -> Iterator[np.ndarray | VideoError]:
        """Frames as of :meth:`read`, decoded without starting anew, none kept.

        Where frames are damaged there is an error for each, and it goes on at the next
        packet that decoding can start at.

        Args:
            inds (Sequence[int]): Ascending, without repetition, below the length.
        """
        at = 0
        while at < len(inds):
            order, group = self.order, bisect_right(self._key_ranks, inds[at])
            try:
                for picture in self._pictures(inds[at:], self._keys[group - 1]):
                    yield picture
                    at += 1
            except Reindexed:
                known = inds[at - 1] + 1 if at else 0
                if len(self) == len(order) and self.order[:known] == order[:known]:
                    continue
                for _ in inds[at:]:
                    yield VideoError('its frames come in another order than it says')
                return
            except (VideoError, av.FFmpegError):
                group = bisect_right(self._key_ranks, inds[at])
                after = self._key_ranks[group : group + 1] or [len(self)]
                stop = bisect_left(inds, after[0])
                for result in self._until_damage(inds[at:stop]):
                    yield result
                    at += 1

    def _until_damage(self, inds):
        """Frames, one by one, since a decoder may hold whole ones back at damage."""
        damage = None
        for i in inds:
            try:
                picture = None if damage else next(self.read([i]))
            except (VideoError, av.FFmpegError, Reindexed) as error:
                damage = error
            yield damage or picture

    def _pictures(self, inds, key):
        self._source.restart()
        for frame in self._find([self.order[i] for i in inds], key):
            matrix = display_matrix(frame)
            yield self._rgb(frame, self._matrix if matrix is None else matrix)
            self._source.restart()  # whoever reads may have taken long

    def verify(self) -> None:
        """Decode everything once, to be sure that there is no damage.

        Raises:
            VideoError: If there is.
        """
        if self.scanned:  # when it was opened
            return
        order, found = self.order, self._decoded_order()
        there = set(found)
        lost = next((number for number in order if number not in there), None)
        if lost is not None:
            raise VideoError(f'damaged at {self._seconds(lost):.1f} s')
        self._set_order(found)

    def close(self) -> None:
        self.packets.close()

    def _set_order(self, order):
        """Note the packets' numbers in order of display."""
        if not order:
            raise VideoError('it has no frames')
        self.order = order
        self._rank = rank = {number: i for i, number in enumerate(order)}
        self._keys, self._key_ranks = [0], [0]
        for key in self.packets.keys if self._in_order else ():
            if rank.get(key, -1) > self._key_ranks[-1]:
                self._keys.append(key)
                self._key_ranks.append(rank[key])

    def _find(self, wanted, start):
        """Decode from a packet on, and give the frames of some, in order of display."""
        missing, last = set(wanted), -1
        for number, frame in self._decode(start, missing):
            if frame is None and number <= max(missing):
                raise VideoError(f'damaged at {self._seconds(number):.1f} s')
            rank = self._rank.get(number, last)
            if rank < last or (number in missing and number != wanted[-len(missing)]):
                break
            last = rank
            if number not in missing:
                continue
            missing.remove(number)
            yield frame
            if not missing:
                return
        if self.scanned and self._keys == [0]:
            raise VideoError('its frames come differently each time')
        self.packets.keys.clear()  # as FFmpeg cannot start there, in interlaced MPEG-4
        self._set_order(self._decoded_order())
        raise Reindexed

    def _decode(self, start, wanted=None):
        """Decode from a packet on: numbers and frames, or None where damage is met.

        With some ``wanted``, frames that no other is made from need not be decoded.
        """
        decoder, place = self._decoder, -1
        decoder.flush_buffers()
        decoder.skip_frame = 'DEFAULT'
        for packet in chain(self.packets.since(start), [None]):
            self._source.check()
            number = packet.pts if packet else len(self.packets) - 1
            if wanted is not None and self._skips:
                in_demand = packet is None or number in wanted
                decoder.skip_frame = 'DEFAULT' if in_demand else 'NONREF'
            try:
                frames = decoder.decode(packet)
            except EOFError:
                return
            except av.FFmpegError:
                if place >= 0 or not self.scanned:  # else it begins within a group
                    yield number, None
                continue
            for frame in frames:
                known = self._in_order and frame.pts is not None
                place = frame.pts if known else place + 1
                yield place, None if frame.is_corrupt else frame

    def _decoded_order(self):
        """Packets' numbers in order of display, found by decoding them all.

        Where packets hold more or less than a frame each, frames have numbers of their
        own, and are always decoded from the first one on.
        """
        self.scanned, self._skips = True, False
        order, damage, end = [], None, len(self.packets) - ENDING
        for number, frame in self._decode(0):
            if frame is None:
                damage = number if damage is None else damage
            elif damage is None:
                order.append(number)
                if self._matrix is None:
                    self._matrix = display_matrix(frame)
            elif number > damage:
                end = len(self.packets)
        if damage is not None and damage < end:  # else the file ends within a frame
            raise VideoError(f'damaged at {self._seconds(damage):.1f} s')
        if self._in_order and len(set(order)) < len(order):
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
    def times(self) -> np.ndarray:
        """Seconds on the container's clock at which frames are shown, ascending.

        They are evenly spaced where the container does not say it of each.
        """
        stamps = [self.packets.pts[n] for n in self.order if self._in_order]
        if stamps and None not in stamps and all(np.diff(stamps) > 0):
            return np.array(stamps) * self._time_base
        return np.arange(len(self)) / (self.fps or USUAL_FPS)

    @property
    def traits(self) -> frozenset[str]:
        """What is unusual: 'variable rate', 'rotated', 'interlaced', 'HDR'."""
        self._source.restart()
        decoder = self._decoder
        _, frame = next(self._decode(0), (0, None))
        matrix = self._matrix if frame is None else display_matrix(frame)
        stamps = [self.packets.pts[n] for n in self.order if self._in_order]
        if self.told and self.told > len(self):
            stamps = stamps[:-16]  # at a cut, frames that come early in the file remain
        steps = [] if None in stamps else np.diff(np.sort(stamps)).tolist()
        ticks = max(1, 0.002 / self._time_base)  # containers round to milliseconds
        found = {
            'variable rate': bool(steps) and max(steps) - min(steps) > ticks,
            'rotated': not is_upright(matrix),
            'interlaced': field_order(decoder) not in PROGRESSIVE
            or (frame is not None and frame.interlaced_frame),
            'HDR': decoder.color_trc in HDR,
        }
        return frozenset(name for name, true in found.items() if true)


def shown_order(packets: Packets) -> list[int] | None:
    """Packets' numbers in order of display, or None where only decoding shows it."""
    decoder, pts = packets.stream.codec_context, packets.pts
    numbers = [n for n in range(len(packets)) if n not in packets.hidden]
    if not numbers or packets.keys[:1] != [0] or packets.corrupt or packets.turned:
        return None
    if field_order(decoder) not in PROGRESSIVE:  # a packet may hold a field
        return None
    if decoder.codec.intra_only and not decoder.has_b_frames:
        return numbers
    if packets.codec in PICTURES and packets.format not in JOINED:
        return mpeg_order(numbers, packets.types)
    if packets.codec not in WHOLE or packets.format not in STAMPED:
        return None
    stamps = [pts[n] for n in numbers]
    if None in stamps or len(set(stamps)) < len(stamps) or None in pts[:1]:
        return None
    if min(stamps) < pts[0]:  # shown before the first, and perhaps made from more
        return None
    order = sorted(numbers, key=pts.__getitem__)
    if order == numbers and decoder.has_b_frames and len(order) > 2:
        return None  # its stamps may be those of decoding
    keys, latest = set(packets.keys), [-1, *accumulate(order, max)]
    if any(latest[i] >= n for i, n in enumerate(numbers) if n in keys):
        return None  # shown before a key frame, decoded after it
    return order


def frames_told(packets: Packets) -> int | None:
    """How many frames the container says there are, where it does."""
    stream = packets.stream
    frames, rate = stream.frames, stream.average_rate
    if packets.format == 'avi' and rate:  # it counts ticks, of which H.264 has two
        frames = round(frames * stream.time_base * rate)
    return max(0, frames - len(packets.hidden)) or None


def field_order(decoder: av.VideoCodecContext) -> int:
    """FFmpeg's order of fields; 0 in PyAV 17, the last for Python 3.10."""
    return getattr(decoder, 'field_order', 0)


def mpeg_order(numbers: list[int], types: str) -> list[int] | None:
    """Order of display in MPEG-1, 2 and 4, None if a packet is not just one picture.

    A B picture is shown at once, another when the next that is not one has come.
    """
    kinds = ''.join(types[n] for n in numbers)
    if '?' in kinds or not re.match('I([^B]|$)', kinds):  # what B is made of is missing
        return None
    order, last = [], numbers[0]
    for number, kind in zip(numbers[1:], kinds[1:]):
        order.append(number if kind == 'B' else last)
        last = last if kind == 'B' else number
    return [*order, last]


def may_skip(packets: Packets) -> bool:
    """Whether what FFmpeg takes for a frame that no other needs is one for sure.

    In HEVC it may be needed by a higher temporal layer, if there is one.
    """
    decoder = packets.stream.codec_context
    return field_order(decoder) in PROGRESSIVE and (
        packets.codec == 'h264' or (packets.codec == 'hevc' and has_one_layer(decoder))
    )
