"""Metadata of JP2 files, box by box: Pillow neither reads nor writes it.

    jP__  ftyp  jp2h [ihdr colr ...]  jp2c  uuid (XMP)  uuid (EXIF)

Source: ISO/IEC 15444-1, annex I; XMP Specification part 3, section 1.1.4 (the XMP box); the EXIF
box is that of Exiv2 and ExifTool.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from diffir.contracts.picture import Metadata

if TYPE_CHECKING:
    from collections.abc import Iterator

XMP_BOX = bytes.fromhex("be7acfcb97a942e89c71999491e3afac")
EXIF_BOX = b"JpgTiffExif->JP2"
ENUMERATED, RESTRICTED_ICC, ANY_ICC = 1, 2, 3
"""Methods of a color specification box."""


def metadata_in(jp2: bytes) -> Metadata:
    """ICC profile, EXIF and XMP of a JP2 file; nothing of a bare codestream."""
    icc = exif = xmp = None
    for kind, content in boxes(jp2):
        if kind == b"jp2h":
            icc = _profile(content)
        elif kind == b"uuid" and content.startswith(XMP_BOX):
            xmp = content[16:]
        elif kind == b"uuid" and content.startswith(EXIF_BOX):
            exif = content[16:]
    return Metadata(icc=icc or None, exif=exif or None, xmp=xmp or None)


def with_metadata(jp2: bytes, metadata: Metadata) -> bytes:
    """The JP2 file with ICC profile, EXIF and XMP of `metadata` added."""
    written = b""
    for kind, content in boxes(jp2):
        if kind == b"jp2h" and metadata.icc is not None:
            content = b"".join(_described(content, metadata.icc))
        written += _pack(kind, content)
    if metadata.xmp is not None:
        written += _pack(b"uuid", XMP_BOX + metadata.xmp)
    if metadata.exif is not None:
        written += _pack(b"uuid", EXIF_BOX + metadata.exif)
    return written


def boxes(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Kind and content of each box, up to the end or to the first box that is damaged."""
    at = 0
    while at + 8 <= len(data):
        length, kind = struct.unpack_from(">L4s", data, at)
        header = 8
        if length == 1 and at + 16 <= len(data):
            (length,), header = struct.unpack_from(">Q", data, at + 8), 16
        elif length == 0:
            length = len(data) - at
        if length < header:
            return
        yield kind, data[at + header : at + length]
        at += length


def _profile(header: bytes) -> bytes | None:
    for kind, content in boxes(header):
        if kind == b"colr" and content[:1] in (bytes([RESTRICTED_ICC]), bytes([ANY_ICC])):
            return content[3:]
    return None


def _described(header: bytes, icc: bytes) -> Iterator[bytes]:
    for kind, content in boxes(header):
        if kind == b"colr":
            content = bytes([RESTRICTED_ICC, 0, 0]) + icc
        yield _pack(kind, content)


def _pack(kind: bytes, content: bytes) -> bytes:
    length = len(content) + 8
    if length >= 1 << 32:
        return struct.pack(">L4sQ", 1, kind, length + 8) + content
    return struct.pack(">L4s", length, kind) + content
