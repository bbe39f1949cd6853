"""Reads how a VP9 picture was compressed: the uncompressed header, VP9 bitstream specification 6.2.

marker, profile, frame type, sync code
color config        bit depth, chroma format          6.2.2
frame size          6.2.3, 6.2.4
loop filter         passed over                       6.2.8
quantization        base_q_idx, its offsets           6.2.9
"""

from __future__ import annotations

from dataclasses import dataclass

from diffir.codecs.bit_reader import BitReader
from diffir.errors import CodecError

SYNC_CODE = 0x498342
RGB = 7


@dataclass(frozen=True)
class Vp9Header:
    """What the header of a key frame says.

    base_q_idx: 0 to 255, the lightest quantizer first. subsampling: "4:2:0" and so on.
    """

    width: int
    height: int
    base_q_idx: int
    lossless: bool
    subsampling: str
    bit_depth: int
    profile: int


def is_vp9_key_frame(frame: bytes) -> bool:
    """Whether the bytes begin as a VP9 key frame: its marker, then its sync code."""
    try:
        _start(BitReader(frame[:16]))
    except CodecError:
        return False
    return True


def read_vp9(frame: bytes) -> Vp9Header:
    """Read the header of one frame, or of the first frame of a superframe.

    Raises:
        CodecError: the bytes are no VP9 frame, are cut short, or the frame is not a key frame.
    """
    reader = BitReader(frame[:256])
    profile, resilient = _start(reader)
    bit_depth, subsampling = _format(reader, profile)
    width, height = 1 + reader.bits(16), 1 + reader.bits(16)
    if reader.flag():  # a size to show it at
        reader.skip(32)
    reader.skip(0 if resilient else 2)
    reader.skip(2)
    _skip_loop_filter(reader)
    base = reader.bits(8)
    offsets = [_offset(reader) for _ in range(3)]
    return Vp9Header(
        width=width,
        height=height,
        base_q_idx=base,
        lossless=base == 0 and not any(offsets),
        subsampling=subsampling,
        bit_depth=bit_depth,
        profile=profile,
    )


def _start(reader: BitReader) -> tuple[int, bool]:
    """Read up to the sync code; returns the profile and `error_resilient_mode`."""
    if reader.bits(2) != 2:
        raise CodecError("a VP9 frame begins with the bits 10: these bytes are not VP9")
    profile = reader.bits(1) + 2 * reader.bits(1)
    if profile == 3:
        reader.skip(1)
    shows_existing, inter = reader.flag(), reader.flag()
    if shows_existing or inter:
        raise CodecError("the first VP9 frame is not a key frame: a still picture was expected")
    reader.skip(1)
    resilient = reader.flag()
    if reader.bits(24) != SYNC_CODE:
        raise CodecError("a VP9 key frame has a sync code, it is missing: these bytes are not VP9")
    return profile, resilient


def _format(reader: BitReader, profile: int) -> tuple[int, str]:
    bit_depth = (12 if reader.flag() else 10) if profile >= 2 else 8
    space = reader.bits(3)
    if space == RGB:
        reader.skip(1 if profile % 2 else 0)
        return bit_depth, "4:4:4"
    reader.skip(1)
    if profile % 2 == 0:
        return bit_depth, "4:2:0"
    across, down = reader.flag(), reader.flag()
    reader.skip(1)
    names = {(True, True): "4:2:0", (True, False): "4:2:2", (False, True): "4:4:0"}
    return bit_depth, names.get((across, down), "4:4:4")


def _skip_loop_filter(reader: BitReader) -> None:
    reader.skip(9)  # level, sharpness
    if reader.flag() and reader.flag():
        for _ in range(6):
            reader.skip(7 if reader.flag() else 0)


def _offset(reader: BitReader) -> int:
    """`delta_q`, 6.2.10: a magnitude of four bits, then its sign."""
    if not reader.flag():
        return 0
    magnitude = reader.bits(4)
    return -magnitude if reader.flag() else magnitude
