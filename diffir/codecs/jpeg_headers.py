"""The marker segments of a JPEG: tables, sampling, process. ITU-T T.81, annex B."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from diffir.errors import CodecError

if TYPE_CHECKING:
    from collections.abc import Iterator

_SOI, _EOI, SOS, DQT, _APP14 = 0xD8, 0xD9, 0xDA, 0xDB, 0xEE
_STANDALONE = frozenset({0x01, *range(0xD0, 0xD8)})  # TEM, RST0..7: no length follows
_NOT_A_FRAME = frozenset({0xC4, 0xC8, 0xCC})  # DHT, JPG, DAC stand between the SOF codes
_NO_ENTROPY = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")
ZIGZAG = tuple(
    sorted(range(64), key=lambda i: (i // 8 + i % 8, i // 8 if (i // 8 + i % 8) % 2 else i % 8))
)
"""Natural (row) position of each coefficient in transmission order, figure A.6."""


@dataclass(frozen=True)
class Component:
    """One color component: sampling factors across and down, its table's slot, its identifier."""

    across: int
    down: int
    slot: int
    identifier: int


@dataclass(frozen=True)
class JpegHeader:
    """What the segments before the first scan say.

    process: the low four bits of the frame's SOF marker. precision: bits per sample.
    tables: quantization tables of 64 in natural order, by slot. adobe_transform: 0 RGB or CMYK,
    1 YCbCr, 2 YCCK, None without Adobe's segment.
    """

    width: int
    height: int
    precision: int
    process: int
    components: tuple[Component, ...]
    tables: dict[int, tuple[int, ...]]
    adobe_transform: int | None

    @property
    def progressive(self) -> bool:
        """Whether the coefficients come in several scans by spectral selection."""
        return self.process in (0x2, 0x6, 0xA, 0xE)

    @property
    def lossless(self) -> bool:
        """Whether the process is T.81's lossless one (no DCT)."""
        return self.process in (0x3, 0x7, 0xB, 0xF)

    @property
    def arithmetic(self) -> bool:
        """Whether entropy coding is arithmetic instead of Huffman."""
        return self.process >= 0x9

    @property
    def used_tables(self) -> tuple[tuple[int, ...], ...]:
        """The tables that components use, in the order of first use: luma first."""
        slots = dict.fromkeys(component.slot for component in self.components)
        return tuple(self.tables[slot] for slot in slots if slot in self.tables)

    @property
    def subsampling(self) -> str | None:
        """The chroma format, None for one without a common name."""
        if len(self.components) == 1:
            return "4:0:0"
        luma, *chroma = self.components[:3]
        ratios = {(luma.across / c.across, luma.down / c.down) for c in chroma}
        names = {(2.0, 2.0): "4:2:0", (2.0, 1.0): "4:2:2", (1.0, 1.0): "4:4:4"}
        return names.get(ratios.pop()) if len(ratios) == 1 else None


def read_jpeg(data: bytes) -> JpegHeader:
    """Read the segments up to the first scan.

    Raises:
        CodecError: not a JPEG, damaged, or cut short (no end-of-image marker after the scan).
    """
    tables: dict[int, tuple[int, ...]] = {}
    frame: tuple[int, bytes] | None = None
    transform: int | None = None
    for code, payload, end in segments(data):
        if code == DQT:
            tables.update(quantization_tables(payload))
        elif code == _APP14 and payload.startswith(b"Adobe") and len(payload) >= 12:
            transform = payload[11]
        elif 0xC0 <= code <= 0xCF and code not in _NOT_A_FRAME:
            frame = (code & 0xF, payload)
        elif code == SOS:
            if data.find(b"\xff\xd9", end) < 0:
                raise CodecError("the JPEG ends without its end-of-image marker: it is cut short")
            break
    if frame is None:
        raise CodecError("the JPEG has no frame header before its first scan")
    return _header(*frame, tables, transform)


def segments(data: bytes) -> Iterator[tuple[int, bytes, int]]:
    """Marker code, payload and end position of each segment, up to the end of the picture.

    Entropy-coded data follows that of a scan (`SOS`); its end is where `scan_end` says.

    Raises:
        CodecError: damaged, or cut short before the first scan.
    """
    if data[:2] != b"\xff\xd8":
        raise CodecError("not a JPEG: the start-of-image marker FF D8 is missing")
    position, scanned = 2, False
    while position + 4 <= len(data):
        if data[position] != 0xFF:
            raise CodecError(f"a JPEG marker was expected at byte {position}")
        code = data[position + 1]
        if code == 0xFF or code in _STANDALONE:  # fill bytes may precede any marker
            position += 1 if code == 0xFF else 2
            continue
        if code in (_SOI, _EOI):
            break
        end = position + 2 + int.from_bytes(data[position + 2 : position + 4], "big")
        if end > len(data) or end < position + 4:
            break
        yield code, data[position + 4 : end], end
        scanned = scanned or code == SOS
        position = scan_end(data, end) if code == SOS else end
    if not scanned:
        raise CodecError("the JPEG ends before its first scan: it is cut short or damaged")


def scan_end(data: bytes, start: int) -> int:
    """Where the entropy-coded data that starts there ends: at a marker that is no restart."""
    found = _NO_ENTROPY.search(data, start)
    return found.start() if found else len(data)


def quantization_tables(payload: bytes) -> Iterator[tuple[int, tuple[int, ...]]]:
    """The tables of a DQT segment, by slot, in natural order."""
    position = 0
    while position < len(payload):
        size, slot = (2 if payload[position] >> 4 else 1), payload[position] & 0xF
        position += 1
        raw = payload[position : position + 64 * size]
        if len(raw) < 64 * size:
            raise CodecError(f"quantization table {slot} of the JPEG is cut short")
        table = [0] * 64
        for order, natural in enumerate(ZIGZAG):
            table[natural] = int.from_bytes(raw[order * size : (order + 1) * size], "big")
        yield slot, tuple(table)
        position += 64 * size


def _header(
    process: int, payload: bytes, tables: dict[int, tuple[int, ...]], transform: int | None
) -> JpegHeader:
    if len(payload) < 6 or not payload[5] or len(payload) < 6 + 3 * payload[5]:
        raise CodecError("the frame header of the JPEG is cut short")
    parts = [payload[6 + 3 * i : 9 + 3 * i] for i in range(payload[5])]
    header = JpegHeader(
        width=int.from_bytes(payload[3:5], "big"),
        height=int.from_bytes(payload[1:3], "big"),
        precision=payload[0],
        process=process,
        components=tuple(
            Component(part[1] >> 4, part[1] & 0xF, part[2], part[0]) for part in parts
        ),
        tables=tables,
        adobe_transform=transform,
    )
    if not header.width or not header.height:
        raise CodecError(f"the JPEG says it is {header.width}x{header.height} pixels")
    if any(not component.across or not component.down for component in header.components):
        raise CodecError("the JPEG has a component with a sampling factor of 0")
    return header
