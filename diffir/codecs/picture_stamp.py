"""A few bytes of our own inside a stream: the picture's true size, and how long its coding is.

Encoders want even or large sizes. What stands right of and below the picture is padding, and the
picture's size travels beside it, in the format's place for private data: a `user data unregistered`
SEI message in AVC and HEVC, a private metadata unit in AV1. Other players skip it and show the
padding; our decoder cuts it off. The length lets us refuse a stream that was cut short where the
decoder would not notice.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, NamedTuple
from uuid import UUID

from diffir.errors import CodecError

if TYPE_CHECKING:
    from diffir.contracts.codec import Pixels

# Marks our payload among others' (ITU-T H.264 D.2.7 asks for a UUID; AV1 for nothing).
MARK = UUID("6d0f5c1e-3a5b-4c58-9a67-2f1d8be0c7a4").bytes
FIELDS = struct.Struct(">III")


class Stamp(NamedTuple):
    """width, height: of the picture, in pixels. coded_bytes: of its coded units; 0: not told."""

    width: int
    height: int
    coded_bytes: int = 0


def stamp_payload(stamp: Stamp) -> bytes:
    """The mark, then the three numbers in 32 bits each, big-endian: 28 bytes."""
    return MARK + FIELDS.pack(*stamp)


def read_stamp_payload(payload: bytes) -> Stamp | None:
    """The stamp, or `None` where the payload is somebody else's or cut short.

    Raises:
        CodecError: the stamp tells of an empty picture.
    """
    if not payload.startswith(MARK) or len(payload) < len(MARK) + FIELDS.size:
        return None
    stamp = Stamp(*FIELDS.unpack_from(payload, len(MARK)))
    if not (stamp.width and stamp.height):
        raise CodecError(f"the stream says that its picture is {stamp.width}x{stamp.height}")
    return stamp


def cropped(pixels: Pixels, stamp: Stamp | None) -> Pixels:
    """Cut the padding off: the top left of `(H,W,3)`; all of it without a stamp.

    Raises:
        CodecError: the size in the stamp is larger than the decoded picture.
    """
    if stamp is None:
        return pixels
    if stamp.width > pixels.shape[1] or stamp.height > pixels.shape[0]:
        raise CodecError(
            f"the stream says that its picture is {stamp.width}x{stamp.height}, "
            f"but decodes to {pixels.shape[1]}x{pixels.shape[0]}"
        )
    return pixels[: stamp.height, : stamp.width].copy()
