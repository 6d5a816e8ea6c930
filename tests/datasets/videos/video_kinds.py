"""Videos of many kinds, made on the spot, whose frames carry their number.

``KINDS`` names them; ``Kind.make(path)`` writes one and returns what a player shows of
it: the number of each frame in display order, the shape, and the colours. This truth
comes from what was written. Only where that cannot be known, as in a file that is cut
within an open group of pictures, it comes from one decode from beginning to end.
"""

from __future__ import annotations

import functools
import struct
import tempfile
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
from av.bitstream import BitStreamFilterContext
from av.stream import Disposition

FRAMES = 40
SIZE = 192, 128
RATE = 25
BITS = 8
RED, BLUE = (190, 60, 50), (50, 90, 190)

# red and blue weights of luma
MATRICES = {
    'bt601': (0.299, 0.114),
    'bt709': (0.2126, 0.0722),
    'bt2020': (0.2627, 0.0593),
    'fcc': (0.30, 0.11),
    'smpte240m': (0.212, 0.087),
}


@dataclass(frozen=True)
class Tags:
    """How the colours of a video are coded, and what its headers say of it."""

    matrix: str = 'bt601'
    full: bool = False
    colorspace: int = 2  # unspecified
    primaries: int = 2
    transfer: int = 2


PLAIN = Tags()
FULL = Tags(full=True)
BT601 = Tags('bt601', colorspace=6, primaries=6, transfer=6)
BT709 = Tags('bt709', colorspace=1, primaries=1, transfer=1)
BT709_FULL = replace(BT709, full=True)
BT2020 = Tags('bt2020', colorspace=9, primaries=9, transfer=14)
PQ = replace(BT2020, transfer=16)
HLG = replace(BT2020, transfer=18)
FCC = Tags('fcc', colorspace=4, primaries=4, transfer=4)
SMPTE240M = Tags('smpte240m', colorspace=7, primaries=7, transfer=7)


@dataclass(frozen=True)
class Truth:
    """What a player shows of a file.

    Attributes:
        numbers (tuple[int, ...]): Of the frames in display order.
        shape (tuple[int, int]): Height and width of each, upright.
        red, blue (tuple[int, int, int]): RGB of the two patches.
        tolerance (int): Of their levels, out of 255.
        doubtful (frozenset[int]): Places of frames that may be refused, for they are
            damaged. Those at the end need not be counted, and one more may be, of
            which the file has only a part.
        optional (bool): The whole file may be refused.
    """

    numbers: tuple[int, ...]
    shape: tuple[int, int]
    red: tuple[int, int, int] = RED
    blue: tuple[int, int, int] = BLUE
    tolerance: int = 12
    doubtful: frozenset[int] = frozenset()
    optional: bool = False

    @property
    def counts(self) -> range:
        """The numbers of frames that are right."""
        least = len(self.numbers)
        while least - 1 in self.doubtful:
            least -= 1
        partial = least < len(self.numbers)
        return range(least, len(self.numbers) + 1 + partial)

    def faults(self, place: int, frame: np.ndarray) -> str:
        """What is wrong with a frame: '' or some of 'shape', 'frame', 'side', 'colour'.

        Args:
            place (int): In display order, from 0.
            frame (np.ndarray): (H, W, 3) uint8 RGB.
        """
        if frame.shape[:2] != self.shape:
            return 'shape'
        seen = read(frame)
        if not seen.shows(self.numbers[place]):
            turned = (frame[::-1], frame[:, ::-1], frame[::-1, ::-1])
            found = any(read(image).shows(self.numbers[place]) for image in turned)
            return 'side' if found else 'frame'
        error = np.abs(np.subtract([seen.red, seen.blue], [self.red, self.blue])).max()
        return 'colour' if error > self.tolerance else ''


@dataclass(frozen=True)
class Kind:
    """A kind of file; ``make(path)`` writes one. ``truth`` None: nothing to show."""

    codec: str
    container: str
    note: str
    make: Callable[[Path], Truth | None]
    extension: str = ''

    @property
    def name(self) -> str:
        words = f'{self.codec} {self.container} {self.note}'
        return '-'.join(words.lower().replace(':', '').replace(',', '').split())

    @property
    def turned(self) -> bool:
        return self.note.startswith('rotated') or self.note in ORIENTATIONS

    @property
    def filename(self) -> str:
        return f'{self.name}.{self.extension or self.container}'


# ----------------------------------------------------------------- pictures


