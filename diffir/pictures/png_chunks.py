"""PNG files chunk by chunk: metadata is set between the header and the pixels, byte for byte.

Source: Portable Network Graphics (PNG) Specification, third edition, sections 5 and 11.
"""

from __future__ import annotations

import struct
import zlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from diffir.contracts.picture import Metadata

SIGNATURE = b"\x89PNG\r\n\x1a\n"
XMP_KEYWORD = b"XML:com.adobe.xmp"
INCH = 0.0254
"""Meters to an inch."""


def with_metadata(png: bytes, metadata: Metadata) -> bytes:
    """The PNG with its own ancillary chunks replaced by those of `metadata`."""
    header, *rest = (chunk for chunk in chunks(png) if chunk[0][:1].isupper())
    ordered = [header, *_metadata_chunks(metadata), *rest]
    return SIGNATURE + b"".join(_pack(kind, content) for kind, content in ordered)


def chunks(png: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Kind and content of each chunk of a whole PNG file, in order."""
    at = len(SIGNATURE)
    while at < len(png):
        length, kind = struct.unpack_from(">L4s", png, at)
        yield kind, png[at + 8 : at + 8 + length]
        at += 12 + length


def _pack(kind: bytes, content: bytes) -> bytes:
    check = zlib.crc32(kind + content)
    return struct.pack(">L", len(content)) + kind + content + struct.pack(">L", check)


def _metadata_chunks(metadata: Metadata) -> Iterator[tuple[bytes, bytes]]:
    if metadata.icc is not None:
        yield b"iCCP", b"ICC Profile\0\0" + zlib.compress(metadata.icc)
    if metadata.dpi is not None:
        per_meter = (round(dots / INCH) for dots in metadata.dpi)
        yield b"pHYs", struct.pack(">LLB", *per_meter, 1)
    if metadata.exif is not None:
        yield b"eXIf", metadata.exif
    if metadata.xmp is not None:
        yield b"iTXt", XMP_KEYWORD + bytes(5) + metadata.xmp  # not compressed, no language
    if metadata.comment is not None:
        yield b"tEXt", b"Comment\0" + metadata.comment.replace(b"\0", b"")
