"""The quantized coefficients of a JPEG, read from its bytes.

Source: ITU-T T.81: A.1 and A.2 (sizes, order of blocks), B.2 (segments).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from diffir.codecs.jpeg_headers import (
    DQT,
    SOS,
    quantization_tables,
    read_jpeg,
    scan_end,
    segments,
)
from diffir.codecs.jpeg_huffman import huffman_tables, no_codes
from diffir.codecs.jpeg_scans import Entry, Scan, decode_scan
from diffir.contracts.coefficients import BlockPlane, Coefficients
from diffir.errors import CodecError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from diffir.codecs.jpeg_headers import Component, JpegHeader
    from diffir.codecs.jpeg_huffman import HuffmanTable

_DHT, _DRI = 0xC4, 0xDD


@dataclass(frozen=True, eq=False)
class _Grid:
    """Where a component's blocks lie in the buffer, as scans order them.

    rows, columns: blocks that hold a part of the picture, A.1.1 and A.2.4. places:
    `(rows of MCUs * down, columns of MCUs * across)` offsets of blocks, whole MCUs included.
    """

    component: Component
    rows: int
    columns: int
    places: NDArray[np.int64]

    def alone(self) -> Sequence[Sequence[int]]:
        """Blocks of a scan of this component only: row by row, each one an MCU."""
        order: list[list[int]] = self.places[: self.rows, : self.columns].reshape(-1, 1).tolist()
        return order

    def interleaved(self) -> Sequence[Sequence[int]]:
        """Blocks of this component in each MCU of a scan of several."""
        down, across = self.component.down, self.component.across
        rows, columns = self.places.shape
        mcus = self.places.reshape(rows // down, down, columns // across, across)
        order: list[list[int]] = mcus.swapaxes(1, 2).reshape(-1, down * across).tolist()
        return order


def read_coefficients(data: bytes) -> Coefficients:
    """Decode the entropy coding and nothing more.

    Raises:
        CodecError: damaged; or of a kind that is not read: arithmetic coding, lossless, 12 bits,
            CMYK, stored as RGB, or with sampling factors that do not divide each other.
    """
    header = read_jpeg(data)
    _check_kind(header)
    grids = _grids(header)
    blocks = sum(grid.places.size for grid in grids)
    if blocks > 64 * len(data):  # a block's DC level takes a bit; padding may not be sent at all
        raise CodecError(f"the JPEG claims {blocks} blocks in {len(data)} bytes: it is damaged")
    levels = np.zeros(64 * blocks, np.int16)
    tables = _decode(data, header, grids, levels.data)
    most_across = max(grid.component.across for grid in grids)
    most_down = max(grid.component.down for grid in grids)
    planes = tuple(
        BlockPlane(
            levels[grid.places[0, 0] : grid.places[-1, -1] + 64].reshape(*grid.places.shape, 64)[
                : grid.rows, : grid.columns
            ],
            table,
            most_across // grid.component.across,
            most_down // grid.component.down,
        )
        for grid, table in zip(grids, tables, strict=True)
    )
    return Coefficients(header.width, header.height, planes)


def _check_kind(header: JpegHeader) -> None:
    components = header.components
    across, down = max(c.across for c in components), max(c.down for c in components)
    reasons = {
        "is lossless, without a DCT": header.lossless,
        "has arithmetic coding": header.arithmetic,
        f"is hierarchical (process {header.process})": header.process not in (0, 1, 2),
        f"has {header.precision} bits a sample": header.precision != 8,
        f"has {len(components)} components": len(components) not in (1, 3),
        "is stored as RGB": len(components) == 3 and header.adobe_transform == 0,
        "has sampling factors above 4": across > 4 or down > 4,
        "has sampling factors that do not divide each other": any(
            across % c.across or down % c.down for c in components
        ),
    }
    found = [reason for reason, applies in reasons.items() if applies]
    if found:
        raise CodecError(
            f"coefficients of this JPEG are not read: it {found[0]}",
            hint="Baseline, extended and progressive Huffman JPEGs of 8 bits are, gray or YCbCr.",
        )


def _grids(header: JpegHeader) -> list[_Grid]:
    components = header.components
    if len(components) == 1:  # A.2.2: an MCU of one component is one block, whatever the factors
        components = (type(components[0])(1, 1, components[0].slot, components[0].identifier),)
    across, down = max(c.across for c in components), max(c.down for c in components)
    mcu_rows = -(-header.height // (8 * down))
    mcu_columns = -(-header.width // (8 * across))
    grids, start = [], 0
    for one in components:
        shape = (mcu_rows * one.down, mcu_columns * one.across)
        places = start + 64 * np.arange(shape[0] * shape[1]).reshape(shape)
        rows = -(-header.height * one.down // (8 * down))
        columns = -(-header.width * one.across // (8 * across))
        grids.append(_Grid(one, rows, columns, places))
        start += 64 * places.size
    return grids


def _decode(
    data: bytes, header: JpegHeader, grids: Sequence[_Grid], levels: memoryview[int]
) -> list[tuple[int, ...]]:
    """Decode all scans; the quantization table of each component, as its first scan finds it."""
    huffman: dict[int, HuffmanTable] = {}
    steps: dict[int, tuple[int, ...]] = {}
    used: dict[int, tuple[int, ...]] = {}
    interval = 0
    for code, payload, end in segments(data):
        if code == _DHT:
            huffman.update(huffman_tables(payload))
        elif code == DQT:
            steps.update(quantization_tables(payload))
        elif code == _DRI:
            interval = int.from_bytes(payload[:2], "big")
        elif code == SOS:
            scan = _scan(payload, grids, huffman, interval, levels, header.progressive)
            decode_scan(scan, data[end : scan_end(data, end)], progressive=header.progressive)
            for entry in scan.entries:
                slot = grids[entry.component].component.slot
                used.setdefault(entry.component, steps.get(slot, ()))
    if len(used) < len(grids) or not all(used.values()):
        raise CodecError("the JPEG lacks a scan, or a quantization table, of one component")
    return [used[index] for index in range(len(grids))]


def _scan(
    payload: bytes,
    grids: Sequence[_Grid],
    huffman: dict[int, HuffmanTable],
    interval: int,
    levels: memoryview[int],
    progressive: bool,
) -> Scan:
    count = payload[0] if payload else 0
    if not count or len(payload) < 4 + 2 * count:
        raise CodecError("the header of a scan of the JPEG is cut short")
    index = {grid.component.identifier: at for at, grid in enumerate(grids)}
    entries = []
    for at in range(count):
        identifier, tables = payload[1 + 2 * at : 3 + 2 * at]
        if identifier not in index:
            raise CodecError(f"a scan of the JPEG has a component {identifier} that it lacks")
        grid = grids[index[identifier]]
        order = grid.alone() if count == 1 else grid.interleaved()
        dc = huffman.get(tables >> 4, no_codes())
        ac = huffman.get(0x10 | tables & 0xF, no_codes())
        entries.append(Entry(index[identifier], dc, ac, order))
    first, last, approximation = payload[1 + 2 * count : 4 + 2 * count]
    high, low = approximation >> 4, approximation & 0xF
    if not progressive:
        first, last, high, low = 0, 63, 0, 0
    if first > last or last > 63 or low > 13 or (first and count > 1):
        raise CodecError(f"a scan of the JPEG has the band {first} to {last} of {count} components")
    return Scan(entries, first, last, high, low, interval, levels)