def picture(number: int, size: tuple[int, int]) -> np.ndarray:
    """An RGB picture that carries a number below 256.

    Above, its bits, and below them the bits inverted, so that what was never decoded is
    no number; then a white mark in the left corner, grey, a red and a blue patch.
    """
    width, height = size
    image = np.empty((height, width, 3), np.uint8)
    y, half = height // 4, height // 2
    for bit in range(BITS):
        columns = slice(bit * width // BITS, (bit + 1) * width // BITS)
        on = number >> bit & 1
        image[:y, columns] = 230 if on else 25
        image[y:half, columns] = 25 if on else 230
    for quarter, colour in enumerate([(235,) * 3, (90,) * 3, RED, BLUE]):
        image[half:, quarter * width // 4 : (quarter + 1) * width // 4] = colour
    return image


@dataclass(frozen=True)
class Seen:
    number: int | None
    corner: str
    red: tuple[float, ...]
    blue: tuple[float, ...]

    def shows(self, number: int) -> bool:
        return (self.number, self.corner) == (number, 'bottom left')


def read(frame: np.ndarray) -> Seen:
    """What ``picture`` wrote into an (H, W, 3) frame."""
    small = cv2.resize(frame, (4 * BITS, 16), None, 0, 0, cv2.INTER_AREA)
    small = small.astype(np.float32)
    grey = small.mean(2)
    # the inner halves of the blocks: two rows of four, and two columns of four
    above, below = (
        grey[rows].reshape(2, BITS, 4)[..., 1:3].mean((0, 2))
        for rows in (slice(1, 3), slice(5, 7))
    )
    contrast = above - below
    number = sum(int(on) << bit for bit, on in enumerate(contrast > 0))
    # of the bottom row each quarter is uniform; of the top each block is half and half
    corners = {
        'bottom left': grey[10:14, 2:6].mean(),
        'bottom right': grey[10:14, -6:-2].mean(),
        'top left': grey[2:6, 2:6].mean(),
        'top right': grey[2:6, -6:-2].mean(),
    }
    return Seen(
        number if abs(contrast).min() >= 80 else None,
        max(corners, key=corners.get),
        tuple(small[10:14, 18:22].mean((0, 1))),
        tuple(small[10:14, 26:30].mean((0, 1))),
    )


def coded(
    number: int,
    size: tuple[int, int],
    pix_fmt: str,
    tags: Tags,
    stored: Callable[[np.ndarray], np.ndarray] = np.asarray,
) -> av.VideoFrame:
    """A picture as a frame, with the formula of YUV worked out here."""
    image = np.ascontiguousarray(stored(picture(number, size)))
    if not pix_fmt.startswith(('yuv', 'gray')) or pix_fmt == 'yuyv422':
        frame = av.VideoFrame.from_ndarray(image, format='rgb24')
        return frame.reformat(format=pix_fmt)
    frame = av.VideoFrame(image.shape[1], image.shape[0], pix_fmt)
    frame.colorspace, frame.color_range = tags.colorspace, 2 if tags.full else 1
    frame.color_primaries, frame.color_trc = tags.primaries, tags.transfer
    planes = _planes(number, size, pix_fmt, tags, stored)
    for plane, levels in zip(frame.planes, planes):
        rows = np.zeros((plane.height, plane.line_size), np.uint8)
        rows[:, : levels.shape[1]] = levels
        plane.update(rows.tobytes())
    return frame


@functools.lru_cache(512)
def _planes(number, size, pix_fmt, tags, stored):
    """Y, U, V and alpha, as rows of bytes."""
    rgb = stored(picture(number, size)) / 255.0
    kr, kb = MATRICES[tags.matrix]
    luma = rgb @ (kr, 1 - kr - kb, kb)
    u = (rgb[..., 2] - luma) / (2 - 2 * kb)
    v = (rgb[..., 0] - luma) / (2 - 2 * kr)
    alpha = np.full_like(luma, 0.3)
    planes = []
    components = av.VideoFormat(pix_fmt, rgb.shape[1], rgb.shape[0]).components
    for i, (component, value) in enumerate(zip(components, (luma, u, v, alpha))):
        most, half = 2**component.bits - 1, 2 ** (component.bits - 1)
        if i in (1, 2):
            value = _shrink(value, component.height, component.width)
            levels = value * (most if tags.full else half * 224 / 128) + half
        elif tags.full or component.is_alpha:
            levels = value * most
        else:
            levels = (value * 219 + 16) * half / 128
        dtype = np.uint8 if component.bits == 8 else np.uint16
        planes.append(np.clip(levels.round(), 0, most).astype(dtype).view(np.uint8))
    return planes


def _shrink(value, height, width):
    """Means of boxes, as chroma is shrunk; the last row and column come twice."""
    y, x = -(-value.shape[0] // height), -(-value.shape[1] // width)
    pads = (0, y * height - value.shape[0]), (0, x * width - value.shape[1])
    value = np.pad(value, pads, 'edge')
    return sum(value[i::y, k::x] for i in range(y) for k in range(x)) / (x * y)


# ----------------------------------------------------------------- writing

QUALITY = {
    'libx264': {'preset': 'veryfast', 'crf': '16'},
    'libx264rgb': {'preset': 'veryfast', 'crf': '16'},
    'libx265': {'preset': 'ultrafast', 'crf': '16'},
    'libsvtav1': {'preset': '12', 'crf': '20', 'svtav1-params': 'lp=1'},
    'libvpx': {'deadline': 'realtime', 'cpu-used': '8', 'crf': '8', 'b': '2M'},
    'libvpx-vp9': {'deadline': 'realtime', 'cpu-used': '8', 'crf': '20', 'b': '0'},
    'cinepak': {'max_strips': '1'},
}
OTHERS = {'flags': '+qscale', 'global_quality': str(2 * 118)}
NAMES = {
    'libx264': 'H.264',
    'libx264rgb': 'H.264',
    'libx265': 'HEVC',
    'libsvtav1': 'AV1',
    'libvpx': 'VP8',
    'libvpx-vp9': 'VP9',
    'mpeg1video': 'MPEG-1',
    'mpeg2video': 'MPEG-2',
    'mpeg4': 'MPEG-4',
    'msmpeg4v2': 'MSMPEG4v2',
    'msmpeg4': 'MSMPEG4v3',
    'prores_ks': 'ProRes',
    'flv': 'FLV1',
    'dvvideo': 'DV',
}


def write(
    path: Path,
    codec: str = 'libx264',
    numbers: Iterable[int] = range(FRAMES),
    *,
    size: tuple[int, int] = SIZE,
    pix_fmt: str = 'yuv420p',
    tags: Tags = PLAIN,
    rate: int | Fraction = RATE,
    gop: int = 12,
    options: dict[str, str] | None = None,
    muxer: str | None = None,
    mux: dict[str, str] | None = None,
    times: Callable[[int], Fraction] | None = None,
    setup: Callable | None = None,
    sound: tuple[float, float] | None = None,
    stored: Callable[[np.ndarray], np.ndarray] = np.asarray,
    **expected: object,
) -> Truth:
    """Encode pictures into a file.

    Args:
        path (Path): The file; its ending decides on the container, unless ``muxer``.
        codec (str): FFmpeg's name of the encoder.
        numbers (Iterable[int]): Of the pictures.
        size (tuple[int, int]): Width and height.
        pix_fmt (str): FFmpeg's name of the pixel format.
        tags (Tags): How colours are coded.
        rate (int | Fraction): Frames per second.
        gop (int): Frames from a key frame to the next.
        options (dict, optional): Of the encoder.
        muxer (str, optional): FFmpeg's name of the container.
        mux (dict, optional): Options of the container.
        times (Callable, optional): Seconds at which the i-th frame is shown.
        setup (Callable, optional): Called with the stream before it is opened.
        sound (tuple[float, float], optional): Start and end of silence, in seconds.
        stored (Callable): Turns an upright picture into what is coded.
        **expected: Of the ``Truth``.
    """
    numbers = tuple(numbers)
    with av.open(str(path), 'w', format=muxer, options=mux or {}) as container:
        quality = QUALITY.get(codec, OTHERS)
        stream = container.add_stream(
            codec, rate=rate, options={**quality, **(options or {})}
        )
        stream.height, stream.width = stored(picture(0, size)).shape[:2]
        stream.pix_fmt = pix_fmt
        context = stream.codec_context
        context.gop_size = gop
        context.thread_count = 1
        if pix_fmt.startswith('yuv'):
            context.color_range = 2 if tags.full else int(tags is not PLAIN)
            context.colorspace = tags.colorspace
            context.color_primaries, context.color_trc = tags.primaries, tags.transfer
        if times:
            context.time_base = Fraction(1, 1000)
        if setup:
            setup(stream)
        if sound:
            _add_silence(container, *sound)
        for i, number in enumerate(numbers):
            frame = coded(number, size, pix_fmt, tags, stored)
            if times:
                frame.time_base = Fraction(1, 1000)
                frame.pts = round(1000 * times(i))
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return Truth(numbers, (size[1], size[0]), **expected)


def _add_silence(container, start, end):
    codec = dict(avi='mp2', mpegts='mp2', mpeg='mp2').get(container.format.name, 'aac')
    stream = container.add_stream(codec, rate=48000, layout='mono')
    samples = 1152 if codec == 'mp2' else 1024
    layout = dict(format=stream.format.name, layout='mono')
    zeros = np.zeros((1, samples), np.int16 if codec == 'mp2' else np.float32)
    container.start_encoding()
    for at in range(int(start * 48000), int(end * 48000), samples):
        frame = av.AudioFrame.from_ndarray(zeros, **layout)
        frame.sample_rate, frame.time_base, frame.pts = 48000, Fraction(1, 48000), at
        container.mux(stream.encode(frame))
    container.mux(stream.encode())


def copy(
    path: Path,
    sources: Path | Sequence[Path],
    edit: Callable | None = None,
    *,
    muxer: str | None = None,
    mux: dict[str, str] | None = None,
    setup: Callable | None = None,
) -> None:
    """Copy the packets of the first stream of each source, without decoding.

    Args:
        path (Path): The file to write.
        sources (Path | Sequence[Path]): The files to read.
        edit (Callable, optional): Given the list of packets of a source, returns those
            to write, which it may have changed.
        muxer (str, optional): FFmpeg's name of the container.
        mux (dict, optional): Options of the container.
        setup (Callable, optional): Called with the streams.
    """
    sources = [sources] if isinstance(sources, Path) else sources
    inputs = [av.open(str(source)) for source in sources]
    with av.open(str(path), 'w', format=muxer, options=mux or {}) as container:
        streams = [container.add_stream_from_template(x.streams[0]) for x in inputs]
        if setup:
            setup(*streams)
        for source, stream in zip(inputs, streams):
            packets = [packet for packet in source.demux(0) if packet.size]
            for packet in edit(packets) if edit else packets:
                packet.stream = stream
                container.mux(packet)
    for source in inputs:
        source.close()


def linear(path: Path) -> list[int | None]:
    """Numbers of all frames, decoded from beginning to end without a seek."""
    numbers = []
    with av.open(str(path)) as container:
        stream = container.streams.best('video')
        stream.thread_type = 'NONE'
        for packet in container.demux(stream):
            try:
                for frame in packet.decode():
                    numbers.append(read(frame.to_ndarray(format='rgb24')).number)
            except av.FFmpegError:  # players go on with the next packet
                pass
    return numbers


# ----------------------------------------------------------------- the table

KINDS: list[Kind] = []
PLAIN_KINDS = 'h.264-mp4-plain', 'h.264-mp4-no-b-frames', 'h.264-mp4-faststart'


def kind(codec: str, container: str, note: str = 'plain', **how: object) -> None:
    """A kind that ``write`` makes."""
    make = functools.partial(write, codec=codec, **how)
    name = NAMES.get(codec, codec)
    KINDS.append(Kind(name, container, note, make))


def special(codec: str, container: str, note: str, extension: str = '') -> Callable:
    """A kind that the decorated function makes, given the path and a free folder."""

    def decorate(function):
        def make(path):
            with tempfile.TemporaryDirectory() as folder:
                return function(path, Path(folder))

        KINDS.append(Kind(codec, container, note, make, extension))
        return function

    return decorate


def x264(params: str) -> dict:
    return {'x264-params': f'scenecut=0:{params}'}


def x265(params: str) -> dict:
    return {
        'x265-params': f'log-level=none:pools=none:frame-threads=1:scenecut=0:{params}'
    }


CLOSED = x264('bframes=3')
OPEN = x264('open-gop=1:bframes=3:b-pyramid=normal')
NO_B = x264('bframes=0')
HEVC = x265('open-gop=0')
HEVC_OPEN = x265('open-gop=1:bframes=3')
B_FRAMES = {'bf': '2'}
LOSSY = dict(tolerance=24)

# H.264
for container in ('mp4', 'mkv', 'mov', 'flv', 'avi', 'ts', 'm2ts', '3gp', 'nut', 'wmv'):
    kind('libx264', container, options=CLOSED)
kind('libx264', 'f4v', options=CLOSED)
kind('libx264', 'vob', options=CLOSED)
kind('libx264', 'mxf', options=CLOSED)
kind('libx264', 'h264', 'raw', options=CLOSED)
kind('libx264', 'mp4', 'faststart', options=CLOSED, mux={'movflags': 'faststart'})
kind(
    'libx264',
    'mp4',
    'fragmented',
    options=CLOSED,
    mux={'movflags': 'frag_keyframe+empty_moov+default_base_moof'},
)
kind(
    'libx264',
    'mp4',
    'hybrid fragments',
    options=CLOSED,
    mux={'movflags': 'frag_every_frame'},
)
kind('libx264', 'mp4', 'no edit list', options=CLOSED, mux={'use_editlist': '0'})
kind(
    'libx264',
    'mp4',
    'negative offsets',
    options=CLOSED,
    mux={'movflags': 'negative_cts_offsets'},
)
kind('libx264', 'mkv', 'live, no cues', options=CLOSED, mux={'live': '1'})
kind('libx264', 'mp4', 'no B-frames', options=NO_B)
kind('libx264', 'mp4', 'one key frame', options=CLOSED, gop=1000)
kind(
    'libx264',
    'ts',
    'few key frames',
    options=CLOSED,
    gop=250,
    numbers=range(256),
    rate=30,
)
kind('libx264', 'mp4', 'all key frames', options=CLOSED, gop=1)
kind('libx264', 'mp4', '16 B-frames', options=x264('bframes=16:b-adapt=0'), gop=40)
kind(
    'libx264',
    'mp4',
    'strict pyramid',
    options=x264('bframes=7:b-adapt=0:b-pyramid=strict'),
)
for container in ('mp4', 'mkv', 'ts', 'avi', 'h264'):
    kind('libx264', container, 'open GOP', options=OPEN)
for container in ('mp4', 'ts', 'mkv'):
    kind(
        'libx264', container, 'intra refresh', options=x264('intra-refresh=1:bframes=0')
    )
kind('libx264', 'mp4', 'interlaced', options=x264('tff=1:bframes=3'))
kind('libx264', 'ts', 'interlaced', options=x264('tff=1:bframes=3'))
kind('libx264', 'mp4', 'pulldown', options=x264('pulldown=32:bframes=3'))
kind('libx264', 'mp4', 'slices', options=x264('slices=4:bframes=3'))
kind('libx264', 'mp4', '10 bit', options=CLOSED, pix_fmt='yuv420p10le')
kind('libx264', 'mkv', '4:2:2', options=CLOSED, pix_fmt='yuv422p')
kind('libx264', 'mp4', '4:4:4', options=CLOSED, pix_fmt='yuv444p')
kind('libx264', 'mp4', '4:4:4 10 bit', options=CLOSED, pix_fmt='yuv444p10le')
kind('libx264', 'mp4', 'lossless', options={**CLOSED, 'crf': '0', 'qp': '0'})
GREY = {
    name: (round(np.dot(c, (0.299, 0.587, 0.114))),) * 3
    for name, c in (('red', RED), ('blue', BLUE))
}
kind('libx264', 'mp4', 'gray', options=CLOSED, pix_fmt='gray', **GREY)
kind('libx264rgb', 'mp4', 'RGB', options=CLOSED, pix_fmt='rgb24')
kind('libx264', 'mp4', 'full range', options=CLOSED, tags=FULL)
kind('libx264', 'mp4', 'BT.601', options=CLOSED, tags=BT601)
kind('libx264', 'mp4', 'BT.709', options=CLOSED, tags=BT709)
kind('libx264', 'mkv', 'BT.709 full range', options=CLOSED, tags=BT709_FULL)
kind('libx264', 'ts', 'BT.709', options=CLOSED, tags=BT709)
kind('libx264', 'mp4', 'BT.2020', options=CLOSED, tags=BT2020)
kind('libx264', 'mp4', 'cropped', options=CLOSED, size=(190, 122))
kind('libx264', 'mp4', 'odd size', options=CLOSED, size=(191, 127), pix_fmt='yuv444p')
kind('libx264', 'mp4', 'very wide', options=CLOSED, size=(1024, 32))
kind('libx264', 'mp4', 'one frame', options=CLOSED, numbers=[5])
kind('libx264', 'mkv', 'one frame', options=CLOSED, numbers=[5])
kind('libx264', 'ts', 'one frame', options=CLOSED, numbers=[5])
kind('libx264', 'mp4', 'two frames', options=CLOSED, numbers=[5, 9])
kind('libx264', 'avi', 'two frames', options=CLOSED, numbers=[5, 9])


def _wide_pixels(stream):
    stream.codec_context.sample_aspect_ratio = Fraction(2, 1)


kind('libx264', 'mp4', 'wide pixels', options=CLOSED, setup=_wide_pixels)


def _timecode(stream):
    stream.metadata['timecode'] = '01:00:00:00'


kind('libx264', 'mov', 'data stream', options=CLOSED, setup=_timecode)


def _irregular(i):
    return Fraction(i * 40 + (i * i * 7) % 37 + 500 * (i > 20), 1000)


for container in ('mp4', 'mkv', 'ts', 'flv'):
    kind('libx264', container, 'variable rate', options=CLOSED, times=_irregular)
for container in ('mp4', 'mkv', 'ts', 'nut'):
    kind(
        'libx264',
        container,
        'late start',
        options=CLOSED,
        times=lambda i: 36000 + Fraction(i, RATE),
    )
kind('libx264', 'mp4', 'long audio', options=CLOSED, sound=(0, 6))
kind('libx264', 'mkv', 'long audio', options=CLOSED, sound=(0, 6))
kind('libx264', 'ts', 'long audio', options=CLOSED, sound=(0, 6))
for container in ('mp4', 'mkv', 'ts'):
    kind(
        'libx264',
        container,
        'early audio',
        options=CLOSED,
        sound=(0, 3),
        times=lambda i: 1 + Fraction(i, RATE),
    )
kind('libx264', 'mp4', 'late audio', options=CLOSED, sound=(1, 3))


ORIENTATIONS = {
    'rotated 90': ((0, 1, -1, 0), lambda image: np.rot90(image)),
    'rotated 180': ((-1, 0, 0, -1), lambda image: image[::-1, ::-1]),
    'rotated 270': ((0, -1, 1, 0), lambda image: np.rot90(image, -1)),
    'mirrored': ((-1, 0, 0, 1), lambda image: image[:, ::-1]),
    'upside down': ((1, 0, 0, -1), lambda image: image[::-1]),
    'transposed': ((0, 1, 1, 0), lambda image: image.transpose(1, 0, 2)),
    'transversed': (
        (0, -1, -1, 0),
        lambda image: image[::-1, ::-1].transpose(1, 0, 2),
    ),
}


def _turn(matrix, stream):
    a, b, c, d = (round(65536 * x) for x in matrix)
    stream.set_display_matrix([a, b, 0, c, d, 0, 0, 0, 1 << 30])


for note, (matrix, stored) in ORIENTATIONS.items():
    turned = dict(setup=functools.partial(_turn, matrix), stored=stored)
    kind('libx264', 'mp4', note, options=CLOSED, **turned)
for container in ('mov', 'mkv'):
    for note in ('rotated 90', 'rotated 180', 'mirrored'):
        matrix, stored = ORIENTATIONS[note]
        turned = dict(setup=functools.partial(_turn, matrix), stored=stored)
        kind('libx264', container, note, options=CLOSED, **turned)
DIAGONAL = functools.partial(_turn, (0.7071, 0.7071, -0.7071, 0.7071))
kind('libx264', 'mp4', 'rotated 45', options=CLOSED, setup=DIAGONAL, optional=True)

NTSC = Fraction(30000, 1001)
for container in ('mp4', 'mkv', 'ts', 'avi', 'flv'):
    kind('libx264', container, 'NTSC rate', options=CLOSED, rate=NTSC)
kind('libx264', 'mkv', '2000 per second', options=CLOSED, rate=2000)
kind('libx264', 'mp4', 'one in ten seconds', options=CLOSED, rate=Fraction(1, 10))
kind('libx264', 'mp4', 'FCC', options=CLOSED, tags=FCC)
kind('libx264', 'mp4', 'SMPTE 240M', options=CLOSED, tags=SMPTE240M)
TEN = dict(options=CLOSED, pix_fmt='yuv420p10le')
kind('libx264', 'mp4', '10 bit full range', tags=BT709_FULL, **TEN)
kind('libx264', 'mp4', '10 bit 4:2:2', options=CLOSED, pix_fmt='yuv422p10le')
kind('libx264', 'mp4', 'gray 10 bit', options=CLOSED, pix_fmt='gray10le', **GREY)
HD = dict(size=(1280, 720), numbers=range(12))
kind('libx264', 'mp4', 'HD, unspecified', options=CLOSED, **HD)
kind('libx264', 'mp4', 'HD, BT.709', options=CLOSED, tags=BT709, **HD)
for flags in ('frag_keyframe', 'cmaf+frag_keyframe', 'dash+frag_keyframe', 'rtphint'):
    mux = {'movflags': f'{flags}+delay_moov' if 'cmaf' in flags else flags}
    kind('libx264', 'mp4', flags.replace('+', ' '), options=CLOSED, mux=mux)
kind('libx264', 'ismv', options=CLOSED)
kind('libx264', 'ts', 'filler', options=x264('nal-hrd=cbr:aud=1:bframes=3'))
kind('libx264', 'mp4', '16 references', options=x264('ref=16:bframes=3:b-adapt=0'))

# HEVC
kind('libx265', 'mp4', 'leading frames', options=x265('radl=2:open-gop=0:bframes=4'))
kind('libx265', 'mp4', 'intra refresh', options=x265('intra-refresh=1:bframes=0'))
kind('libx265', 'mkv', 'NTSC rate', options=HEVC_OPEN, rate=NTSC)
for container in ('mp4', 'mkv', 'ts'):
    kind('libx265', container, 'closed GOP', options=HEVC)
    kind('libx265', container, 'open GOP', options=HEVC_OPEN)
kind('libx265', 'hevc', 'raw', options=HEVC)
kind('libx265', 'hevc', 'raw, open GOP', options=HEVC_OPEN)
kind('libx265', 'flv', 'closed GOP', options=HEVC)
kind('libx265', 'mp4', 'temporal layers', options=x265('temporal-layers=3:b-adapt=0'))
kind('libx265', 'mp4', '10 bit', options=HEVC, pix_fmt='yuv420p10le')
kind('libx265', 'mp4', 'PQ', options=HEVC, pix_fmt='yuv420p10le', tags=PQ)
kind('libx265', 'mkv', 'HLG', options=HEVC_OPEN, pix_fmt='yuv420p10le', tags=HLG)
kind('libx265', 'mp4', 'full range', options=HEVC, tags=BT709_FULL)
kind('libx265', 'mp4', '4:4:4', options=HEVC, pix_fmt='yuv444p')
kind('libx265', 'mp4', 'odd size', options=HEVC, size=(191, 127), pix_fmt='yuv444p')
matrix, stored = ORIENTATIONS['rotated 90']
turned = dict(setup=functools.partial(_turn, matrix), stored=stored)
kind('libx265', 'mp4', 'rotated 90', options=HEVC_OPEN, **turned)

# AV1, VP8, VP9
for container in ('mp4', 'mkv', 'webm', 'ivf', 'obu'):
    kind('libsvtav1', container)
kind('libsvtav1', 'mp4', '10 bit', pix_fmt='yuv420p10le', tags=BT709)
OPEN_AV1 = {'svtav1-params': 'lp=1:irefresh-type=1'}
for container in ('mp4', 'mkv'):
    kind('libsvtav1', container, 'open GOP', options=OPEN_AV1)
kind(
    'libsvtav1', 'mp4', 'overlays', options={'svtav1-params': 'lp=1:enable-overlays=1'}
)
ALT_REF = {
    'deadline': 'good',
    'auto-alt-ref': '1',
    'lag-in-frames': '16',
    'arnr-maxframes': '5',
}
for container in ('webm', 'mkv', 'ivf', 'ogv'):
    kind('libvpx', container)
    kind('libvpx', container, 'hidden frames', options=ALT_REF, gop=24)
for container in ('webm', 'mp4', 'ivf'):
    kind('libvpx-vp9', container)
    kind('libvpx-vp9', container, 'hidden frames', options=ALT_REF, gop=24)
kind('libvpx-vp9', 'webm', '4:4:4', pix_fmt='yuv444p', tags=BT709)
kind('libvpx-vp9', 'webm', 'odd size', size=(191, 127))
kind('libvpx-vp9', 'webm', 'tiny', size=(33, 17), pix_fmt='yuv444p')
kind('libvpx-vp9', 'webm', 'very wide', size=(1024, 32))
kind('libvpx', 'webm', 'variable rate', times=_irregular)


def _alpha_mode(stream):
    stream.metadata['alpha_mode'] = '1'


ALPHA = dict(options={'auto-alt-ref': '0'}, pix_fmt='yuva420p', setup=_alpha_mode)
kind('libvpx', 'webm', 'alpha', **ALPHA)
kind('libvpx-vp9', 'webm', 'alpha', **ALPHA)

# MPEG-1, MPEG-2
for codec in ('mpeg1video', 'mpeg2video'):
    for container in ('mpg', 'ts', 'mkv', 'avi'):
        kind(codec, container, 'open GOP', options=B_FRAMES)
    kind(codec, 'mpg', 'no B-frames')
kind('mpeg1video', 'mp4', 'open GOP', options=B_FRAMES)
kind('mpeg2video', 'vob', 'open GOP', options=B_FRAMES)
kind('mpeg2video', 'mov', 'open GOP', options=B_FRAMES)
kind('mpeg2video', 'mxf', 'open GOP', options=B_FRAMES)
kind('mpeg2video', 'wtv', 'open GOP', options=B_FRAMES)
kind('mpeg2video', 'm2v', 'raw, open GOP', options=B_FRAMES)
CLOSED_2 = {'bf': '2', 'flags': '+qscale+cgop', 'sc_threshold': '1000000000'}
kind('mpeg2video', 'ts', 'closed GOP', options=CLOSED_2)
kind('mpeg2video', 'mpg', 'closed GOP', options=CLOSED_2)
FIELDS = {'bf': '2', 'flags': '+qscale+ildct+ilme'}
kind('mpeg2video', 'mpg', 'interlaced', options=FIELDS)
kind('mpeg2video', 'ts', 'interlaced', options=FIELDS)
kind('mpeg2video', 'mkv', '4:2:2', options=B_FRAMES, pix_fmt='yuv422p')

kind('mpeg2video', 'mpg', 'NTSC rate', options=B_FRAMES, rate=NTSC)
kind('mpeg2video', 'ts', 'BT.709', options=B_FRAMES, tags=BT709)
kind('mpeg2video', 'vob', 'DVD', options=B_FRAMES, muxer='dvd')
kind('mpeg1video', 'mpg', 'VCD', options=B_FRAMES, muxer='vcd')

# MPEG-4 and its kin
FIELDS_4 = {'bf': '2', 'flags': '+qscale+ildct+ilme'}
kind('mpeg4', 'avi', 'interlaced', options=FIELDS_4)
kind('mpeg4', 'mp4', 'quarter pixels', options={'bf': '2', 'flags': '+qscale+qpel'})
kind('mpeg4', 'avi', 'NTSC rate', options=B_FRAMES, rate=NTSC)
for container in ('avi', 'mp4', 'mkv', 'mov', 'ts', '3gp'):
    kind('mpeg4', container, 'no B-frames')
    kind('mpeg4', container, 'B-frames', options=B_FRAMES)
kind('mpeg4', 'm4v', 'raw, B-frames', options=B_FRAMES)
kind('mpeg4', 'avi', 'one key frame', gop=600)
kind('mpeg4', 'mp4', 'one key frame', gop=600)
kind('mpeg4', 'avi', 'odd size', size=(191, 127))
for codec in ('msmpeg4v2', 'msmpeg4', 'wmv1', 'wmv2'):
    kind(codec, 'avi')
    kind(codec, 'mkv' if codec == 'msmpeg4' else 'wmv')
kind('wmv2', 'asf', 'long audio', sound=(0, 6))
kind('flv', 'flv')
kind('flv', 'swf')
kind('h263', '3gp', size=(176, 144))
kind('h263', 'avi', size=(176, 144))
kind('h263p', 'avi', size=(176, 144))
kind('h261', 'h261', 'raw', size=(176, 144))
kind('rv10', 'rm')
kind('rv20', 'rm', options={'bf': '0'})

# each frame for itself
JPEG = dict(pix_fmt='yuvj420p', tags=FULL)
for container in ('avi', 'mov', 'mkv', 'mjpeg', 'mp4'):
    kind('mjpeg', container, **JPEG)
kind('mjpeg', 'avi', 'odd size', size=(191, 127), **JPEG)
kind('mjpeg', 'avi', '4:2:2', pix_fmt='yuvj422p', tags=FULL)
kind('prores_ks', 'mov', pix_fmt='yuv422p10le', numbers=range(24))
kind(
    'prores_ks',
    'mov',
    'alpha',
    pix_fmt='yuva444p10le',
    numbers=range(24),
    options={'profile': '4444'},
)
kind('prores_ks', 'mkv', 'BT.709', pix_fmt='yuv422p10le', numbers=range(24), tags=BT709)
DNX = dict(
    pix_fmt='yuv422p',
    size=(256, 128),
    numbers=range(24),
    options={'profile': 'dnxhr_sq'},
)
kind('dnxhd', 'mxf', **DNX)
kind('dnxhd', 'mov', **DNX)
kind('cfhd', 'mov', pix_fmt='yuv422p10le', numbers=range(24))
kind('jpeg2000', 'mov', numbers=range(12), size=(96, 64))
kind('ffv1', 'mkv')
kind('ffv1', 'avi')
kind('ffv1', 'mkv', '10 bit', pix_fmt='yuv420p10le')
kind('huffyuv', 'avi', pix_fmt='yuv422p', numbers=range(24))
kind('ffvhuff', 'avi', numbers=range(24))
kind('utvideo', 'avi', numbers=range(24))
kind('rawvideo', 'avi', 'I420', size=(96, 64), numbers=range(24))
kind('rawvideo', 'avi', 'BGR', size=(33, 17), pix_fmt='bgr24', numbers=range(24))
kind('rawvideo', 'mov', 'I422', size=(96, 64), pix_fmt='yuyv422', numbers=range(24))
kind('rawvideo', 'nut', 'RGB', size=(96, 64), pix_fmt='rgb24', numbers=range(24))
kind('rawvideo', 'y4m', 'I420', size=(96, 64), numbers=range(24), muxer='yuv4mpegpipe')
for pix_fmt in ('yuv411p', 'yuv440p', 'yuva420p', 'yuv444p12le', 'gbrp10le'):
    kind('ffv1', 'mkv', pix_fmt, pix_fmt=pix_fmt, numbers=range(24))
kind('ffv1', 'mkv', 'full range', tags=FULL, numbers=range(24))
kind('ffv1', 'mkv', 'gray', pix_fmt='gray', numbers=range(24), **GREY)
kind('ffv1', 'mkv', 'gray 16 bit', pix_fmt='gray16le', numbers=range(24), **GREY)
kind('v210', 'mov', pix_fmt='yuv422p10le', size=(96, 64), numbers=range(12))
kind('png', 'mov', '16 bit', pix_fmt='rgb48be', numbers=range(24))
kind('png', 'mov', pix_fmt='rgb24')
kind('png', 'avi', pix_fmt='rgb24')
kind('png', 'mov', 'alpha', pix_fmt='rgba')
kind('qtrle', 'mov', pix_fmt='rgb24')
kind('rpza', 'mov', pix_fmt='rgb555le', **LOSSY)
kind('svq1', 'mov', pix_fmt='yuv410p', numbers=range(24), **LOSSY)
kind('cinepak', 'avi', pix_fmt='rgb24', size=(96, 64), numbers=range(24), **LOSSY)
kind('cinepak', 'mov', pix_fmt='rgb24', size=(96, 64), numbers=range(24), **LOSSY)
kind('msvideo1', 'avi', pix_fmt='rgb555le', **LOSSY)
kind('zmbv', 'avi', pix_fmt='bgr0')
kind('flashsv', 'flv', pix_fmt='bgr24')
kind('snow', 'avi')
kind('asv2', 'avi')
kind('dvvideo', 'dv', 'PAL', size=(720, 576), numbers=range(3))
kind('dvvideo', 'avi', 'PAL', size=(720, 576), numbers=range(3))
kind('gif', 'gif', pix_fmt='rgb8', numbers=range(24), tolerance=48)
kind('apng', 'apng', pix_fmt='rgb24')


# ------------------------------------------------- what no encoder alone writes


def _at(first):
    """Cuts in front of frame ``first`` as ``ffmpeg -ss -c copy``: it is shown at 0."""

    def edit(packets):
        step = Fraction(1, RATE) / packets[0].time_base
        zero = min(packet.pts for packet in packets) + round(first * step)
        keys = [i for i, p in enumerate(packets) if p.is_keyframe and p.pts <= zero]
        for packet in packets[keys[-1] :]:
            packet.pts -= zero
            packet.dts -= zero
            yield packet

    return edit


def _cut_by_edit_list(path, folder, **how):
    write(folder / 'a.mp4', **how)
    copy(path, folder / 'a.mp4', _at(18))
    return Truth(tuple(range(18, FRAMES)), SIZE[::-1])


for container in ('mp4', 'mov'):
    special('H.264', container, 'cut by an edit list')(
        functools.partial(_cut_by_edit_list, options=CLOSED)
    )
special('HEVC', 'mp4', 'cut by an edit list')(
    functools.partial(_cut_by_edit_list, codec='libx265', options=HEVC)
)
special('MPEG-4', 'mp4', 'cut by an edit list')(
    functools.partial(_cut_by_edit_list, codec='mpeg4', options=B_FRAMES)
)


def _negative(path, folder):
    """Frames before time 0, which no edit list hides."""
    write(folder / 'a.mkv', options=CLOSED)
    copy(path, folder / 'a.mkv', _at(18), mux={'avoid_negative_ts': 'disabled'})
    return Truth(tuple(range(12, FRAMES)), SIZE[::-1])


for container in ('mkv', 'ts'):
    special('H.264', container, 'negative times')(_negative)


def _shifted(path, folder):
    """Cut without an edit list: the muxer moves all times to 0."""
    write(folder / 'a.mkv', options=CLOSED)
    copy(path, folder / 'a.mkv', _at(18))
    return Truth(tuple(range(12, FRAMES)), SIZE[::-1])


for container in ('mkv', 'ts', 'flv'):
    special('H.264', container, 'cut')(_shifted)


def _within_open_gop(path, folder, **how):
    """Begins at an open group of pictures; its first frames cannot be decoded."""
    source = folder / ('a.ts' if path.suffix == '.ts' else 'a.mkv')  # where headers are
    write(source, **how)

    def edit(packets):
        keys = [i for i, packet in enumerate(packets) if packet.is_keyframe]
        return packets[keys[1] :]

    copy(path, source, edit)
    return Truth(tuple(linear(path)), SIZE[::-1])


for codec, how in (
    ('H.264', dict(options=OPEN)),
    ('HEVC', dict(codec='libx265', options=HEVC_OPEN)),
    ('MPEG-2', dict(codec='mpeg2video', options=B_FRAMES)),
    ('MPEG-4', dict(codec='mpeg4', options=B_FRAMES)),
):
    for container in ('mkv', 'ts', 'mp4'):
        special(codec, container, 'begins with an open GOP')(
            functools.partial(_within_open_gop, **how)
        )


def _late(seconds):
    def edit(packets):
        for packet in packets:
            ticks = round(seconds / packet.time_base)
            packet.pts += ticks
            packet.dts += ticks
            yield packet

    return edit


@special('H.264', 'ts', 'times wrap')
def _wrap(path, folder):
    write(folder / 'a.ts', options=CLOSED)
    copy(path, folder / 'a.ts', _late(Fraction(2**33, 90000) - 2))
    return Truth(tuple(range(FRAMES)), SIZE[::-1])


def _joined(path, folder, sizes=(SIZE, SIZE), **how):
    """Two files, one after the other: times begin anew."""
    parts = []
    for i, size in enumerate(sizes):
        part = folder / f'{i}{path.suffix}'
        numbers = range(i * FRAMES, (i + 1) * FRAMES)
        write(part, numbers=numbers, size=size, **how)
        parts.append(part.read_bytes())
    path.write_bytes(b''.join(parts))
    return Truth(tuple(range(2 * FRAMES)), sizes[0][::-1])


OTHER_SIZE = (128, 96)
for container in ('ts', 'm2ts', 'h264'):
    special('H.264', container, 'joined')(functools.partial(_joined, options=CLOSED))
special('HEVC', 'ts', 'joined')(
    functools.partial(_joined, codec='libx265', options=HEVC_OPEN)
)
special('MPEG-2', 'mpg', 'joined')(
    functools.partial(_joined, codec='mpeg2video', options=B_FRAMES)
)
special('MPEG-2', 'ts', 'joined')(
    functools.partial(_joined, codec='mpeg2video', options=B_FRAMES)
)
special('H.264', 'ts', 'joined, other size')(
    functools.partial(_joined, sizes=(SIZE, OTHER_SIZE), options=CLOSED)
)


@special('MPEG-2', 'mpg', 'joined, other size')
def _joined_mpeg2(path, folder):
    """FFmpeg's decoder drops the last frame of the first size."""
    sizes = SIZE, OTHER_SIZE
    truth = _joined(path, folder, sizes, codec='mpeg2video', options=B_FRAMES)
    return replace(truth, numbers=tuple(linear(path)), optional=True)


def _other_size(path, folder, between='nut', **how):
    """The size of the pictures changes half way, in one stream."""
    copies = []
    for i, size in enumerate((SIZE, OTHER_SIZE)):
        numbers = range(i * FRAMES, (i + 1) * FRAMES)
        copies.append(folder / f'{i}.{between}')
        write(copies[-1], numbers=numbers, size=size, **how)
    with (
        av.open(str(copies[0])) as first,
        av.open(str(copies[1])) as second,
        av.open(str(path), 'w') as container,
    ):
        stream = container.add_stream_from_template(first.streams[0])
        for i, source in enumerate((first, second)):
            packets = [packet for packet in source.demux(0) if packet.size]
            for packet in _late(Fraction(i * FRAMES, RATE))(packets):
                packet.stream = stream
                container.mux(packet)
    return Truth(tuple(range(2 * FRAMES)), SIZE[::-1])


for codec, container, how in (
    ('H.264', 'mkv', dict(between='ts', options=CLOSED)),
    ('H.264', 'ts', dict(between='ts', options=CLOSED)),
    ('VP8', 'webm', dict(codec='libvpx')),
    ('VP9', 'webm', dict(codec='libvpx-vp9')),
    ('MPEG-4', 'avi', dict(between='ts', codec='mpeg4')),
):
    special(codec, container, 'size changes')(functools.partial(_other_size, **how))


def _same_times(path, folder, **how):
    """Every fifth frame has the time of the one before."""
    write(folder / 'a.mkv', **how)

    def edit(packets):
        for i, packet in enumerate(packets):
            if i % 5 == 4:
                packet.pts, packet.dts = packets[i - 1].pts, packets[i - 1].dts
        return packets

    copy(path, folder / 'a.mkv', edit)
    return Truth(tuple(range(FRAMES)), SIZE[::-1])


special('mjpeg', 'mkv', 'same times')(
    functools.partial(_same_times, codec='mjpeg', **JPEG)
)
special('H.264', 'mkv', 'same times')(functools.partial(_same_times, options=NO_B))


def _decoding_times(path, folder, **how):
    """Frames have the times at which they are decoded, as from AVI or a raw stream."""
    write(folder / 'a.mkv', **how)

    def edit(packets):
        step = round(Fraction(1, RATE) / packets[0].time_base)
        for i, packet in enumerate(packets):
            packet.pts = packet.dts = i * step
            yield packet

    copy(path, folder / 'a.mkv', edit)
    return Truth(tuple(range(FRAMES)), SIZE[::-1])


for container in ('mkv', 'flv', 'mp4'):
    special('H.264', container, 'times of decoding')(
        functools.partial(_decoding_times, options=CLOSED)
    )
special('HEVC', 'mkv', 'times of decoding')(
    functools.partial(_decoding_times, codec='libx265', options=HEVC)
)


def _one_wrong_time(path, folder):
    """A frame has a time after key frames that it is decoded before."""
    write(folder / 'a.mkv', options=CLOSED)

    def edit(packets):
        packets[5].pts = packets[30].pts + 1
        return packets

    copy(path, folder / 'a.mkv', edit)
    return Truth(tuple(range(FRAMES)), SIZE[::-1])


special('H.264', 'mkv', 'one wrong time')(_one_wrong_time)


SMALL = (96, 64)


def _two_streams(path, folder, sizes, default=0):
    """The one that is marked as the default is shown, else the first."""
    sources = [folder / '0.mp4', folder / '1.mp4']
    for i, (source, size) in enumerate(zip(sources, sizes)):
        write(source, numbers=range(10 * i, 10 * i + 30), size=size, options=CLOSED)

    def setup(*streams):
        if default:
            streams[default].disposition = Disposition.default

    copy(path, sources, setup=setup)
    numbers = range(10 * default, 10 * default + 30)
    return Truth(tuple(numbers), sizes[default][::-1])


for container in ('mp4', 'mkv'):
    for note, how in (
        ('two streams, small first', dict(sizes=(SMALL, SIZE))),
        ('two streams, large first', dict(sizes=(SIZE, SMALL))),
        ('two streams, small second the default', dict(sizes=(SIZE, SMALL), default=1)),
    ):
        special('H.264', container, note)(functools.partial(_two_streams, **how))


def _cover(container):
    """A still picture that players show in lists, not as the video."""
    stream = container.add_stream('mjpeg', rate=1, options=OTHERS)
    stream.width, stream.height, stream.pix_fmt = 64, 64, 'yuvj420p'
    stream.disposition = Disposition.attached_pic
    return stream


def _with_cover(path, folder, video=True, first=False):
    write(folder / 'a.mkv', options=CLOSED)
    still = coded(255, (64, 64), 'yuvj420p', FULL)
    with av.open(str(folder / 'a.mkv')) as source, av.open(str(path), 'w') as out:
        if video:
            stream = out.add_stream_from_template(source.streams[0])
        cover = _cover(out)
        if not video:
            _add_silence(out, 0, 1)
        out.mux(cover.encode(still))
        out.mux(cover.encode())
        for packet in source.demux(0):
            if video and packet.size:
                packet.stream = stream
                out.mux(packet)
    if first:
        _metadata_first(path)
    return Truth(tuple(range(FRAMES)), SIZE[::-1]) if video else None


def _metadata_first(path):
    """Move ``udta``, where the cover is, in front of the tracks."""
    data = path.read_bytes()
    start = data.rindex(b'moov') - 4
    end = start + int.from_bytes(data[start : start + 4], 'big')
    boxes, at = [], start + 8
    while at < end:
        size = int.from_bytes(data[at : at + 4], 'big')
        boxes.append(data[at : at + size])
        at += size
    boxes.sort(key=lambda box: {b'mvhd': 0, b'udta': 1}.get(box[4:8], 2))
    path.write_bytes(data[: start + 8] + b''.join(boxes) + data[end:])


special('H.264', 'mp4', 'cover')(_with_cover)
special('H.264', 'mp4', 'cover first')(functools.partial(_with_cover, first=True))
special('audio', 'mp4', 'cover only')(functools.partial(_with_cover, video=False))


@special('H.264', 'mkv', 'cover')
def _attachment(path, folder):
    write(folder / 'a.mp4', options=CLOSED)
    write(
        folder / 'cover.png',
        'png',
        [255],
        size=(64, 64),
        pix_fmt='rgb24',
        muxer='image2',
    )
    with av.open(str(folder / 'a.mp4')) as source, av.open(str(path), 'w') as out:
        stream = out.add_stream_from_template(source.streams[0])
        out.add_attachment(
            'cover.png', 'image/png', (folder / 'cover.png').read_bytes()
        )
        for packet in source.demux(0):
            if packet.size:
                packet.stream = stream
                out.mux(packet)
    return Truth(tuple(range(FRAMES)), SIZE[::-1])


def _sound_only(path, folder):
    with av.open(str(path), 'w') as container:
        _add_silence(container, 0, 1)


special('audio', 'mp4', 'no video')(_sound_only)
special('audio', 'mkv', 'no video')(_sound_only)


def _with_subtitles(path, folder, codec):
    write(folder / 'a.mp4', options=CLOSED)
    with av.open(str(folder / 'a.mp4')) as source, av.open(str(path), 'w') as out:
        text = out.add_mux_stream(codec)
        stream = out.add_stream_from_template(source.streams[0])
        text.time_base = Fraction(1, 1000)
        for packet in source.demux(0):
            if packet.size:
                packet.stream = stream
                out.mux(packet)
        line = b'first line'
        packet = av.Packet(line if codec == 'subrip' else b'\0\x0a' + line)
        packet.stream, packet.time_base = text, Fraction(1, 1000)
        packet.pts = packet.dts = 200
        packet.duration = 5000
        out.mux(packet)
    return Truth(tuple(range(FRAMES)), SIZE[::-1])


special('H.264', 'mkv', 'subtitles')(functools.partial(_with_subtitles, codec='subrip'))
special('H.264', 'mp4', 'subtitles')(
    functools.partial(_with_subtitles, codec='mov_text')
)


@special('H.264', 'ts', 'rotated by SEI')
def _rotated_by_sei(path, folder):
    """The stream itself says so, where the container cannot: anticlockwise."""
    _, stored = ORIENTATIONS['rotated 270']
    write(folder / 'a.ts', options=CLOSED, stored=stored)
    with av.open(str(folder / 'a.ts')) as source, av.open(str(path), 'w') as out:
        stream = out.add_stream_from_template(source.streams[0])
        turn = 'h264_metadata=display_orientation=insert:rotate=90'
        turn = BitStreamFilterContext(turn, source.streams[0], stream)
        for packet in source.demux(0):
            for changed in turn.filter(packet if packet.size else None):
                changed.stream = stream
                out.mux(changed)
    return Truth(tuple(range(FRAMES)), SIZE[::-1])


# packed bit streams of MPEG-4, frames that are not coded


def _not_coded(stamp):
    """A VOP that only says: as before. ``stamp`` counts frames within a second."""
    bits = f'0101{stamp:05b}10'
    bits += '0' + '1' * (-(len(bits) + 1) % 8)  # stuffing
    return b'\0\0\1\xb6' + int(bits, 2).to_bytes(len(bits) // 8, 'big')


def _rearranged(path, folder, arrange, **how):
    """MPEG-4 in AVI whose chunks are arranged anew; each has a time of its own."""
    write(folder / 'a.avi', 'mpeg4', **how)
    with av.open(str(folder / 'a.avi')) as source:
        chunks = [bytes(packet) for packet in source.demux(0) if packet.size]
        with av.open(str(path), 'w') as out:
            stream = out.add_stream_from_template(source.streams[0])
            for i, (data, key) in enumerate(arrange(chunks)):
                packet = av.Packet(data)
                packet.stream, packet.time_base = stream, Fraction(1, RATE)
                packet.pts = packet.dts = i
                packet.is_keyframe = key
                out.mux(packet)
    return Truth(tuple(range(FRAMES)), SIZE[::-1])


def _coding_type(chunk):
    return 'IPBS'[chunk[chunk.index(b'\0\0\1\xb6') + 4] >> 6]


@special('MPEG-4', 'avi', 'packed')
def _packed(path, folder):
    """As DivX wrote: a P and the B-frame before it in one chunk, then an empty VOP."""

    def arrange(chunks):
        chunks = list(chunks)
        at = (
            chunks[0].index(b'\0\0\1\xb3')
            if b'\0\0\1\xb3' in chunks[0]
            else (chunks[0].index(b'\0\0\1\xb6'))
        )
        user = b'\0\0\1\xb2DivX503b1393p'
        chunks[0] = chunks[0][:at] + user + chunks[0][at:]
        i = 0
        while i < len(chunks):
            own = chunks[i]
            bs = []
            while i + 1 + len(bs) < len(chunks) and (
                _coding_type(chunks[i + 1 + len(bs)]) == 'B'
            ):
                bs.append(chunks[i + 1 + len(bs)])
            key = _coding_type(own) == 'I'
            if bs:
                yield own + bs[0], key
                for b in bs[1:]:
                    yield b, False
                yield _not_coded(0), False
            else:
                yield own, key
            i += 1 + len(bs)

    return _rearranged(path, folder, arrange, options=B_FRAMES)


@special('MPEG-4', 'avi', 'frames not coded')
def _skipped(path, folder):
    """A VOP that is not coded after every fourth frame."""

    def arrange(chunks):
        for i, chunk in enumerate(chunks):
            yield chunk, _coding_type(chunk) == 'I'
            if i % 4 == 1:
                yield _not_coded(0), False

    return _rearranged(path, folder, arrange)


@special('MPEG-4', 'avi', 'dropped frames')
def _dropped(path, folder):
    """Times without a frame, which AVI fills with empty chunks."""
    write(path, 'mpeg4', times=lambda i: Fraction(i + 3 * (i // 10), RATE))
    return Truth(tuple(range(FRAMES)), SIZE[::-1])


def _marked(path, folder, key, **how):
    """The container says of every frame, or of none, that it is a key frame."""
    write(folder / 'a.mkv', **how)

    def edit(packets):
        for packet in packets:
            packet.is_keyframe = key
            yield packet

    copy(path, folder / 'a.mkv', edit)
    return Truth(tuple(range(FRAMES)), SIZE[::-1])


for codec, container, how in (
    ('H.264', 'mp4', dict(options=CLOSED)),
    ('H.264', 'mkv', dict(options=CLOSED)),
    ('H.264', 'flv', dict(options=CLOSED)),
    ('HEVC', 'mp4', dict(codec='libx265', options=HEVC_OPEN)),
    ('VP9', 'webm', dict(codec='libvpx-vp9')),
    ('VP8', 'webm', dict(codec='libvpx')),
    ('MPEG-4', 'mp4', dict(codec='mpeg4', options=B_FRAMES)),
    ('MPEG-4', 'avi', dict(codec='mpeg4')),
    ('MPEG-2', 'mkv', dict(codec='mpeg2video', options=B_FRAMES)),
    ('ProRes', 'mov', dict(codec='prores_ks', pix_fmt='yuv422p10le')),
):
    special(codec, container, 'all marked as key frames')(
        functools.partial(_marked, key=True, **how)
    )
    if container not in ('mp4', 'mov'):  # which then mark all
        special(codec, container, 'no key frame marked')(
            functools.partial(_marked, key=False, **how)
        )


def _edited(path, folder, edits):
    """An edit list of several stretches of frames."""
    write(folder / 'a.mp4', options=CLOSED, mux={'video_track_timescale': '25000'})
    data = (folder / 'a.mp4').read_bytes()
    scale = 1000  # of the movie
    start = int.from_bytes(data[data.index(b'elst') + 16 :][:4], 'big')  # of frame 0
    entries = b''.join(
        struct.pack('>iiI', (b - a) * scale // RATE, start + a * 1000, 1 << 16)
        for a, b in edits
    )
    old = data.index(b'elst') - 4
    size = int.from_bytes(data[old : old + 4], 'big')
    new = b'elst' + struct.pack('>II', 0, len(edits)) + entries
    new = struct.pack('>I', len(new) + 4) + new
    grown = len(new) - size
    data = bytearray(data[:old] + new + data[old + size :])
    for box in (b'moov', b'trak', b'edts'):
        at = data.rindex(box, 0, old) - 4
        length = int.from_bytes(data[at : at + 4], 'big')
        data[at : at + 4] = struct.pack('>I', length + grown)
    path.write_bytes(data)
    return Truth(tuple(i for a, b in edits for i in range(a, b)), SIZE[::-1])


special('H.264', 'mp4', 'two edits')(
    functools.partial(_edited, edits=[(3, 15), (26, FRAMES)])
)
special('H.264', 'mp4', 'end cut by an edit list')(
    functools.partial(_edited, edits=[(0, 30)])
)


def _repeated(path, folder):
    """The frames from 5 on come twice: as FFmpeg shows them, for players differ."""
    truth = _edited(path, folder, [(5, 20), (0, 20)])
    return replace(truth, numbers=tuple(linear(path)), optional=True)


special('H.264', 'mp4', 'an edit that goes back')(_repeated)


def _pause(path, folder):
    """An hour passes between two frames."""
    return write(
        path, options=CLOSED, times=lambda i: Fraction(i, RATE) + 3600 * (i >= 20)
    )


for container in ('mp4', 'mkv', 'ts'):
    special('H.264', container, 'pause of an hour')(_pause)

# broken files


def _cut_short(path, folder, share=0.6, **how):
    """The end is missing, and with it part of a frame."""
    write(path, **how)
    data = path.read_bytes()
    path.write_bytes(data[: int(share * len(data))])
    numbers = []
    for seen in linear(path):  # a frame that is there in part may show another
        following = numbers[-1] + 1 if numbers else 0
        numbers.append(following if seen is None or seen < following else seen)
    last = frozenset(range(len(numbers) - 6, len(numbers)))
    return Truth(tuple(numbers), SIZE[::-1], doubtful=last)


FASTSTART = {'movflags': 'faststart'}
for container, how in (
    ('mp4', dict(options=CLOSED, mux=FASTSTART)),
    ('ts', dict(options=CLOSED)),
    ('mkv', dict(options=CLOSED)),
    ('avi', dict(options=NO_B, gop=1)),
    ('flv', dict(options=CLOSED)),
    ('h264', dict(options=CLOSED)),
):
    special('H.264', container, 'cut short')(functools.partial(_cut_short, **how))
special('MPEG-2', 'mpg', 'cut short')(
    functools.partial(_cut_short, codec='mpeg2video', options=B_FRAMES)
)
special('VP9', 'webm', 'cut short')(functools.partial(_cut_short, codec='libvpx-vp9'))


def _damaged(path, folder, **how):
    """Half of the third key frame is lost."""
    write(path, **how)
    with av.open(str(path)) as container:
        packet = [p for p in container.demux(0) if p.is_keyframe][2]
        start, size = packet.pos, packet.size
    data = bytearray(path.read_bytes())
    data[start + size // 2 : start + size] = bytes(size - size // 2)
    path.write_bytes(data)
    return Truth(tuple(range(FRAMES)), SIZE[::-1], doubtful=frozenset(range(24, 36)))


special('H.264', 'mp4', 'damaged')(functools.partial(_damaged, options=NO_B))
special('MPEG-4', 'avi', 'damaged')(functools.partial(_damaged, codec='mpeg4'))


def _surrounded(path, folder, before=0, after=0, **how):
    truth = write(path, options=CLOSED, **how)
    noise = np.random.default_rng(0).integers(0, 256, before + after, np.uint8)
    noise = noise.tobytes()
    path.write_bytes(noise[:before] + path.read_bytes() + noise[before:])
    return truth


for container in ('mp4', 'mkv', 'ts', 'avi'):
    special('H.264', container, 'garbage after')(
        functools.partial(_surrounded, after=1000)
    )
    special('H.264', container, 'garbage before')(
        functools.partial(_surrounded, before=1000, optional=True)
    )


def _misnamed(path, folder, muxer):
    return write(path, options=CLOSED, muxer=muxer)


for container, muxer, extension in (
    ('mkv', 'matroska', 'mp4'),
    ('mp4', 'mp4', 'avi'),
    ('ts', 'mpegts', 'mp4'),
    ('avi', 'avi', 'mkv'),
    ('h264', 'h264', 'mp4'),
):
    special('H.264', container, f'named {extension}', extension)(
        functools.partial(_misnamed, muxer=muxer)
    )
