"""ISO base media boxes (ISO/IEC 14496-12) and the coded picture of a HEIF file (23008-12).

A HEIF file names its pictures "items". The primary item is coded itself, or it is a grid of coded
tiles; `read_heif_image` returns the bytes of the item or of the grid's first tile.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from diffir.errors import CodecError

if TYPE_CHECKING:
    from collections.abc import Iterator


@dataclass(frozen=True)
class Box:
    """One box: its four-letter kind and its payload, header excluded."""

    kind: str
    payload: bytes

    def full(self) -> tuple[int, int, bytes]:
        """Version, flags and payload of a full box."""
        if len(self.payload) < 4:
            raise CodecError(f"the {self.kind!r} box is cut short")
        return self.payload[0], int.from_bytes(self.payload[1:4], "big"), self.payload[4:]


@dataclass(frozen=True)
class HeifImage:
    """The primary picture of a HEIF file.

    kind: of the coded item, "av01" or "hvc1". bitstream: the item's bytes, of the first tile if
    there are several. properties: payloads by kind ("av1C", "colr", "irot", ...), the primary
    item's before the tile's. tiles: 1, or how many make up the grid. auxiliary: whether another
    item, such as alpha, belongs to the primary. width, height: as displayed before rotation.
    """

    kind: str
    bitstream: bytes
    properties: dict[str, bytes]
    width: int | None
    height: int | None
    tiles: int
    auxiliary: bool


def boxes(data: bytes) -> Iterator[Box]:
    """The boxes that follow each other in `data`.

    Raises:
        CodecError: a box runs past the end.
    """
    position = 0
    while position + 8 <= len(data):
        size, header = int.from_bytes(data[position : position + 4], "big"), 8
        if size == 1:
            size, header = int.from_bytes(data[position + 8 : position + 16], "big"), 16
        elif size == 0:  # to the end of the file
            size = len(data) - position
        kind = data[position + 4 : position + 8].decode("latin-1")
        if size < header or position + size > len(data):
            raise CodecError(f"the {kind!r} box of {size} bytes does not fit into its file")
        yield Box(kind, data[position + header : position + size])
        position += size


def read_brands(data: bytes) -> tuple[str, ...]:
    """The brands of the file type box, the major one first; empty without such a box."""
    size = int.from_bytes(data[:4], "big")
    if data[4:8] != b"ftyp" or not 16 <= size <= len(data):
        return ()
    starts = (8, *range(16, size - 3, 4))
    return tuple(data[start : start + 4].decode("latin-1") for start in starts)


def read_heif_image(data: bytes) -> HeifImage:
    """Find the primary picture.

    Raises:
        CodecError: no picture items, damaged, or cut short.
    """
    meta = next((box for box in boxes(data) if box.kind == "meta"), None)
    if meta is None:
        raise CodecError("the file has no meta box: it holds no still picture")
    return _Items(meta, data).image()


@dataclass
class _Cursor:
    """Big-endian numbers, one after the other."""

    data: bytes
    position: int = 0

    def number(self, size: int) -> int:
        end = self.position + size
        if end > len(self.data):
            raise CodecError("a box of the file's meta data is cut short")
        value = int.from_bytes(self.data[self.position : end], "big")
        self.position = end
        return value


@dataclass
class _Items:
    """The item tables of one meta box."""

    meta: Box
    data: bytes
    parts: dict[str, Box] = field(init=False)

    def __post_init__(self) -> None:
        _, _, payload = self.meta.full()
        self.parts = {box.kind: box for box in boxes(payload)}

    def image(self) -> HeifImage:
        kinds, references = self._kinds(), list(self._references())
        primary = self._primary()
        tiles = [
            target
            for kind, source, targets in references
            if kind == "dimg" and source == primary
            for target in targets
        ]
        coded = tiles[0] if kinds.get(primary) == "grid" and tiles else primary
        properties = {**self._properties(coded), **self._properties(primary)}
        size = properties.get("ispe", b"")[4:12]
        return HeifImage(
            kind=kinds.get(coded, ""),
            bitstream=self._bytes_of(coded),
            properties=properties,
            width=int.from_bytes(size[:4], "big") or None,
            height=int.from_bytes(size[4:], "big") or None,
            tiles=max(1, len(tiles)) if coded != primary else 1,
            auxiliary=any(kind == "auxl" and primary in to for kind, _, to in references),
        )

    def _part(self, kind: str) -> tuple[int, int, _Cursor]:
        if kind not in self.parts:
            raise CodecError(f"the file's meta box holds no {kind!r} box")
        version, flags, payload = self.parts[kind].full()
        return version, flags, _Cursor(payload)

    def _primary(self) -> int:
        version, _, cursor = self._part("pitm")
        return cursor.number(4 if version else 2)

    def _kinds(self) -> dict[int, str]:
        """Item number to four-letter kind, from `iinf`."""
        version, _, cursor = self._part("iinf")
        cursor.number(4 if version else 2)
        kinds = {}
        for entry in boxes(cursor.data[cursor.position :]):
            entry_version, _, payload = entry.full()
            if entry.kind == "infe" and entry_version >= 2:
                width = 2 if entry_version == 2 else 4
                kind = payload[width + 2 : width + 6].decode("latin-1")
                kinds[int.from_bytes(payload[:width], "big")] = kind
        return kinds

    def _references(self) -> Iterator[tuple[str, int, list[int]]]:
        """Kind, from item, to items; from `iref`, which is optional."""
        if "iref" not in self.parts:
            return
        version, _, cursor = self._part("iref")
        width = 4 if version else 2
        for box in boxes(cursor.data):
            inner = _Cursor(box.payload)
            source, count = inner.number(width), inner.number(2)
            yield box.kind, source, [inner.number(width) for _ in range(count)]

    def _properties(self, item: int) -> dict[str, bytes]:
        """Payloads of the item's properties by kind, from `iprp`; the first of a kind counts."""
        if "iprp" not in self.parts:
            return {}
        known: list[Box] = []
        chosen: list[int] = []
        for box in boxes(self.parts["iprp"].payload):
            if box.kind == "ipco":
                known = list(boxes(box.payload))
            elif box.kind == "ipma":
                chosen += _associations(box).get(item, [])
        found: dict[str, bytes] = {}
        for index in chosen:
            if 1 <= index <= len(known):
                found.setdefault(known[index - 1].kind, known[index - 1].payload)
        return found

    def _bytes_of(self, item: int) -> bytes:
        """The item's extents, joined, from `iloc`."""
        version, _, cursor = self._part("iloc")
        sizes = cursor.number(2)
        offset_size, length_size, base_size = sizes >> 12, sizes >> 8 & 15, sizes >> 4 & 15
        index_size = sizes & 15 if version else 0
        for _ in range(cursor.number(4 if version == 2 else 2)):
            number = cursor.number(4 if version == 2 else 2)
            method = cursor.number(2) & 15 if version else 0
            cursor.number(2)  # data reference
            base = cursor.number(base_size)
            count = cursor.number(2)
            if number != item:
                cursor.position += count * (index_size + offset_size + length_size)
                continue
            extents = []
            for _ in range(count):
                cursor.number(index_size)
                extents.append((base + cursor.number(offset_size), cursor.number(length_size)))
            return self._join(extents, method)
        raise CodecError(f"the file says not where item {item} lies")

    def _join(self, extents: list[tuple[int, int]], method: int) -> bytes:
        if method > 1 or (method == 1 and "idat" not in self.parts):
            raise CodecError("the file's picture is built from other items, not coded bytes")
        source = self.parts["idat"].payload if method else self.data
        spans = [(start, start + length if length else len(source)) for start, length in extents]
        total = sum(end - start for start, end in spans)
        # Extents that overlap could ask for more memory than the file has bytes.
        if any(start >= end or end > len(source) for start, end in spans) or total > len(source):
            raise CodecError("the picture's bytes lie past the end of the file: it is cut short")
        return b"".join(source[start:end] for start, end in spans)


def _associations(box: Box) -> dict[int, list[int]]:
    """Item number to one-based property numbers, of one `ipma` box."""
    version, flags, payload = box.full()
    cursor = _Cursor(payload)
    wide = bool(flags & 1)
    found: dict[int, list[int]] = {}
    for _ in range(cursor.number(4)):
        item = cursor.number(4 if version else 2)
        numbers = [cursor.number(2 if wide else 1) for _ in range(cursor.number(1))]
        found[item] = [number & (0x7FFF if wide else 0x7F) for number in numbers]
    return found
