"""A video stream's packets by number, and which of them decoding may start at."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain

import av
from av.stream import Discard, Disposition

from .bitstreams import is_hidden, is_key_frame, picture_type, says_orientation
from .source import Source, VideoError

MAX_PIXELS = 36_000_000  # of a frame: 8192 x 4320
HELD_BYTES = 64 << 20  # of packets that stay in memory
PACKET_BYTES = 600  # that each of them takes besides its content

# Containers of one local file; not playlists and scripts, which name other files.
FORMATS = (
    'mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,flv,asf,mpegts,mpeg,mpegvideo,m4v,ogg,'
    'h261,h263,h264,hevc,vvc,vc1,av1,obu,ivf,mjpeg,nut,gif,apng,mxf,rm,dv,gxf,wtv,amv,'
    'yuv4mpegpipe,swf'
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
        types (str): Of pictures, as of ``picture_type``.
        hidden (set[int]): Those whose frames an edit list or the codec hides.
        corrupt (set[int]): Those of which the container lost something.
        keys (list[int]): Those that decoding can start at.
        flagged (int): How many the container calls key frames, or its index does.
        turned (bool): Whether the video itself says how it is to be turned.
        codec (str): Its name, whatever decoder is used.
        format (str): FFmpeg's name of the container's format.
        streams (int): Of video in the container.
    """

    def __init__(self, source: Source) -> None:
        self._source = source
        self._container, self.stream = open_container(source)
        self.pts, self.sizes, self.keys = [], [], []
        self.hidden, self.corrupt, self.flagged = set(), set(), 0
        self.turned = False
        self._held, held, self._numbers = [], 0, {}
        decoder = self.stream.codec_context
        self.codec = decoder.codec.canonical_name
        types = []
        for number, packet in enumerate(_demux(self._container, self.stream)):
            source.check()
            self.pts.append(packet.pts)
            self.sizes.append(packet.size)
            types.append(picture_type(self.codec, packet))
            if number == 0:
                self.turned = says_orientation(decoder, packet)
            if packet.is_discard or is_hidden(self.codec, packet):
                self.hidden.add(number)
            if packet.is_corrupt:
                self.corrupt.add(number)
            self.flagged += packet.is_keyframe
            if packet.is_keyframe and is_key_frame(decoder, packet):
                self.keys.append(number)
                known = self._numbers.setdefault(_identity(packet), number)
                if known != number:
                    self._numbers[_identity(packet)] = None
            held += packet.size + PACKET_BYTES
            if self._held is not None:
                self._held.append(packet)
                if held > HELD_BYTES:
                    self._held = None
        while self.corrupt and max(self.corrupt) == len(self) - 1:  # it ends within it
            last = len(self) - 1
            self.corrupt.remove(last)
            self.hidden.discard(last)
            self.keys = [key for key in self.keys if key != last]
            self.pts.pop()
            self.sizes.pop()
        entries = sum(entry.is_keyframe for entry in self.stream.index_entries)
        self.flagged = max(self.flagged, entries)
        self.types = ''.join(types)
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
