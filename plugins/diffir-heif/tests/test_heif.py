"""The public suites; and libheif as the judge of how diffir reads HEIC, grids above all."""

from __future__ import annotations

import io
import struct

import numpy as np
import pillow_heif
import pytest
from diffir_heif.codec import Heic
from heic_files import box, tiled
from PIL import Image

from diffir.codecs.hevc import Hevc
from diffir.errors import CodecError
from diffir.host.manager import default_host
from diffir.testing import CodecSuite, PluginSuite
from diffir.testing.sample_pictures import scene

HEIC = Heic()


class TestHeic(CodecSuite):
    @pytest.fixture
    def codec(self):
        return HEIC


class TestPlugin(PluginSuite):
    @pytest.fixture
    def plugin(self):
        return "heif"


def by_libheif(data: bytes):
    with Image.open(io.BytesIO(data), formats=["HEIF"]) as image:
        return np.asarray(image.convert("RGB"))


def written(pixels, **options) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "HEIF", **options)
    return buffer.getvalue()


def aperture(*numbers: int) -> bytes:
    return box("clap", struct.pack(">IIIIiIiI", *numbers))


class TestReading:
    """diffir against libheif. Chroma at full size converts alike; libheif smooths halved chroma."""

    @pytest.mark.parametrize("tile", [0, 64, 100])
    @pytest.mark.parametrize("size", [(150, 201), (128, 256)])
    def test_what_libheif_writes(self, size, tile):
        data = written(scene(*size), quality=60, chroma="444", tile_size=tile)
        ours, theirs = Hevc().decode(data).astype(int), by_libheif(data)
        assert np.abs(ours - theirs).max() <= 1
        tiles = -(-size[0] // tile) * -(-size[1] // tile) if tile else 1
        assert Hevc().read_info(data).details["tiles"] == tiles

    def test_halved_chroma(self):
        data = written(scene(150, 201), quality=60, chroma="420", tile_size=64)
        assert np.abs(Hevc().decode(data).astype(int) - by_libheif(data)).mean() < 2

    def test_ten_bits(self):
        deep = (scene(150, 201).astype(np.uint16) << 8) | 0x80
        image = pillow_heif.from_bytes("RGB;16", (201, 150), deep.tobytes())
        buffer = io.BytesIO()
        image.save(buffer, quality=60, chroma="444", tile_size=64)
        data = buffer.getvalue()
        assert Hevc().read_info(data).details["bit_depth"] == 10
        assert np.abs(Hevc().decode(data).astype(int) - by_libheif(data)).mean() < 1

    @pytest.mark.parametrize(
        "properties",
        [
            *[(box("irot", bytes([turns])),) for turns in range(4)],
            *[(box("imir", bytes([axis])),) for axis in range(2)],
            (box("irot", b"\1"), box("imir", b"\0")),
            (box("imir", b"\0"), box("irot", b"\1")),
            (aperture(101, 1, 67, 1, -1, 2, 3, 2), box("irot", b"\1")),
        ],
        ids=str,
    )
    def test_cut_turned_and_mirrored(self, properties):
        data = tiled(scene(128, 192), *properties, size=(64, 64)).data()
        ours, theirs = Hevc().decode(data).astype(int), by_libheif(data)
        assert ours.shape == theirs.shape
        assert np.abs(ours - theirs).max() <= 1

    @pytest.mark.parametrize(("long", "idat"), [(True, False), (False, True)])
    def test_our_own_tiles(self, long, idat):
        data = tiled(scene(128, 192), size=(64, 64), crop=(11, 7), long=long, idat=idat).data()
        assert np.abs(Hevc().decode(data).astype(int) - by_libheif(data)).max() <= 1


@pytest.mark.parametrize("quality", [0, 5, 12, 18, 24, 50, 80])
def test_quality_is_read_back(quality):
    info = HEIC.read_info(HEIC.encode(scene(67, 58), quality))
    assert info.quality == pytest.approx(quality, abs=1)
    assert info.sources["quality"] == "estimate"
    assert info.sources["quantizer"] == "bitstream"


def test_reading_stays_with_hevc():
    data = HEIC.encode(scene(40, 40), 20)
    assert default_host().recognize(data).spec.name == "hevc"
    assert np.array_equal(HEIC.decode(data), Hevc().decode(data))


def test_bytes_of_another_format():
    stream = Hevc().encode(scene(40, 40), 40)
    for read in (HEIC.decode, HEIC.read_info):
        with pytest.raises(CodecError, match="a HEIC file was expected, these bytes begin with"):
            read(stream)


def test_its_levels_are_tasks():
    from diffir.degradations.tasks import tasks

    names = [task.name for task in tasks(default_host())]
    assert {"heic-12", "heic-18", "heic-24"} <= set(names)
