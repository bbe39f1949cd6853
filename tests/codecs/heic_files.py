"""Writes HEIC files box by box, right ones and wrong ones, around pictures of our own encoder."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING

from diffir.codecs.hevc import Hevc
from diffir.codecs.hevc_headers import nal_type
from diffir.codecs.nal_units import CHROMA_FORMATS, split_annex_b

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


def box(kind: str, payload: bytes) -> bytes:
    return struct.pack(">I4s", 8 + len(payload), kind.encode()) + payload


def full(kind: str, payload: bytes, version: int = 0) -> bytes:
    return box(kind, bytes([version, 0, 0, 0]) + payload)


def size_box(width: int, height: int) -> bytes:
    return full("ispe", struct.pack(">II", width, height))


def record(sets: list[bytes], *, chroma: str = "4:4:4") -> bytes:
    """hvcC, with lengths of four bytes and samples of 8 bits; the profile is left to the sets."""
    arrays = b"".join(
        bytes([nal_type(unit)]) + struct.pack(">HH", 1, len(unit)) + unit for unit in sets
    )
    color = 0xFC | CHROMA_FORMATS.index(chroma)
    head = bytes([1]) + bytes(12) + bytes([0xF0, 0, 0xFC, color, 0xF8, 0xF8, 0, 0])
    return head + bytes([0x0F, len(sets)]) + arrays


@dataclass(frozen=True)
class Item:
    """kind: of four letters. data: its bytes. properties: boxes. where: 0 in mdat, 1 in idat."""

    kind: str
    data: bytes
    properties: tuple[bytes, ...] = ()
    where: int = 0


@dataclass(frozen=True)
class File:
    """Items from number 1 up, the first one primary; references: kind, from item, to items."""

    items: tuple[Item, ...]
    references: tuple[tuple[str, int, tuple[int, ...]], ...] = ()

    def data(self) -> bytes:
        """The file's bytes."""
        meta = self._meta(0)
        return self._meta(len(meta)) + box("mdat", b"".join(i.data for i in self._in(0)))

    def _in(self, where: int) -> list[Item]:
        return [item for item in self.items if item.where == where]

    def _meta(self, length: int) -> bytes:
        numbered = list(enumerate(self.items, 1))
        entries = b"".join(
            full("infe", struct.pack(">HH4s", number, 0, item.kind.encode()) + b"\0", 2)
            for number, item in numbered
        )
        parts = full("hdlr", bytes(4) + b"pict" + bytes(13))
        parts += full("pitm", struct.pack(">H", 1))
        parts += full("iinf", struct.pack(">H", len(numbered)) + entries)
        parts += self._references() + self._properties()
        parts += box("idat", b"".join(item.data for item in self._in(1)))
        parts += self._places(length + 8)
        return box("ftyp", b"heic\0\0\0\0mif1heic") + full("meta", parts)

    def _references(self) -> bytes:
        return full(
            "iref",
            b"".join(
                box(kind, struct.pack(f">HH{len(to)}H", source, len(to), *to))
                for kind, source, to in self.references
            ),
        )

    def _properties(self) -> bytes:
        known = list(dict.fromkeys(p for item in self.items for p in item.properties))
        links = b"".join(
            struct.pack(">HB", number, len(item.properties))
            + b"".join(struct.pack(">H", 1 + known.index(p)) for p in item.properties)
            for number, item in enumerate(self.items, 1)
        )
        wide = box("ipma", b"\0\0\0\1" + struct.pack(">I", len(self.items)) + links)
        return box("iprp", box("ipco", b"".join(known)) + wide)

    def _places(self, start: int) -> bytes:
        at, rows = [start, 0], b""
        for number, item in enumerate(self.items, 1):
            place = struct.pack(">HHHHII", number, item.where, 0, 1, at[item.where], len(item.data))
            rows += place
            at[item.where] += len(item.data)
        return full("iloc", bytes([0x44, 0]) + struct.pack(">H", len(self.items)) + rows, 1)


def picture(stream: bytes, *properties: bytes, kind: str = "hvc1") -> Item:
    """A byte stream of our encoder as an item."""
    units = split_annex_b(stream)
    sets = [unit for unit in units if nal_type(unit) in (32, 33, 34)]
    coded = [unit for unit in units if unit not in sets]
    sample = b"".join(struct.pack(">I", len(unit)) + unit for unit in coded)
    hvcc = box("hvcC", record(sets, chroma=Hevc().read_info(stream).subsampling or ""))
    return Item(kind, sample, (hvcc, *properties))


def single(stream: bytes, *properties: bytes, kind: str = "hvc1") -> File:
    """A picture in one piece, of 48x32."""
    return File((picture(stream, size_box(48, 32), *properties, kind=kind),))


def grid_payload(rows: int, columns: int, width: int, height: int, *, long: bool = False) -> bytes:
    sizes = struct.pack(">II" if long else ">HH", width, height)
    return bytes([0, long, rows - 1, columns - 1]) + sizes


def tiled(
    pixels: NDArray[np.uint8],
    *properties: bytes,
    size: tuple[int, int],
    crop: tuple[int, int] = (0, 0),
    quality: int = 20,
    subsampling: str = "4:4:4",
    long: bool = False,
    idat: bool = True,
) -> File:
    """`(H,W,3)`, multiples of the tiles' (width, height), as a grid.

    crop: columns and rows that the grid leaves out, right and bottom.
    """
    across, down = pixels.shape[1] // size[0], pixels.shape[0] // size[1]
    tiles = [
        picture(
            Hevc().encode(
                pixels[size[1] * row :, size[0] * column :][: size[1], : size[0]].copy(),
                quality,
                subsampling=subsampling,
            ),
            size_box(*size),
        )
        for row in range(down)
        for column in range(across)
    ]
    width, height = pixels.shape[1] - crop[0], pixels.shape[0] - crop[1]
    payload = grid_payload(down, across, width, height, long=long)
    grid = Item("grid", payload, (size_box(width, height), *properties), where=int(idat))
    return File((grid, *tiles), (("dimg", 1, tuple(range(2, 2 + len(tiles)))),))
