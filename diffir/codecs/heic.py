"""The HEVC picture inside a HEIC file: in one piece, or a grid of tiles.

file -> items -> NAL units of the picture, or of each tile -> the caller decodes
     -> tiles are put in place -> cut, turned, mirrored
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from diffir.codecs.heif_grid import DAMAGED, Grid, assembled, read_grid
from diffir.codecs.heif_items import HeifItems, read_heif_image
from diffir.codecs.heif_metadata import read_metadata
from diffir.codecs.heif_turns import cut_size, turned
from diffir.codecs.intra_frame import MAX_PIXELS
from diffir.codecs.iso_boxes import read_brands
from diffir.codecs.nal_records import hevc_units
from diffir.codecs.picture_stamp import Stamp
from diffir.contracts.picture import FileFacts
from diffir.errors import CodecError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from diffir.contracts.codec import Pixels

    Decode = Callable[[list[bytes]], Pixels]

HEIC_BRANDS = frozenset({"heic", "heix", "heim", "heis", "hevc", "hevx", "mif1", "msf1"})


@dataclass(frozen=True)
class HeicImage:
    """What the headers of a HEIC file say of its primary picture.

    units: NAL units of the picture, or of its first tile, parameter sets first. tiles: 1, or how
    many make up the grid. size: of the whole picture, cut but not turned, if told. coded_bytes: of
    all tiles; `None` where the picture is no grid.
    """

    units: list[bytes]
    tiles: int
    size: Stamp | None
    coded_bytes: int | None = None

    def tile_bits(self) -> float | None:
        """Bits of all tiles over the pixels of the picture; `None` where it is no grid."""
        if self.coded_bytes is None or self.size is None:
            return None
        return 8 * self.coded_bytes / (self.size.width * self.size.height)


def is_heic(data: bytes) -> bool:
    """Whether this is a HEIF file whose primary picture is coded in HEVC."""
    if not HEIC_BRANDS.intersection(read_brands(data)):
        return False
    try:
        return read_heif_image(data).kind == "hvc1"
    except CodecError:
        # Damaged: the brand alone decides, so that whoever decodes it says what is wrong.
        return data[8:11] == b"hei"


def read_heic(data: bytes) -> HeicImage:
    """Read the headers of the primary picture.

    Raises:
        CodecError: the file is damaged, cut short, or its picture is of another codec.
    """
    items = HeifItems(data)
    if items.kinds.get(items.primary) == "grid":
        grid = _checked_grid(items)
        first = next(_tiles(items, len(data)))[1]
        coded = sum(items.length_of(item) for item in set(items.tiles))
        told = cut_size(items.properties(items.primary)) or (grid.width, grid.height)
        return HeicImage(first, grid.tiles, Stamp(*told) if all(told) else None, coded)
    image = read_heif_image(data)
    told = cut_size(image.properties) or (image.width or 0, image.height or 0)
    return HeicImage(_units(items, items.primary), 1, Stamp(*told) if all(told) else None)


def heic_facts(data: bytes) -> FileFacts | None:
    """Size, as the file tells it, and metadata; `None` where it tells no size.

    Raises:
        CodecError: the file is damaged or cut short.
    """
    items = HeifItems(data)
    if items.kinds.get(items.primary) == "grid":
        grid = read_grid(items.bytes_of(items.primary))
        return FileFacts(grid.width, grid.height, read_metadata(items))
    size = items.properties(items.primary).get("ispe", b"")[4:12]
    width, height = int.from_bytes(size[:4], "big"), int.from_bytes(size[4:], "big")
    return FileFacts(width, height, read_metadata(items)) if width and height else None


def decode_heic(data: bytes, decode: Decode) -> Pixels:
    """Decode the primary picture to `(H,W,3) uint8` RGB, upright.

    Args:
        data: the whole file.
        decode: NAL units of one picture to its pixels; called for one tile after the other.

    Raises:
        CodecError: the file is damaged, cut short, or its picture is of another codec.
    """
    items = HeifItems(data)
    if items.kinds.get(items.primary) == "grid":
        grid = _checked_grid(items)
        pixels = assembled(
            grid, ((places, decode(units)) for places, units in _tiles(items, len(data)))
        )
    else:
        pixels = decode(_units(items, items.primary))
    return turned(pixels, items.properties(items.primary))


def _checked_grid(items: HeifItems) -> Grid:
    grid = read_grid(items.bytes_of(items.primary))
    if len(items.tiles) != grid.tiles:
        raise CodecError(
            f"a grid of {grid.columns}x{grid.rows} tiles needs {grid.tiles}, "
            f"the HEIC file names {len(items.tiles)}",
            hint=DAMAGED,
        )
    # Before anything is decoded: a few bytes may ask for any size.
    if grid.width * grid.height > MAX_PIXELS:
        raise CodecError(
            f"the HEIC file claims {grid.width}x{grid.height} pixels, {MAX_PIXELS} are the limit",
            hint="If that is its size, cut it into parts with another program first.",
        )
    return grid


def _tiles(items: HeifItems, file_size: int) -> Iterator[tuple[list[int], list[bytes]]]:
    """Places and NAL units of each tile; one that stands in several places comes once."""
    places: dict[int, list[int]] = {}
    for place, item in enumerate(items.tiles):
        places.setdefault(item, []).append(place)
    left = file_size
    for item, its_places in places.items():
        where = f"tile {its_places[0] + 1} of {len(items.tiles)}"
        units = _units(items, item, where=where)
        left -= items.length_of(item)
        # Tiles that overlap could ask for more work than the file has bytes.
        if left < 0:
            raise CodecError(f"{where} lies over the bytes of other tiles", hint=DAMAGED)
        yield its_places, units


def _units(items: HeifItems, item: int, *, where: str = "the picture") -> list[bytes]:
    kind, record = items.kinds.get(item), items.properties(item).get("hvcC")
    if kind is None:
        raise CodecError(f"{where} is missing: the file has no item {item}", hint=DAMAGED)
    if kind != "hvc1" or record is None:
        raise CodecError(
            f"a HEVC picture was expected in the HEIF file, {where} is {kind!r}"
            + ("" if kind != "hvc1" else " without its parameter sets"),
            hint="AVIF files are read by the codec avif; others: convert them to PNG or JPEG.",
        )
    return hevc_units(record, [items.bytes_of(item)])
