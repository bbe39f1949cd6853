"""The boxes around a JPEG XL codestream: ISO/IEC 18181-2, clause 9."""

from __future__ import annotations

from dataclasses import dataclass

from diffir.codecs.iso_boxes import boxes
from diffir.errors import CodecError

CODESTREAM = b"\xff\x0a"
FILE = b"\x00\x00\x00\x0cJXL \r\n\x87\n"
INDEX_BYTES = 4
"""Before each part in a "jxlp" box: its number, and whether it is the last."""


@dataclass(frozen=True)
class Container:
    """The codestream, and whether the file tells how to get back the JPEG that it was made from."""

    codestream: bytes
    holds_jpeg: bool


def begins_jpegxl(data: bytes) -> bool:
    """Whether the bytes begin with the signature of a codestream or of a file."""
    return data.startswith((CODESTREAM, FILE))


def read_container(data: bytes) -> Container:
    """Find the codestream of a file; a bare one is all there is.

    Raises:
        CodecError: a box runs past the end, or there is no codestream.
    """
    if data.startswith(CODESTREAM):
        return Container(data, holds_jpeg=False)
    parts: list[bytes] = []
    holds_jpeg = False
    for box in boxes(data):
        if box.kind == "jxlc":
            parts.append(box.payload)
        elif box.kind == "jxlp":
            parts.append(box.payload[INDEX_BYTES:])
        holds_jpeg |= box.kind == "jbrd"
    codestream = b"".join(parts)
    if not codestream.startswith(CODESTREAM):
        raise CodecError(
            "the JPEG XL file holds no codestream: a 'jxlc' or 'jxlp' box was expected"
        )
    return Container(codestream, holds_jpeg)
