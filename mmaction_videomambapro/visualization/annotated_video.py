"""Writes a video with captions over its frames, and with its sound."""

from __future__ import annotations

import heapq
import logging
import textwrap
from collections.abc import Iterable, Iterator
from contextlib import suppress
from fractions import Fraction
from itertools import chain
from os import PathLike, fspath
from pathlib import Path

import av
import numpy as np
from av.stream import Discard
from av.video.reformatter import ColorRange, Colorspace, VideoReformatter
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from mmengine.logging import print_log

from ..datasets.videos import Video, VideoError
from ..datasets.videos.packets import open_container
from ..datasets.videos.source import Source, open_file
from ..errors import UsageError
from ..files import refuse_same, replacing
from ..literals import printable_lines
from .pictures import families

TICKS = 90_000  # per second: a whole number of them for all usual rates
QUALITY = dict(crf='18', preset='veryfast')
COPIED = 'aac', 'mp3', 'ac3', 'eac3', 'alac'  # what players take from an mp4
MOST_RATE = 48_000  # of sound that is encoded anew
EARLY = 0.1  # seconds by which sound that begins with the frames may precede them
SMALLEST = 10  # pixels of a letter


def annotate(
    path: str | PathLike,
    out: str | PathLike,
    captions: Iterable[tuple[float, float, str]],
) -> None:
    """Write a video as H.264 in mp4, with captions at the bottom of its frames.

    It has the frames of :class:`Video` at their times, upright, in their size; of a
    width or height that is odd, the last column or row is doubled, as H.264 cannot have
    such. The sound is copied, or becomes AAC if mp4 players do not take it. What is
    damaged is left out. Frames do not stay in memory.

    Args:
        path (str | PathLike): A local video.
        out (str | PathLike): A file that ends in ``.mp4``. It is complete or not there.
        captions (Iterable[tuple[float, float, str]]): Start, end, in seconds from the
            first frame, and text, perhaps of several lines; ascending, not overlapping.

    Raises:
        UsageError: If ``out`` does not end in ``.mp4``, or is the video itself.
        VideoError: If the video cannot be decoded.
        OSError: If a file cannot be read or written.
    """
    path, out = fspath(path), fspath(out)
    if Path(out).suffix.lower() != '.mp4':
        raise UsageError(f'{out}: annotated videos are mp4, give a name ending in .mp4')
    refuse_same(path, out)
    with Video(path) as video, replacing(out, 'wb') as file:
        source = Source(open_file(path))
        try:
            container, stream = open_container(source)
            with container, av.open(file, 'w', format='mp4') as output:
                _write(video, source, container, stream, output, captions)
        except av.FFmpegError as error:
            raise VideoError(f'{path} cannot be written as mp4: {error}') from error
        finally:
            source.close()


def _write(video, source, container, stream, output, captions):
    sound = container.streams.best('audio')
    times = video.times
    origin = times[0]
    if sound is not None and sound.start_time is not None:
        begin = float(sound.start_time * sound.time_base)
        origin = origin if begin > origin - EARLY else begin
    frames = zip(times.tolist(), video.stream(range(len(video))))
    shown = ((time, frame) for time, frame in frames if isinstance(frame, np.ndarray))
    first = next(shown, None)
    if first is None:
        raise VideoError(f'{video.path}: none of its frames can be decoded')
    encoder = _add_video(output, first[1], stream, video.fps)
    packets = [
        _video_packets(encoder, chain([first], shown), times[0], origin, captions)
    ]
    if sound is not None and sound.codec_context is not None and sound.rate:
        stream.discard, sound.discard = Discard.all, Discard.default
        packets.append(_add_sound(output, container, sound, source, origin))
    for packet in heapq.merge(*packets, key=lambda p: float(p.dts * p.time_base)):
        try:
            output.mux(packet)
        except av.FFmpegError:
            if packet.stream is encoder:
                raise  # else it is damaged sound


def _add_video(output, frame, stream, fps):
    rate = Fraction(fps or 25).limit_denominator(1001)
    encoder = output.add_stream('h264', rate=rate, options=QUALITY)
    height, width = frame.shape[:2]
    encoder.width, encoder.height = width + width % 2, height + height % 2
    encoder.pix_fmt = 'yuv420p'
    context, decoder = encoder.codec_context, stream.codec_context
    context.time_base = Fraction(1, TICKS)
    context.colorspace, context.color_range = Colorspace.ITU709, ColorRange.MPEG
    context.color_primaries, context.color_trc = (
        decoder.color_primaries,
        decoder.color_trc,
    )
    ratio = decoder.sample_aspect_ratio
    if ratio:
        turned = (width, height) == (decoder.height, decoder.width) != (height, width)
        context.sample_aspect_ratio = 1 / ratio if turned else ratio
    return encoder


