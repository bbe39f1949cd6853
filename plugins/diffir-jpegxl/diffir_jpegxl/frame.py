"""The first frame of a JPEG XL codestream with default metadata: ISO/IEC 18181-1, F.2 to G.1."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from diffir_jpegxl.lsb_reader import LsbReader

REGULAR, REPLACE = 0, 0
NOISE, PATCHES, SPLINES, LF_FRAME = 1, 2, 16, 32
GROUP, LF_GROUP = 256, 2048
"""Sides of what is coded independently, in samples."""

F16 = 16
SECTION = ((0, 10), (1024, 14), (17408, 22), (4211712, 30))
GLOBAL_SCALE = ((1, 11), (2049, 11), (4097, 12), (8193, 16))


@dataclass(frozen=True)
class Frame:
    """coding: "vardct" or "modular". Each stays `None` where the headers do not lead to it."""

    coding: str | None = None
    upsampling: int | None = None
    global_scale: int | None = None


def read_frame(reader: LsbReader, *, width: int, height: int) -> Frame:
    """Read up to the quantizer, or as far as the headers lead.

    Raises:
        CodecError: they are cut short.
    """
    upsampling = flags = 0
    if reader.flag():  # all default: a regular VarDCT frame
        upsampling = 1
    else:
        kind, modular, flags = reader.bits(2), reader.flag(), reader.u64()
        if kind != REGULAR:  # a frame that is not shown: later ones take patches from it
            return Frame()
        if modular or flags & (PATCHES | SPLINES | LF_FRAME):
            return Frame("modular" if modular else "vardct")
        upsampling = reader.u32((1, 0), (2, 0), (4, 0), (8, 0))
        if not _passes_plain_header(reader):
            return Frame("vardct", upsampling)
    if reader.flag():  # the sections are reordered
        return Frame("vardct", upsampling)
    reader.align()
    _skip_sections(reader, -(-width // upsampling), -(-height // upsampling))
    if flags & NOISE:
        reader.bits(8 * 10)
    if not reader.flag():  # weights of the lowest frequency, C.4.2
        reader.bits(3 * F16)
    return Frame("vardct", upsampling, reader.u32(*GLOBAL_SCALE))


def _passes_plain_header(reader: LsbReader) -> bool:
    """The rest of FrameHeader, F.2; False where the frame is not alone, or coded in passes."""
    reader.bits(3 + 3)  # quantization of X and B
    one_pass = reader.u32((1, 0), (2, 0), (3, 0), (4, 3)) == 1
    if not one_pass or reader.flag():  # cropped
        return False
    mode = reader.u32((0, 0), (1, 0), (2, 0), (3, 2))
    if mode != REPLACE or not reader.flag():  # the last frame
        return False
    reader.bits(8 * reader.u32((0, 0), (0, 4), (16, 5), (48, 10)))  # name
    return _passes_filter(reader) and reader.u64() == 0


def _passes_filter(reader: LsbReader) -> bool:
    """RestorationFilter, J.1; False where it has extensions."""
    if reader.flag():  # all default
        return True
    if reader.flag() and reader.flag():  # smoothing, with weights of its own
        reader.bits(6 * F16)
    if reader.bits(2):  # iterations of the edge-preserving filter
        for width in (8, 5, 4):  # sharpness, weights, strength
            if reader.flag():
                reader.bits(width * F16)
    return reader.u64() == 0


def _skip_sections(reader: LsbReader, width: int, height: int) -> None:
    """The sizes of the sections, F.3.1 and F.3.3: one alone where the picture fits one group."""
    groups, lf_groups = (-(-width // side) * -(-height // side) for side in (GROUP, LF_GROUP))
    for _ in range(1 if groups == 1 else 2 + lf_groups + groups):
        reader.u32(*SECTION)
    reader.align()
