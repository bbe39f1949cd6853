"""ISO base media boxes, ISO/IEC 14496-12: of MP4, HEIF, JPEG 2000 and JPEG XL files."""

from __future__ import annotations

from dataclasses import dataclass
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


@dataclass
class Cursor:
    """Big-endian numbers, one after the other."""

    data: bytes
    position: int = 0

    def number(self, size: int) -> int:
        """Read a number of `size` bytes."""
        end = self.position + size
        if end > len(self.data):
            raise CodecError("a box of the file's meta data is cut short")
        value = int.from_bytes(self.data[self.position : end], "big")
        self.position = end
        return value