def _video_packets(encoder, frames, start, origin, captions):
    captions, last, strip = iter(captions), -1, None
    caption, reformatter = next(captions, None), VideoReformatter()
    for time, image in frames:
        seconds = time - start
        while caption and caption[1] <= seconds:
            caption, strip = next(captions, None), None
        if caption and caption[0] <= seconds:
            strip = strip or Strip(caption[2], image.shape)
            strip.put_on(image)
        height, width = image.shape[:2]
        if height % 2 or width % 2:
            image = np.pad(image, ((0, height % 2), (0, width % 2), (0, 0)), 'edge')
        frame = reformatter.reformat(
            av.VideoFrame.from_ndarray(image, format='rgb24'),
            format='yuv420p',
            dst_colorspace=Colorspace.ITU709,
            dst_color_range=ColorRange.MPEG,
        )
        last = max(last + 1, round((time - origin) * TICKS))
        frame.pts, frame.time_base = last, Fraction(1, TICKS)
        yield from encoder.encode(frame)
    yield from encoder.encode()


def _add_sound(output, container, sound, source, origin):
    """Add a stream of sound, and give its packets: copied, or encoded anew."""
    if sound.codec_context.codec.canonical_name in COPIED:
        stream = output.add_stream_from_template(sound)
        return _in_order(_copied(container, sound, source), stream, origin)
    rate = min(sound.rate, MOST_RATE)
    allowed = av.Codec('aac', 'w').audio_rates or [rate]
    rate = rate if rate in allowed else MOST_RATE
    layout = {1: 'mono', 2: 'stereo', 6: '5.1'}.get(sound.channels, 'stereo')
    stream = output.add_stream('aac', rate=rate, layout=layout)
    resampler = av.AudioResampler('fltp', layout, rate)
    return _in_order(
        _encoded(container, sound, source, resampler, stream), stream, origin
    )


def _in_order(packets, stream, origin):
    """Packets as of another stream, on a clock that starts at ``origin``."""
    last = None
    for packet in packets:
        shift = round(origin / packet.time_base)
        if packet.dts is None or (last is not None and packet.dts <= last):
            continue
        last = packet.dts
        packet.dts -= shift
        packet.pts = packet.dts if packet.pts is None else packet.pts - shift
        packet.stream = stream
        yield packet


def _copied(container, sound, source):
    packets = container.demux(sound)
    while True:
        source.restart()
        try:
            packet = next(packets, None)
        except av.FFmpegError as error:
            print_log(f'the sound ends early: {error}', 'current', logging.WARNING)
            return
        if packet is None:
            return
        if packet.size:
            yield packet


def _encoded(container, sound, source, resampler, stream) -> Iterator[av.Packet]:
    for packet in chain(_copied(container, sound, source), [None]):
        with suppress(av.FFmpegError, ValueError):  # damaged: there is a gap
            for frame in sound.codec_context.decode(packet):
                for part in resampler.resample(frame):
                    yield from stream.encode(part)
    with suppress(av.FFmpegError):  # there was nothing to encode
        for part in [*resampler.resample(None), None]:
            yield from stream.encode(part)


class Strip:
    """A dark strip with a white text, for the bottom of frames.

    Args:
        text (str): Of one or more lines.
        shape (tuple[int, ...]): Height and width of the frames.
    """

    def __init__(self, text: str, shape: tuple[int, ...]) -> None:
        rgba = _drawn(printable_lines(text), *shape[:2]).astype(np.uint16)
        self._keep = 255 - rgba[..., 3:]
        self._add = rgba[..., :3] * rgba[..., 3:]

    def put_on(self, image: np.ndarray) -> None:
        """Lay it over a frame, (H, W, 3) uint8, in place."""
        part = image[-len(self._add) :]
        part[:] = (part * self._keep + self._add) // 255


def _drawn(text, height, width):
    """(H, W, 4) uint8: at most half of the frame's height, and all of its width."""
    figure = Figure(dpi=72, facecolor=(0, 0, 0, 0.65))  # a point is a pixel
    canvas = FigureCanvasAgg(figure)
    size = max(SMALLEST, min(width, height) / 16)
    margin = size / 2
    figure.set_size_inches(width / 72, height / 72)
    artist = figure.text(
        margin / width, 0, text, size=size, color='white', va='top', parse_math=False
    )
    artist.set_fontfamily(families())
    room = max(width - 2 * margin, 1)
    wide = artist.get_window_extent().width
    if wide > room:
        size = max(SMALLEST, size * room / wide)
        artist.set_size(size)
        wide = artist.get_window_extent().width
    if wide > room:
        most = max(len(line) for line in text.split('\n')) * room / wide
        lines = (textwrap.wrap(line, max(1, int(most))) for line in text.split('\n'))
        artist.set_text('\n'.join(chain.from_iterable(lines)))
    tall = min(artist.get_window_extent().height + margin, height / 2)
    figure.set_size_inches(width / 72, tall / 72)
    artist.set_y(1 - margin / 2 / tall)  # of what is too long the start is shown
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[:, :width]
