"""HEIC pictures that are a grid of tiles, as phones write them; and grids that are damaged."""

from __future__ import annotations

import contextlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from heic_files import File, Item, box, grid_payload, picture, size_box, tiled
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from diffir.codecs.heif_grid import Grid, read_grid
from diffir.codecs.hevc import Hevc
from diffir.errors import CodecError, DiffirError, UnsupportedPictureError
from diffir.pictures.reading import read, read_bytes
from diffir.testing.sample_pictures import scene

HEVC = Hevc()
GOLDEN = Path(__file__).parent / "golden" / "grid.heic"
"""`scene(150, 201)` in 12 tiles of 64x64, written by libheif 1.23.6 (x265 4.3) through pillow-heif
1.8.1: `pillow_heif.options.GRID_TILE_SIZE = 64`, `save(..., quality=50, chroma="420")`."""
PIXELS = scene(64, 96)
TILE = (32, 32)


@pytest.fixture(scope="module")
def grid() -> File:
    return tiled(PIXELS, size=TILE, crop=(5, 9))


def with_grid(file: File, payload: bytes) -> bytes:
    return replace(file, items=(replace(file.items[0], data=payload), *file.items[1:])).data()


def with_tile(file: File, tile: Item, *, number: int = 4) -> bytes:
    items = list(file.items)
    items[number] = tile
    return replace(file, items=tuple(items)).data()


def psnr(one, other) -> float:
    return 10 * np.log10(255**2 / np.mean((one.astype(float) - other) ** 2))


class TestPictures:
    def test_tiles_come_into_their_places(self, grid):
        decoded = HEVC.decode(grid.data())
        assert decoded.shape == (55, 91, 3)
        assert psnr(decoded, PIXELS[:55, :91]) > 34

    def test_each_tile_is_decoded_as_it_would_be_alone(self):
        decoded = HEVC.decode(tiled(PIXELS, size=TILE).data())
        alone = HEVC.decode(HEVC.encode(PIXELS[32:, 64:].copy(), 20, subsampling="4:4:4"))
        np.testing.assert_array_equal(decoded[32:, 64:], alone)

    @pytest.mark.parametrize("idat", [True, False])
    @pytest.mark.parametrize("long", [True, False])
    def test_layouts_of_the_grid_item(self, grid, idat, long):
        other = tiled(PIXELS, size=TILE, crop=(5, 9), long=long, idat=idat)
        np.testing.assert_array_equal(HEVC.decode(other.data()), HEVC.decode(grid.data()))

    def test_the_whole_picture_is_turned(self, grid):
        other = tiled(PIXELS, box("irot", b"\3"), box("imir", b"\1"), size=TILE, crop=(5, 9))
        expected = np.rot90(HEVC.decode(grid.data()), 3)[:, ::-1]
        np.testing.assert_array_equal(HEVC.decode(other.data()), expected)

    def test_tiles_with_parameter_sets_of_their_own(self, grid):
        # Another chroma format, so other parameter sets.
        stream = HEVC.encode(PIXELS[:32, :32].copy(), 40, subsampling="4:2:0")
        decoded = HEVC.decode(with_tile(grid, picture(stream), number=1))
        np.testing.assert_array_equal(decoded[:32, :32], HEVC.decode(stream))

    def test_one_tile_in_several_places(self, grid):
        file = replace(grid, references=(("dimg", 1, (2, 2, 3, 3, 2, 2)),))
        decoded = HEVC.decode(file.data())
        np.testing.assert_array_equal(decoded[:32, :32], decoded[:32, 32:64])
        np.testing.assert_array_equal(decoded[:23, 64:], decoded[32:, :27])

    def test_thumbnails_and_alpha_are_passed_over(self, grid):
        extra = picture(HEVC.encode(PIXELS[:16, :16].copy(), 30), size_box(16, 16))
        references = (*grid.references, ("thmb", 8, (1,)), ("auxl", 9, (1,)))
        file = File((*grid.items, extra, extra), references)
        np.testing.assert_array_equal(HEVC.decode(file.data()), HEVC.decode(grid.data()))

    def test_a_file_of_libheif(self):
        picture = read(GOLDEN)
        assert picture.pixels.shape == (150, 201, 3)
        assert psnr(picture.pixels, scene(150, 201)) > 30
        assert (picture.codec.quantizer, picture.codec.details["tiles"]) == (22, 12)


class TestReadingFiles:
    def test_profile_exif_and_xmp_are_kept(self, grid):
        exif = Image.Exif()
        exif[0x0112], exif[0x010F] = 6, "Maker"
        profile = box("colr", b"prof" + b"an ICC profile")
        canvas = replace(grid.items[0], properties=(box("colr", b"nclx" + bytes(7)), profile))
        extra = (
            Item("Exif", b"\0\0\0\6" + exif.tobytes()),
            Item("mime", b"<x:xmpmeta/>"),
        )
        references = (*grid.references, ("cdsc", 8, (1,)), ("cdsc", 9, (1,)))
        file = File((canvas, *grid.items[1:], *extra), references)
        metadata = read_bytes(file.data(), name="x").metadata
        assert (metadata.icc, metadata.xmp) == (b"an ICC profile", b"<x:xmpmeta/>")
        stored = Image.Exif()
        stored.load(metadata.exif)
        # The grid is turned by "irot" alone; the orientation in EXIF says it once more.
        assert (stored[0x0112], stored[0x010F]) == (1, "Maker")

    def test_the_profile_may_be_the_tiles(self, grid):
        first = grid.items[1]
        profile = box("colr", b"prof" + b"profile")
        tile = replace(first, properties=(*first.properties, profile))
        assert read_bytes(with_tile(grid, tile, number=1), name="x").metadata.icc == b"profile"

    def test_the_limit_is_checked_before_tiles_are_decoded(self, grid, monkeypatch):
        monkeypatch.setenv("DIFFIR_MAX_MEGAPIXELS", "0.005")
        broken = replace(grid, items=(grid.items[0], *[Item("hvc1", b"x")] * 6))
        with pytest.raises(UnsupportedPictureError, match="claims 91x55 pixels"):
            read_bytes(broken.data(), name="x")


