"""Huffman codes of a JPEG as look-up tables over every 16-bit window of a stream.

Source: ITU-T T.81, annex C (codes from lengths), F.2.2 (decoding).

A window is the next 16 bits at a bit position. One look-up says which symbol begins there, and
where code and extra bits fit into 16 bits together, which they mostly do, the coefficient as well.
"""

from __future__ import annotations

from functools import cache, cached_property
from typing import TYPE_CHECKING

import numpy as np

from diffir.errors import CodecError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

PAD = bytes([0xFF]) * 8
"""Ones follow the last byte, as encoders pad it: no code of ones alone exists."""


class HuffmanTable:
    """One table, by window.

    symbols: 0 where no code begins, else length of the code, and the symbol in the low 8 bits.
    """

    def __init__(self, by_window: NDArray[np.int64], *, dc: bool) -> None:
        self._by_window = by_window
        self._dc = dc
        self.symbols: list[int] = by_window.tolist()

    @cached_property
    def steps(self) -> list[int]:
        """What to do at a window; 0 where `symbols` must be asked.

        From the low bit up: 5 bits that code and extra bits take, 7 bits by how much the index of
        the coefficient grows (64 at the end of the block), and the coefficient's signed value.
        """
        length, symbol = self._by_window >> 8, self._by_window & 0xFF
        size, run = (symbol, 0 * symbol) if self._dc else (symbol & 15, symbol >> 4)
        fits = (length > 0) & (length + size <= 16)
        size = np.where(fits, size, 0)
        extra = np.arange(1 << 16) >> (16 - length - size) & ((1 << size) - 1)
        value = np.where(extra >> np.maximum(size - 1, 0), extra, extra + 1 - (1 << size))
        grow = np.where((size > 0) | (run == 15), run + 1, 64)
        steps: list[int] = np.where(fits, value * 4096 + grow * 32 + length + size, 0).tolist()
        return steps


def huffman_tables(payload: bytes) -> Iterator[tuple[int, HuffmanTable]]:
    """The tables of a DHT segment, by class and slot as stored in one byte.

    Raises:
        CodecError: cut short, or more codes than bits can tell apart.
    """
    position = 0
    while position < len(payload):
        slot, counts = payload[position], payload[position + 1 : position + 17]
        symbols = payload[position + 17 : position + 17 + sum(counts)]
        if len(counts) < 16 or len(symbols) < sum(counts):
            raise CodecError("a Huffman table of the JPEG is cut short")
        yield slot, _table(counts, symbols, dc=slot < 0x10)
        position += 17 + len(symbols)


def _table(counts: bytes, symbols: bytes, *, dc: bool) -> HuffmanTable:
    by_window = np.zeros(1 << 16, np.int64)
    start, used = 0, 0
    for length, count in enumerate(counts, 1):
        for symbol in symbols[used : used + count]:
            end = start + (1 << (16 - length))
            by_window[start:end] = length << 8 | symbol
            start = end
        used += count
    if start > 1 << 16:
        raise CodecError("a Huffman table of the JPEG has more codes than bits can tell apart")
    return HuffmanTable(by_window, dc=dc)


@cache
def no_codes() -> HuffmanTable:
    """What stands for a table that was not sent."""
    return HuffmanTable(np.zeros(1 << 16, np.int64), dc=False)


def slow_step(table: HuffmanTable, windows: memoryview[int], position: int) -> int:
    """What `steps` would say had it room for more than 16 bits.

    Raises:
        CodecError: no code begins there.
    """
    found = table.symbols[windows[position]]
    length, size = found >> 8, found & 15
    if not found or length + size > 31:
        raise CodecError("the entropy-coded data of the JPEG is damaged: it holds no such code")
    value = extended(windows, position + length, size)
    return value * 4096 + ((found & 0xFF) >> 4) * 32 + 32 + length + size


def extended(windows: memoryview[int], position: int, size: int) -> int:
    """The signed number of `size` bits there, F.2.2.1: those that begin with 0 are negative."""
    if size == 0:
        return 0
    extra = windows[position] >> (16 - size)
    return extra if extra >> (size - 1) else extra + 1 - (1 << size)


def bit_windows(data: bytes) -> memoryview[int]:
    """The 16 bits at each bit position of `data`, which has no stuffed bytes any more."""
    padded = np.frombuffer(data + PAD, np.uint8).astype(np.uint32)
    three = padded[:-2] << 16 | padded[1:-1] << 8 | padded[2:]
    windows = np.empty((len(three), 8), np.uint16)
    for bit in range(8):
        windows[:, bit] = (three >> np.uint32(8 - bit)).astype(np.uint16)
    return memoryview(windows.reshape(-1).data)
