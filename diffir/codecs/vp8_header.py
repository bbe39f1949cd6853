"""The frame header of a VP8 key frame. RFC 6386, sections 7 (boolean decoder), 9 and 19.2."""

from __future__ import annotations

from dataclasses import dataclass

from diffir.errors import CodecError


class BoolDecoder:
    """RFC 6386's boolean entropy decoder, from the first byte of a partition on."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._position = 2
        self._value = int.from_bytes(data[:2].ljust(2, b"\0"), "big")
        self._range = 255
        self._shifted = 0

    def symbol(self, probability: int) -> bool:
        """One symbol that is 0 with `probability` / 256."""
        split = 1 + (((self._range - 1) * probability) >> 8)
        if self._value >= split << 8:
            bit, self._range, self._value = True, self._range - split, self._value - (split << 8)
        else:
            bit, self._range = False, split
        while self._range < 128:
            self._range <<= 1
            self._value <<= 1
            self._shifted += 1
            if self._shifted == 8:
                self._load()
        return bit

    def _load(self) -> None:
        # Past the partition's end the decoder sees zeros, but a header never reaches that far.
        if self._position >= len(self._data) + 2:
            raise CodecError("the VP8 frame header runs past its partition")
        self._value |= self._data[self._position] if self._position < len(self._data) else 0
        self._position += 1
        self._shifted = 0

    def flag(self) -> bool:
        """One even bit, L(1)."""
        return self.symbol(128)

    def bits(self, count: int) -> int:
        """An unsigned number, L(count)."""
        value = 0
        for _ in range(count):
            value = value << 1 | self.flag()
        return value

    def signed(self, count: int) -> int:
        """A magnitude of `count` bits and its sign."""
        value = self.bits(count)
        return -value if self.flag() else value

    def optional(self, count: int) -> int | None:
        """A flag, and after it, where set, a signed number."""
        return self.signed(count) if self.flag() else None


@dataclass(frozen=True)
class Vp8Header:
    """Sizes in pixels; quantizer indices 0..127, 0 the finest.

    segment_quantizers: the four segments' indices, empty without segmentation.
    quantizer_deltas: of y_dc, y2_dc, y2_ac, uv_dc, uv_ac against `y_ac_qi`.
    partitions: how many partitions hold the coefficients.
    """

    width: int
    height: int
    y_ac_qi: int
    segment_quantizers: tuple[int, ...]
    quantizer_deltas: tuple[int, ...]
    filter_level: int
    filter_sharpness: int
    simple_filter: bool
    partitions: int


def read_vp8(frame: bytes) -> Vp8Header:
    """Read the header of one key frame, the payload of WebP's `VP8 ` chunk.

    Raises:
        CodecError: not a key frame, damaged, or cut short.
    """
    if len(frame) < 10:
        raise CodecError(f"a VP8 key frame has at least 10 bytes, got {len(frame)}")
    tag = int.from_bytes(frame[:3], "little")
    if tag & 1 or frame[3:6] != b"\x9d\x01\x2a":
        raise CodecError("not a VP8 key frame: its start code is missing")
    first_partition = frame[10 : 10 + (tag >> 5)]
    if len(first_partition) < tag >> 5:
        raise CodecError("the first partition of the VP8 frame is cut short")
    width = int.from_bytes(frame[6:8], "little") & 0x3FFF
    height = int.from_bytes(frame[8:10], "little") & 0x3FFF
    if not width or not height:
        raise CodecError(f"the VP8 frame says it is {width}x{height} pixels")
    return _partition_header(BoolDecoder(first_partition), width, height)


def _partition_header(reader: BoolDecoder, width: int, height: int) -> Vp8Header:
    """Section 19.2 from `color_space` to `quant_indices()`."""
    reader.bits(2)  # color_space, clamping_type
    segments, absolute = _segmentation(reader)
    simple_filter, level, sharpness = reader.flag(), reader.bits(6), reader.bits(3)
    _skip_filter_deltas(reader)
    partitions = 1 << reader.bits(2)
    base = reader.bits(7)
    deltas = tuple(reader.optional(4) or 0 for _ in range(5))
    return Vp8Header(
        width=width,
        height=height,
        y_ac_qi=base,
        segment_quantizers=tuple(
            min(127, max(0, value if absolute else base + value)) for value in segments
        ),
        quantizer_deltas=deltas,
        filter_level=level,
        filter_sharpness=sharpness,
        simple_filter=simple_filter,
        partitions=partitions,
    )


def _segmentation(reader: BoolDecoder) -> tuple[tuple[int, ...], bool]:
    """Section 9.3: the segments' quantizers, and whether they replace the base or add to it."""
    if not reader.flag():
        return (), False
    update_map, update_data = reader.flag(), reader.flag()
    quantizers: tuple[int, ...] = ()
    absolute = False
    if update_data:
        absolute = reader.flag()
        quantizers = tuple(reader.optional(7) or 0 for _ in range(4))
        for _ in range(4):
            reader.optional(6)  # loop filter levels
    if update_map:
        for _ in range(3):
            if reader.flag():
                reader.bits(8)  # tree probabilities
    return quantizers, absolute


def _skip_filter_deltas(reader: BoolDecoder) -> None:
    """Section 9.6: loop filter adjustments by reference frame and prediction mode."""
    if reader.flag() and reader.flag():
        for _ in range(8):
            reader.optional(6)