def test_facts_are_the_first_tiles_and_bits_are_all_tiles(grid):
    info = HEVC.read_info(grid.data())
    first = HEVC.read_info(HEVC.encode(PIXELS[:32, :32].copy(), 20, subsampling="4:4:4"))
    assert (info.name, info.quantizer, info.subsampling) == ("hevc", first.quantizer, "4:4:4")
    assert (info.details["tiles"], info.details["bit_depth"]) == (6, 8)
    coded = sum(len(item.data) for item in grid.items[1:])
    assert info.bits_per_pixel == 8 * coded / (55 * 91)


class TestDamage:
    def test_fewer_and_more_tiles_than_the_grid_has(self, grid):
        for targets, count in (((2, 3, 4), 3), ((2, 3, 4, 5, 6, 7, 2), 7)):
            file = replace(grid, references=(("dimg", 1, targets),))
            with pytest.raises(CodecError, match=f"3x2 tiles needs 6, .* names {count}") as caught:
                HEVC.decode(file.data())
            assert "get it again" in caught.value.hint

    def test_a_tile_that_is_not_there(self, grid):
        file = replace(grid, references=(("dimg", 1, (2, 3, 4, 5, 6, 99)),))
        with pytest.raises(CodecError, match="tile 6 of 6 is missing: the file has no item 99"):
            HEVC.decode(file.data())

    def test_a_tile_of_another_size(self, grid):
        tile = picture(HEVC.encode(PIXELS[:16, :32].copy(), 30))
        with pytest.raises(CodecError, match=r"tile 4 of 6 has 32x16 .* first one has 32x32"):
            HEVC.decode(with_tile(grid, tile))

    def test_a_tile_of_another_codec(self, grid):
        with pytest.raises(CodecError, match="tile 4 of 6 is 'av01'") as caught:
            HEVC.decode(with_tile(grid, replace(grid.items[4], kind="av01")))
        assert "convert" in caught.value.hint

    @pytest.mark.parametrize("size", [(97, 64), (96, 65), (64, 64), (96, 32)])
    def test_tiles_that_do_not_make_the_picture(self, grid, size):
        with pytest.raises(CodecError, match=f"3x2 tiles of 32x32 .* picture of {size[0]}x"):
            HEVC.decode(with_grid(grid, grid_payload(2, 3, *size)))

    def test_a_picture_beyond_the_limit_is_not_decoded(self, grid):
        payload = grid_payload(2, 3, 2**30, 2**30, long=True)
        with pytest.raises(CodecError, match="claims 1073741824x1073741824 pixels") as caught:
            HEVC.decode(with_grid(grid, payload))
        assert "into parts" in caught.value.hint

    def test_tiles_that_lie_over_each_other(self):
        file = tiled(PIXELS, size=TILE, quality=0)
        data, first = bytearray(file.data()), file.items[1].data
        at = data.index(b"iloc") + 12 + 16 + 8  # where the first tile lies; rows have 16 bytes
        for row in range(at + 16, at + 6 * 16, 16):
            data[row : row + 8] = data[at : at + 8]
        mdat = data.index(b"mdat")
        data[mdat - 4 :] = box("mdat", first)
        with pytest.raises(CodecError, match="of 6 lies over the bytes of other tiles"):
            HEVC.decode(bytes(data))

    def test_grid_items(self):
        with pytest.raises(CodecError, match="has version 1, 0 was expected"):
            read_grid(b"\1" + grid_payload(1, 1, 8, 8)[1:])
        with pytest.raises(CodecError, match="makes a picture of 0x8 pixels"):
            read_grid(grid_payload(1, 1, 0, 8))
        with pytest.raises(CodecError, match="cut short"):
            read_grid(grid_payload(1, 1, 8, 8)[:-1])
        assert read_grid(grid_payload(2, 3, 8, 9, long=True)) == Grid(2, 3, 8, 9)

    @given(data=st.data())
    def test_nothing_else_than_our_errors(self, data):
        whole = GOLDEN.read_bytes()
        # Nine of ten flips hit the tables in front, where they do the most.
        spot = st.one_of(st.integers(0, 1100), st.integers(0, len(whole) - 1))
        damaged = bytearray(whole[: data.draw(st.one_of(st.just(len(whole)), spot))])
        for _ in range(data.draw(st.integers(0, 4))):
            place = data.draw(spot)
            if place < len(damaged):
                damaged[place] = data.draw(st.integers(0, 255))
        with contextlib.suppress(DiffirError):
            assert read_bytes(bytes(damaged), name="x").pixels.ndim == 3
