"""IVF, the plain container of AV1 and VP9 streams: a 32-byte header, then frames after their size.

Little-endian throughout; the layout is that of libvpx's `ivfenc.c`.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from diffir.errors import CodecError

if TYPE_CHECKING:
    from collections.abc import Sequence

MAGIC = b"DKIF"
HEADER = struct.Struct("<4sHH4sHHIIII")
FRAME_HEADER = struct.Struct("<IQ")


def is_ivf(data: bytes, fourcc: bytes) -> bool:
    """Whether the bytes begin as an IVF file of this codec, for example `b"VP90"`."""
    return data.startswith(MAGIC) and data[8:12] == fourcc


def write_ivf(fourcc: bytes, size: tuple[int, int], frames: Sequence[bytes]) -> bytes:
    """An IVF file at 25 frames a second; `size` is `(width, height)` and informative only."""
    # A side has 16 bits here. The streams carry their own size, so that a wrap does no harm.
    width, height = (side & 0xFFFF for side in size)
    header = HEADER.pack(MAGIC, 0, HEADER.size, fourcc, width, height, 25, 1, len(frames), 0)
    return header + b"".join(
        FRAME_HEADER.pack(len(frame), index) + frame for index, frame in enumerate(frames)
    )


def read_ivf(data: bytes) -> list[bytes]:
    """The frames of an IVF file.

    Raises:
        CodecError: the file is cut short, or holds no frame.
    """
    if len(data) < HEADER.size or not data.startswith(MAGIC):
        raise CodecError("an IVF file was expected, its header is missing or cut short")
    position = int.from_bytes(data[6:8], "little")
    frames = []
    while position + FRAME_HEADER.size <= len(data):
        length, _ = FRAME_HEADER.unpack_from(data, position)
        position += FRAME_HEADER.size
        if length > len(data) - position:
            raise CodecError(
                f"an IVF frame of {length} bytes was announced, {len(data) - position} are left"
            )
        frames.append(data[position : position + length])
        position += length
    if not frames:
        raise CodecError("the IVF file holds no frame")
    return frames
