"""Reads how a JPEG XL picture was coded from its headers: ISO/IEC 18181-1.

    SizeHeader          width and height                               D.2
    ImageMetadata       whether the picture is in XYB, the lossy space D.3
    FrameHeader         VarDCT or modular, halved or not               F.2
    TOC                 passed over                                    F.3
    LfGlobal            the quantizer's global scale                   G.1, C.4.4

The way to the quantizer is open for a picture with default metadata in one VarDCT frame. Patches,
splines, an embedded profile and a reordered table of contents are entropy coded and stand before
it: then what lies behind them stays `None`.
"""

from __future__ import annotations

from dataclasses import dataclass

from diffir_jpegxl.frame import read_frame
from diffir_jpegxl.lsb_reader import LsbReader

SIGNATURE_BYTES = 2
HEADER_BYTES = 1 << 16
"""Far more than the headers of one frame take; the rest is not looked at."""

SIDE = ((1, 9), (1, 13), (1, 18), (1, 30))
RATIOS = ((1, 1), (12, 10), (4, 3), (3, 2), (16, 9), (5, 4), (2, 1))


@dataclass(frozen=True)
class Codestream:
    """What the headers say.

    xyb: whether the samples are in the XYB space, 4:4:4.
    coding: "vardct" or "modular". upsampling: 2 where the coded picture has half the sides.
    global_scale: of the quantizer; larger is finer. Each is `None` where it was not reached.
    """

    width: int
    height: int
    xyb: bool
    coding: str | None = None
    upsampling: int | None = None
    global_scale: int | None = None


def read_codestream(data: bytes) -> Codestream:
    """Read the headers of a codestream, signature included.

    Raises:
        CodecError: they are cut short.
    """
    reader = LsbReader(data[SIGNATURE_BYTES:HEADER_BYTES])
    width, height = _size(reader)
    if not reader.flag():
        return Codestream(width, height, xyb=_is_xyb(reader))
    if not reader.flag():  # transforms of its own
        return Codestream(width, height, xyb=True)
    reader.align()
    frame = read_frame(reader, width=width, height=height)
    return Codestream(width, height, True, frame.coding, frame.upsampling, frame.global_scale)


def _size(reader: LsbReader) -> tuple[int, int]:
    """SizeHeader, D.2."""
    small = reader.flag()

    def side() -> int:
        return 8 * (reader.bits(5) + 1) if small else reader.u32(*SIDE)

    height = side()
    ratio = reader.bits(3)
    if not ratio:
        return side(), height
    numerator, denominator = RATIOS[ratio - 1]
    return height * numerator // denominator, height


def _is_xyb(reader: LsbReader) -> bool:
    """ImageMetadata that is not the default one, up to `xyb_encoded`, D.3."""
    if reader.flag():  # extra fields
        reader.bits(3)  # orientation
        if reader.flag():
            _size(reader)
        if reader.flag():
            _skip_preview(reader)
        if reader.flag():
            _skip_animation(reader)
    _skip_bit_depth(reader)
    reader.bits(1)  # 16-bit buffers suffice
    for _ in range(reader.u32((0, 0), (1, 0), (2, 4), (1, 12))):
        _skip_extra_channel(reader)
    return reader.flag()


def _skip_preview(reader: LsbReader) -> None:
    by_eight = reader.flag()

    def side() -> None:
        if by_eight:
            reader.u32((16, 0), (32, 0), (1, 5), (33, 9))
        else:
            reader.u32((1, 6), (65, 8), (321, 10), (1345, 12))

    side()
    if not reader.bits(3):
        side()


def _skip_animation(reader: LsbReader) -> None:
    reader.u32((100, 0), (1000, 0), (1, 10), (1, 30))
    reader.u32((1, 0), (1001, 0), (1, 8), (1, 10))
    reader.u32((0, 0), (0, 3), (0, 16), (0, 32))
    reader.bits(1)


def _skip_bit_depth(reader: LsbReader) -> None:
    if reader.flag():  # floats
        reader.u32((32, 0), (16, 0), (24, 0), (1, 6))
        reader.bits(4)
    else:
        reader.u32((8, 0), (10, 0), (12, 0), (1, 6))


def _skip_extra_channel(reader: LsbReader) -> None:
    if reader.flag():  # 8-bit alpha
        return
    kind = reader.u32((0, 0), (1, 0), (2, 4), (18, 6))
    _skip_bit_depth(reader)
    reader.u32((0, 0), (3, 0), (4, 0), (1, 3))
    reader.bits(8 * reader.u32((0, 0), (0, 4), (16, 5), (48, 10)))  # name
    if kind == 0:  # alpha
        reader.bits(1)
    elif kind == 2:  # spot color
        reader.bits(4 * 16)
    elif kind == 5:  # color filter array
        reader.u32((1, 0), (0, 2), (3, 4), (19, 8))
