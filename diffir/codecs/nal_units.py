"""NAL units, the packets of AVC and HEVC: splitting, joining, emulation prevention, our SEI.

Annex B byte streams and emulation prevention: ITU-T H.264 and H.265, Annex B and section 7.4.1
(7.4.2 in H.265). Length-prefixed units: ISO/IEC 14496-15. SEI messages: H.264 7.3.2.3.1, H.265
7.3.5; payload type 5 is `user_data_unregistered` in both.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from diffir.codecs.picture_stamp import Stamp, read_stamp_payload, stamp_payload
from diffir.errors import CodecError

if TYPE_CHECKING:
    from collections.abc import Iterable

START_CODE = b"\x00\x00\x00\x01"
SHORT_START_CODE = b"\x00\x00\x01"
USER_DATA_UNREGISTERED = 5
STOP_BIT = b"\x80"
# By `chroma_format_idc`: H.264 and H.265, table 6-1.
CHROMA_FORMATS = ("4:0:0", "4:2:0", "4:2:2", "4:4:4")


def begins_annex_b(data: bytes) -> bool:
    """Whether the bytes begin with a start code."""
    return data.startswith((SHORT_START_CODE, START_CODE))


def not_annex_b(name: str) -> CodecError:
    """What to raise for bytes that are neither a byte stream nor a file that is known."""
    return CodecError(
        f"these bytes are not {name}: they begin with no start code and are no video file",
        hint="Byte streams, MP4, QuickTime and Matroska files are read.",
    )


def split_annex_b(data: bytes) -> list[bytes]:
    """The units between start codes, without them and without the zeros that may trail a unit."""
    pieces = data.split(SHORT_START_CODE)
    return [unit for piece in pieces[1:] if (unit := piece.rstrip(b"\x00"))]


def split_length_prefixed(data: bytes, *, prefix: int = 4) -> list[bytes]:
    """The units of an MP4 sample, each after its length in `prefix` bytes.

    Raises:
        CodecError: a unit is said to be longer than what is left.
    """
    units = []
    position = 0
    while position + prefix <= len(data):
        length = int.from_bytes(data[position : position + prefix], "big")
        position += prefix
        if length > len(data) - position:
            raise CodecError(
                f"a NAL unit of {length} bytes was announced, {len(data) - position} are left"
            )
        units.append(data[position : position + length])
        position += length
    return [unit for unit in units if unit]


def join_annex_b(units: Iterable[bytes]) -> bytes:
    """One byte stream of the units, a four-byte start code before each."""
    return b"".join(START_CODE + unit for unit in units)


def unescape(unit: bytes) -> bytes:
    """Take out the emulation prevention bytes: `00 00 03` becomes `00 00`."""
    return unit.replace(b"\x00\x00\x03", b"\x00\x00")


def escape(unit: bytes) -> bytes:
    """Put in the emulation prevention bytes, so that no start code appears inside the unit."""
    escaped = bytearray()
    zeros = 0
    for byte in unit:
        if zeros == 2 and byte <= 3:
            escaped.append(3)
            zeros = 0
        escaped.append(byte)
        zeros = zeros + 1 if byte == 0 else 0
    return bytes(escaped)


def stamp_message(stamp: Stamp) -> bytes:
    """An SEI payload (to follow the NAL unit header) that holds our stamp."""
    payload = stamp_payload(stamp)
    return escape(bytes([USER_DATA_UNREGISTERED, len(payload)]) + payload + STOP_BIT)


def read_stamp_message(message: bytes) -> Stamp | None:
    """The stamp from an SEI payload that `stamp_message` wrote; `None` from any other."""
    raw = unescape(message)
    if raw[:1] != bytes([USER_DATA_UNREGISTERED]):
        return None
    return read_stamp_payload(raw[2:])
