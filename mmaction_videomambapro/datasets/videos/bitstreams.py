"""What a packet itself says of its frame, where containers say too much."""

from __future__ import annotations

from collections.abc import Iterator

import av


def is_key_frame(decoder: av.VideoCodecContext, packet: av.Packet) -> bool:
    """Whether decoding can start at a packet that its container calls a key frame.

    Containers call others so as well: where an intra refresh begins in H.264, every
    packet of H.263 in AVI. In H.264 only an IDR picture forgets all before it. In HEVC
    any random access point will do, for what is shown after it depends on it alone.
    Codecs that are not known here have key frames only if all their frames are.
    """
    codec = decoder.codec.canonical_name
    if codec in SLICES:
        lowest, highest, last, type_of = SLICES[codec]
        types = (type_of(unit[0]) for unit in _units(decoder, bytes(packet)))
        return lowest <= next((t for t in types if t <= last), -1) <= highest
    if codec in PICTURES:
        return picture_type(codec, packet) == 'I'
    return KEYS[codec](bytes(packet)) if codec in KEYS else decoder.codec.intra_only


def is_hidden(codec: str, packet: av.Packet) -> bool:
    """Whether a packet's frame is never shown, only used by others."""
    return codec == 'vp8' and not memoryview(packet)[0] & 16  # RFC 6386, 9.1


def says_orientation(decoder: av.VideoCodecContext, packet: av.Packet) -> bool:
    """Whether the video itself says how it is to be turned.

    It does in a message of type 47, which FFmpeg passes on with some frames only
    (ITU-T H.264, 7.3.2.3 and D.1.27; H.265, D.2.17).
    """
    codec = decoder.codec.canonical_name
    if codec not in SLICES:
        return False
    *_, last, type_of = SLICES[codec]
    message, header = (6, 1) if codec == 'h264' else (39, 2)
    for unit in _units(decoder, bytes(packet)):
        kind = type_of(unit[0])
        if kind == message and 47 in _message_types(unit[header:]):
            return True
        if kind <= last:  # a slice; messages come before
            return False
    return False


def _message_types(data):
    at, numbers = 0, [0]
    while at < len(data) - 1:  # type, size, and so many bytes of each
        numbers[-1] += data[at]
        if data[at] < 255:
            if len(numbers) == 2:
                yield numbers[0]
                at, numbers = at + numbers[1], []
            numbers.append(0)
        at += 1


def picture_type(codec: str, packet: av.Packet) -> str:
    """'I', 'P' or 'B' of the one picture in a packet of MPEG-1, 2 or 4, else '?'."""
    if codec not in PICTURES:
        return '?'
    packet = bytes(packet)
    start_code, place, type_of = PICTURES[codec]
    at = packet.find(start_code)
    if at < 0 or at + place >= len(packet) or packet.find(start_code, at + 1) >= 0:
        return '?'
    if codec == 'mpeg4' and len(packet) < FEWEST_BYTES:
        return '?'
    return type_of(packet[at + place])


def has_one_layer(decoder: av.VideoCodecContext) -> bool:
    """Whether HEVC's headers say that there are no temporal layers."""
    data = decoder.extradata or b''
    return len(data) > 21 and data[0] == 1 and data[21] >> 3 & 7 == 1


# types of NAL units: the range of key frames' slices, the last of all slices' types,
# and where in a unit's first byte it stands (ITU-T H.264, table 7-1; H.265, table 7-1)
SLICES = {
    'h264': (5, 5, 5, lambda byte: byte & 31),
    'hevc': (16, 21, 31, lambda byte: byte >> 1 & 63),
}
# where a picture begins, and the type in it (ISO/IEC 13818-2, 6.2.3; 14496-2, 6.2.5)
PICTURES = {
    'mpeg1video': (b'\0\0\1\0', 5, lambda byte: '?IPB????'[byte >> 3 & 7]),
    'mpeg2video': (b'\0\0\1\0', 5, lambda byte: '?IPB????'[byte >> 3 & 7]),
    'mpeg4': (b'\0\0\1\xb6', 4, lambda byte: 'IPB?'[byte >> 6]),
}
FEWEST_BYTES = 16  # in MPEG-4 a smaller packet may show nothing
KEYS = {
    'vp8': lambda data: not data[0] & 1,  # RFC 6386, 9.1
    'vp9': lambda data: not data[0] & 0x0C,  # its bitstream, 6.2
    'av1': lambda data: True,  # believed
}


def _units(decoder: av.VideoCodecContext, packet: bytes) -> Iterator[bytes]:
    """The NAL units of a packet.

    Units follow their lengths in MP4 and Matroska, as the decoder's extradata says
    (ISO/IEC 14496-15, 5.3 and 8.3), and start codes elsewhere.
    """
    data = decoder.extradata or b''
    place = 4 if decoder.codec.canonical_name == 'h264' else 21
    if len(data) <= place or data[0] != 1:
        yield from filter(None, packet.split(b'\0\0\1')[1:])
        return
    width, at = (data[place] & 3) + 1, 0
    while at + width < len(packet):
        size = int.from_bytes(packet[at : at + width], 'big')
        yield packet[at + width : at + width + max(1, size)]
        at += width + size
