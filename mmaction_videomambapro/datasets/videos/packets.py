"""A video stream's packets by number, and which of them decoding may start at."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from itertools import chain

import av
from av.stream import Discard, Disposition

from .source import Source, VideoError

MAX_PIXELS = 36_000_000  # of a frame: 8192 x 4320
HELD_BYTES = 64 << 20  # of packets that stay in memory
SHOWN_IN_VP8 = 16  # a bit of a frame's first byte (RFC 6386, 9.1)

# Local containers of one file. Playlists and scripts that name other files are none.
FORMATS = (
    'mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,flv,asf,mpegts,mpeg,mpegvideo,m4v,ogg,'
    'h261,h263,h264,hevc,vvc,vc1,av1,obu,ivf,mjpeg,nut,gif,apng,mxf,rm,dv,gxf,wtv,amv,'
    'yuv4mpegpipe'
)
OPTIONS = dict(
    format_whitelist=FORMATS, protocol_whitelist='file', max_pixels=str(MAX_PIXELS)
)


def open_container(source: Source) -> tuple:
    """Open a file's container, and find the video that a player shows.

    That is FFmpeg's best stream: of those marked as default the one of most frames and
    bits. A cover picture is not a video.

    Returns:
        tuple: PyAV's container and stream.

    Raises:
        VideoError: If there is no video in it, or one too large.
        av.FFmpegError: If it cannot be read.
    """
    source.seek(0)
    container = av.open(source, options=OPTIONS)
    try:
        stream = container.streams.best('video')
        if stream is None or stream.disposition & Disposition.attached_pic:
            raise VideoError('there is no video in it')
        decoder = stream.codec_context
        if decoder is None:
            raise VideoError('its codec is unknown')
        if decoder.width * decoder.height > MAX_PIXELS:
            raise VideoError(
                f'its frames of {decoder.width} x {decoder.height} pixels are larger '
                f'than 8192 x 4320'
            )
        for other in container.streams:
            if other is not stream:
                other.discard = Discard.all
    except BaseException:
        container.close()
        raise
    return container, stream


class Packets:
    """The packets of a stream; a packet's number becomes its time stamp.

    So a frame that comes out of a decoder tells which packet it was in, even where a
    container's time stamps are missing or wrong. The packets of a large file are read
    again when they are needed: a seek is trusted only where the packet that it leads
    to is recognised.

    Args:
        source (Source): Of the file.

    Attributes:
        stream: PyAV's stream.
        pts (list[int | None]): The container's time stamps, in order of decoding.
        sizes (list[int]): Bytes.
        hidden (set[int]): Those whose frames an edit list or the codec hides.
        corrupt (set[int]): Those of which the container lost something.
        keys (list[int]): Those that decoding can start at.
        flagged (int): How many the container calls key frames.
        codec (str): Its name, whatever decoder is used.
        format (str): FFmpeg's name of the container's format.
        streams (int): Of video in the container.
    """

    def __init__(self, source: Source) -> None:
        self._source = source
        self._container, self.stream = open_container(source)
        self.pts, self.sizes, self.keys = [], [], []
        self.hidden, self.corrupt, self.flagged = set(), set(), 0
        self._held, held, self._numbers = [], 0, {}
        decoder = self.stream.codec_context
        is_key, in_vp8 = key_test(decoder), decoder.name == 'vp8'
        for number, packet in enumerate(_demux(self._container, self.stream)):
            source.check()
            self.pts.append(packet.pts)
            self.sizes.append(packet.size)
            if packet.is_discard or (in_vp8 and not memoryview(packet)[0] & SHOWN_IN_VP8):
                self.hidden.add(number)
            if packet.is_corrupt:
                self.corrupt.add(number)
            self.flagged += packet.is_keyframe
            if packet.is_keyframe and is_key(packet):
                self.keys.append(number)
                known = self._numbers.setdefault(_identity(packet), number)
                if known != number:
                    self._numbers[_identity(packet)] = None
            held += packet.size
            if self._held is not None:
                self._held.append(packet)
                if held > HELD_BYTES:
                    self._held = None
        while self.corrupt and max(self.corrupt) == len(self) - 1:  # it ends within it
            self.corrupt.remove(len(self) - 1)
            self.pts.pop()
            self.sizes.pop()
        self.codec = decoder.codec.canonical_name
        self.format = self._container.format.name
        self.streams = len(self._container.streams.video)

    def __len__(self) -> int:
        return len(self.pts)

    def since(self, number: int) -> Iterator[av.Packet]:
        """Packets from 0 or one of ``keys`` on, their time stamps their numbers."""
        if self._held is not None:
            numbered = enumerate(self._held[number:], number)
        else:
            numbered = self._seek(number) or self._reopen()
        for i, packet in numbered:
            if i < number:
                continue
            if i == len(self):
                return
            if packet.size != self.sizes[i]:
                raise VideoError('it changed while it was read')
            packet.pts = packet.dts = i
            yield packet

    def _seek(self, number):
        wanted = [key for key, n in self._numbers.items() if n == number]
        stamps = [stamp for key in wanted for stamp in key[:2] if stamp is not None]
        if not stamps:
            return None
        try:
            self._container.seek(min(stamps), stream=self.stream)
        except av.FFmpegError:
            return None
        packets = _demux(self._container, self.stream)
        first = next(packets, None)
        found = self._numbers.get(_identity(first)) if first else None
        if found is None or found > number:
            return None
        return chain([(found, first)], enumerate(packets, found + 1))

    def _reopen(self):
        self._container.close()
        self._container, self.stream = open_container(self._source)
        return enumerate(_demux(self._container, self.stream))

    def close(self) -> None:
        self._container.close()
        self._held = None


def _demux(container, stream):
    return (packet for packet in container.demux(stream) if packet.size)


def _identity(packet):
    return packet.pts, packet.dts, packet.size


def key_test(decoder: av.VideoCodecContext) -> Callable[[av.Packet], bool]:
    """Whether decoding can start at a packet that its container calls a key frame.

    Containers call more than that a key frame in H.264: where an intra refresh begins,
    or an open group of pictures. Only an IDR picture forgets all before it. In HEVC any
    random access point will do: what follows it in order of display depends on it
    alone. Other codecs have no such frames.
    """
    types = {'h264': (5, 5, lambda b: b & 31), 'hevc': (16, 21, lambda b: b >> 1 & 63)}
    if decoder.name not in types:
        return lambda packet: True
    first, last, type_of = types[decoder.name]
    slices = 5 if decoder.name == 'h264' else 31  # types up to it hold pictures
    units = unit_reader(decoder)

    def is_key(packet):
        kinds = (type_of(header) for header in units(bytes(packet)))
        kind = next((kind for kind in kinds if kind <= slices), -1)
        return first <= kind <= last

    return is_key


def unit_reader(decoder: av.VideoCodecContext) -> Callable[[bytes], Iterator[int]]:
    """A function that gives the first byte of each NAL unit of a packet.

    Units follow their lengths in MP4 and Matroska, as the decoder's extradata says,
    and start codes elsewhere (ISO/IEC 14496-15, 5.3; ITU-T H.264, annex B).
    """
    extradata = decoder.extradata or b''
    place = 4 if decoder.name == 'h264' else 21
    if extradata[:1] != b'\x01' or len(extradata) <= place:
        return lambda data: (unit[1][0] for unit in re.finditer(rb'\x00\x00\x01(.)', data, re.S))
    width = (extradata[place] & 3) + 1

    def after_lengths(data):
        at = 0
        while at + width < len(data):
            yield data[at + width]
            at += width + int.from_bytes(data[at : at + width], 'big')

    return after_lengths
