"""Decodes the scans of a JPEG to quantized coefficients: sequential and progressive Huffman.

Source: ITU-T T.81, F.2.2 (sequential), G.1.2 and G.2 (progressive), E.2.4 (restarts).

Pure Python, one turn of a loop per coefficient that is not zero: what is badly compressed has few.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING

from diffir.codecs.jpeg_headers import ZIGZAG
from diffir.codecs.jpeg_huffman import bit_windows, extended, slow_step
from diffir.errors import CodecError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from diffir.codecs.jpeg_huffman import HuffmanTable

_RESTARTS = tuple(bytes((0xFF, 0xD0 + number)) for number in range(8))


@dataclass(frozen=True)
class Entry:
    """A component in a scan: which one, its tables, and where its blocks lie.

    order: for each MCU of the scan, offsets in the coefficient buffer of this component's blocks.
    """

    component: int
    dc: HuffmanTable
    ac: HuffmanTable
    order: Sequence[Sequence[int]]


@dataclass
class Scan:
    """One scan: its parameters, B.2.3, where it writes to, and what it remembers between blocks.

    first, last: band of coefficients in zigzag order. high, low: bit positions of successive
    approximation. interval: MCUs between restarts, 0 for none. levels: every component's blocks,
    64 numbers each in natural order. predicted: the last DC level by component. blocks_to_end:
    blocks whose band ends with the one before them.
    """

    entries: Sequence[Entry]
    first: int
    last: int
    high: int
    low: int
    interval: int
    levels: memoryview[int]
    predicted: dict[int, int] = field(default_factory=dict)
    blocks_to_end: int = 0


Decode = Callable[[Scan, Entry, int, "memoryview[int]", int], int]
"""Decodes the block at an offset, from a bit position on; gives the position behind it."""


def decode_scan(scan: Scan, data: bytes, *, progressive: bool) -> None:
    """Decode one scan's entropy-coded data.

    Raises:
        CodecError: the data is damaged, or ends early.
    """
    decode = _block_decoder(scan, progressive=progressive)
    count = len(scan.entries[0].order)
    starts = range(0, count, scan.interval or count)
    try:
        parts = list(islice(_intervals(data), len(starts)))
        for start, part in zip(starts, parts, strict=True):
            _decode_interval(scan, part, range(start, min(start + starts.step, count)), decode)
    except (IndexError, ValueError) as error:
        # Past the data's end, a number or a place that cannot be:
        # asking for each inside the loop would cost more than the decoding itself.
        raise CodecError(f"the entropy-coded data of the JPEG is damaged: {error}") from error


def _intervals(data: bytes) -> Iterator[bytes]:
    """The data between restart markers, with the zeros that were stuffed behind FF taken out."""
    start = number = 0
    while start >= 0:
        end = data.find(_RESTARTS[number % 8], start)
        yield data[start : None if end < 0 else end].replace(b"\xff\x00", b"\xff")
        start, number = (end + 2 if end >= 0 else -1), number + 1


def _decode_interval(scan: Scan, part: bytes, mcus: range, decode: Decode) -> None:
    windows, position = bit_windows(part), 0
    scan.predicted = dict.fromkeys((entry.component for entry in scan.entries), 0)
    scan.blocks_to_end = 0
    for mcu in mcus:
        for entry in scan.entries:
            for offset in entry.order[mcu]:
                position = decode(scan, entry, offset, windows, position)
    if position > 8 * len(part):
        raise ValueError(f"{position - 8 * len(part)} bits are missing")


def _block_decoder(scan: Scan, *, progressive: bool) -> Decode:
    if not progressive:
        return _sequential
    if scan.first == 0:
        return _dc_again if scan.high else _dc_first
    return _ac_again if scan.high else _ac_first


def _sequential(
    scan: Scan, entry: Entry, offset: int, windows: memoryview[int], position: int
) -> int:
    position = _dc_first(scan, entry, offset, windows, position)
    table, levels, zigzag, index = entry.ac, scan.levels, ZIGZAG, 0
    steps = table.steps
    while index < 63:
        step = steps[windows[position]] or slow_step(table, windows, position)
        position += step & 31
        index += step >> 5 & 127
        value = step >> 12
        if value:
            levels[offset + zigzag[index]] = value
    return position


def _dc_first(
    scan: Scan, entry: Entry, offset: int, windows: memoryview[int], position: int
) -> int:
    table = entry.dc
    step = table.steps[windows[position]] or slow_step(table, windows, position)
    scan.predicted[entry.component] += step >> 12
    scan.levels[offset] = scan.predicted[entry.component] << scan.low
    return position + (step & 31)


def _dc_again(
    scan: Scan, entry: Entry, offset: int, windows: memoryview[int], position: int
) -> int:
    scan.levels[offset] |= (windows[position] >> 15) << scan.low
    return position + 1


def _ac_first(
    scan: Scan, entry: Entry, offset: int, windows: memoryview[int], position: int
) -> int:
    if scan.blocks_to_end:
        scan.blocks_to_end -= 1
        return position
    index = scan.first
    while index <= scan.last:
        position, run, size = _symbol(entry.ac, windows, position)
        if size:
            index += run
            value = extended(windows, position, size)
            scan.levels[offset + ZIGZAG[index]] = value << scan.low
            position += size
        elif run < 15:
            scan.blocks_to_end = (1 << run | _bits(windows, position, run)) - 1
            return position + run
        else:
            index += 15
        index += 1
    return position


def _ac_again(
    scan: Scan, entry: Entry, offset: int, windows: memoryview[int], position: int
) -> int:
    """G.1.2.3: new levels of one bit, and one more bit for each level that is there already."""
    index, levels, bit = scan.first, scan.levels, 1 << scan.low
    while not scan.blocks_to_end and index <= scan.last:
        position, run, size = _symbol(entry.ac, windows, position)
        if size > 1:
            raise ValueError(f"a refining scan has a level of {size} bits")
        if not size and run < 15:
            scan.blocks_to_end = 1 << run | _bits(windows, position, run)
            position += run
            break
        value = (bit if windows[position] >> 15 else -bit) if size else 0
        position += size
        index, position = _refine(scan, offset, windows, position, index, run)
        if value:
            levels[offset + ZIGZAG[index]] = value
        index += 1
    if scan.blocks_to_end:
        _, position = _refine(scan, offset, windows, position, index, 64)
        scan.blocks_to_end -= 1
    return position


def _refine(
    scan: Scan, offset: int, windows: memoryview[int], position: int, index: int, zeros: int
) -> tuple[int, int]:
    """Add a bit to each level on the way past so many zeros; the index of the one behind them."""
    levels, bit = scan.levels, 1 << scan.low
    while index <= scan.last:
        place = offset + ZIGZAG[index]
        level = levels[place]
        if level:
            if windows[position] >> 15:
                levels[place] = level + bit if level > 0 else level - bit
            position += 1
        elif not zeros:
            break
        else:
            zeros -= 1
        index += 1
    return index, position


def _symbol(table: HuffmanTable, windows: memoryview[int], position: int) -> tuple[int, int, int]:
    """Position behind the code there, and its run and size."""
    found = table.symbols[windows[position]]
    if not found:
        raise ValueError("it holds no such code")
    return position + (found >> 8), (found & 0xFF) >> 4, found & 15


def _bits(windows: memoryview[int], position: int, count: int) -> int:
    return windows[position] >> (16 - count)
