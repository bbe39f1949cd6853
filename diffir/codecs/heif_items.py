"""The coded pictures of a HEIF file: ISO/IEC 23008-12, clause 6; item tables: 14496-12, 8.11.

A HEIF file names its pictures "items". The primary item is coded itself, or it is a grid of coded
tiles; `read_heif_image` returns the bytes of the item or of the grid's first tile, `HeifItems` any
of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

from diffir.codecs.iso_boxes import Box, Cursor, boxes
from diffir.errors import CodecError

if TYPE_CHECKING:
    from collections.abc import Iterator


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


class Place(NamedTuple):
    """Where an item's bytes lie: method 0 in the file, 1 in the box "idat"; (start, length)s."""

    method: int
    extents: tuple[tuple[int, int], ...]


def read_heif_image(data: bytes) -> HeifImage:
    """Find the primary picture.

    Raises:
        CodecError: no picture items, damaged, or cut short.
    """
    items = HeifItems(data)
    tiles, primary = items.tiles, items.primary
    coded = tiles[0] if tiles else primary
    properties = {**items.properties(coded), **items.properties(primary)}
    size = properties.get("ispe", b"")[4:12]
    return HeifImage(
        kind=items.kinds.get(coded, ""),
        bitstream=items.bytes_of(coded),
        properties=properties,
        width=int.from_bytes(size[:4], "big") or None,
        height=int.from_bytes(size[4:], "big") or None,
        tiles=len(tiles) or 1,
        auxiliary=any(kind == "auxl" and primary in to for kind, _, to in items.references),
    )


class HeifItems:
    """The item tables of a file's meta box, each read once, when it is first asked for.

    Raises:
        CodecError: the file holds no meta box, or is cut short.
    """

    def __init__(self, data: bytes) -> None:
        meta = next((box for box in boxes(data) if box.kind == "meta"), None)
        if meta is None:
            raise CodecError("the file has no meta box: it holds no still picture")
        self._data = data
        self._parts = {box.kind: box for box in boxes(meta.full()[2])}

    @cached_property
    def primary(self) -> int:
        """The number of the item that is the picture."""
        version, _, cursor = self._part("pitm")
        return cursor.number(4 if version else 2)

    @property
    def tiles(self) -> tuple[int, ...]:
        """The numbers of the tiles, row by row; empty where the picture is no grid."""
        if self.kinds.get(self.primary) != "grid":
            return ()
        return tuple(
            target
            for kind, source, targets in self.references
            if kind == "dimg" and source == self.primary
            for target in targets
        )

    @cached_property
    def kinds(self) -> dict[int, str]:
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

    @cached_property
    def references(self) -> tuple[tuple[str, int, tuple[int, ...]], ...]:
        """Kind, from item, to items; from `iref`, which is optional."""
        return tuple(self._references())

    def _references(self) -> Iterator[tuple[str, int, tuple[int, ...]]]:
        if "iref" not in self._parts:
            return
        version, _, cursor = self._part("iref")
        width = 4 if version else 2
        for box in boxes(cursor.data):
            inner = Cursor(box.payload)
            source, count = inner.number(width), inner.number(2)
            yield box.kind, source, tuple(inner.number(width) for _ in range(count))

    def properties(self, item: int) -> dict[str, bytes]:
        """Payloads of the item's properties by kind, in their order; the first of a kind counts."""
        found: dict[str, bytes] = {}
        for box in self.boxes_of(item):
            found.setdefault(box.kind, box.payload)
        return found

    def boxes_of(self, item: int) -> list[Box]:
        """The item's properties, in their order; some kinds may be there twice."""
        known, chosen = self._properties
        return [known[index - 1] for index in chosen.get(item, ()) if 1 <= index <= len(known)]

    @cached_property
    def _properties(self) -> tuple[list[Box], dict[int, list[int]]]:
        """All properties, and item number to one-based property numbers, from `iprp`."""
        known: list[Box] = []
        chosen: dict[int, list[int]] = {}
        parts = boxes(self._parts["iprp"].payload) if "iprp" in self._parts else ()
        for box in parts:
            if box.kind == "ipco":
                known = list(boxes(box.payload))
            elif box.kind == "ipma":
                for item, numbers in _associations(box).items():
                    chosen.setdefault(item, []).extend(numbers)
        return known, chosen

    @cached_property
    def _places(self) -> dict[int, Place]:
        """Where each item lies, from `iloc`."""
        version, _, cursor = self._part("iloc")
        sizes = cursor.number(2)
        offset_size, length_size, base_size = sizes >> 12, sizes >> 8 & 15, sizes >> 4 & 15
        index_size = sizes & 15 if version else 0
        places: dict[int, Place] = {}
        for _ in range(cursor.number(4 if version == 2 else 2)):
            number = cursor.number(4 if version == 2 else 2)
            method = cursor.number(2) & 15 if version else 0
            cursor.number(2)  # data reference
            base = cursor.number(base_size)
            extents, count = [], cursor.number(2)
            # Nothing would end such a loop early where the box is cut short.
            if count > 1 and not index_size + offset_size + length_size:
                raise CodecError(f"item {number} is said to lie in {count} places of 0 bytes")
            for _ in range(count):
                cursor.number(index_size)
                extents.append((base + cursor.number(offset_size), cursor.number(length_size)))
            places.setdefault(number, Place(method, tuple(extents)))
        return places

    def bytes_of(self, item: int) -> bytes:
        """The item's extents, joined.

        Raises:
            CodecError: they are not told, lie past the end, or are made from other items.
        """
        source, spans = self._spans(item)
        return b"".join(source[start:end] for start, end in spans)

    def length_of(self, item: int) -> int:
        """How many bytes `bytes_of` gives; errors as there."""
        return sum(end - start for start, end in self._spans(item)[1])

    def _spans(self, item: int) -> tuple[bytes, list[tuple[int, int]]]:
        if item not in self._places:
            raise CodecError(f"the file says not where item {item} lies")
        method, extents = self._places[item]
        if method > 1 or (method == 1 and "idat" not in self._parts):
            raise CodecError("the file's picture is built from other items, not coded bytes")
        source = self._parts["idat"].payload if method else self._data
        spans = [(start, start + length if length else len(source)) for start, length in extents]
        total = sum(end - start for start, end in spans)
        # Extents that overlap could ask for more memory than the file has bytes.
        if any(start >= end or end > len(source) for start, end in spans) or total > len(source):
            raise CodecError("the picture's bytes lie past the end of the file: it is cut short")
        return source, spans

    def _part(self, kind: str) -> tuple[int, int, Cursor]:
        if kind not in self._parts:
            raise CodecError(f"the file's meta box holds no {kind!r} box")
        version, flags, payload = self._parts[kind].full()
        return version, flags, Cursor(payload)


def _associations(box: Box) -> dict[int, list[int]]:
    """Item number to one-based property numbers, of one `ipma` box."""
    version, flags, payload = box.full()
    cursor = Cursor(payload)
    wide = bool(flags & 1)
    found: dict[int, list[int]] = {}
    for _ in range(cursor.number(4)):
        item = cursor.number(4 if version else 2)
        numbers = [cursor.number(2 if wide else 1) for _ in range(cursor.number(1))]
        found[item] = [number & (0x7FFF if wide else 0x7F) for number in numbers]
    return found
