from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from diffir.codecs.ijg_quality import nearest_quality, standard_tables
from diffir.codecs.jpeg import Jpeg
from diffir.codecs.jpeg_headers import read_jpeg
from diffir.errors import CodecError

PIXELS = np.random.default_rng(0).integers(0, 256, (20, 24, 3), dtype=np.uint8)


def written(mode: str = "RGB", **options) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(PIXELS).convert(mode).save(buffer, "JPEG", **options)
    return buffer.getvalue()


@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_every_whole_quality_is_read_exactly(mode):
    for quality in range(1, 101):
        info = Jpeg().read_info(written(mode, quality=quality))
        assert (info.quality, info.sources["quality"]) == (quality, "bitstream")
        assert "quality_distance" not in info.details


def test_tables_are_in_natural_order_luma_first():
    data = written(quality=30)
    with Image.open(io.BytesIO(data)) as image:
        expected = tuple(tuple(table) for table in image.quantization.values())
    assert Jpeg().read_info(data).tables == expected == standard_tables(30)


def test_other_tables_give_the_nearest_quality_as_an_estimate():
    luma, chroma = standard_tables(40)
    other = [min(255, step + 1) for step in luma]
    info = Jpeg().read_info(written(qtables=[other, list(chroma)]))
    assert (info.quality, info.sources["quality"]) == (40, "estimate")
    assert info.sources["severity"] == "estimate"
    assert info.details["quality_distance"] == 0.5


def test_nearest_quality_judges_gray_by_luma_alone():
    assert nearest_quality(standard_tables(77)[:1]) == (77, 0.0)


@pytest.mark.parametrize("chroma", ["4:2:0", "4:2:2", "4:4:4"])
def test_chroma_format(chroma):
    assert Jpeg().read_info(written(subsampling=chroma)).subsampling == chroma


def test_gray_cmyk_and_progressive():
    gray = Jpeg().read_info(written("L", progressive=True))
    assert (gray.subsampling, gray.progressive, gray.lossless) == ("4:0:0", True, False)
    cmyk = Jpeg().read_info(written("CMYK"))
    assert cmyk.details["components"] == 4
    assert cmyk.details["adobe_transform"] == 0


def test_an_uncommon_chroma_format_has_no_name():
    data = bytearray(written(subsampling="4:2:2"))
    data[data.index(b"\xff\xc0") + 11] = 0x41
    info = Jpeg().read_info(bytes(data))
    assert info.subsampling is None
    assert info.details["sampling"] == "4x1,1x1,1x1"


def test_sixteen_bit_tables_and_fill_bytes():
    data = written(quality=50)
    start = data.index(b"\xff\xdb")
    size = int.from_bytes(data[start + 2 : start + 4], "big")
    steps = data[start + 5 : start + 69]
    wide = b"\x10" + b"".join(bytes((0, step)) for step in steps)
    segment = b"\xff\xff\xdb" + (2 + len(wide)).to_bytes(2, "big") + wide
    changed = data[:start] + segment + data[start + 2 + size :]
    assert read_jpeg(changed).tables[0] == read_jpeg(data).tables[0]


def test_process_names():
    header = read_jpeg(written())
    assert not header.arithmetic
    data = bytearray(written())
    data[data.index(b"\xff\xc0") + 1] = 0xC9
    assert read_jpeg(bytes(data)).arithmetic


class TestDamage:
    def test_not_a_jpeg(self):
        with pytest.raises(CodecError, match="start-of-image marker FF D8 is missing"):
            read_jpeg(b"GIF89a")

    def test_no_end(self):
        with pytest.raises(CodecError, match="without its end-of-image marker"):
            read_jpeg(written()[:-2])

    def test_ends_in_the_headers(self):
        with pytest.raises(CodecError, match="ends before its first scan"):
            read_jpeg(written()[:100])

    def test_no_marker_where_one_must_be(self):
        data = bytearray(written())
        data[20] = 0
        with pytest.raises(CodecError, match="marker was expected at byte 20"):
            read_jpeg(bytes(data))

    def test_no_frame_header(self):
        data = bytearray(written())
        data[data.index(b"\xff\xc0") + 1] = 0xE5
        with pytest.raises(CodecError, match="no frame header"):
            read_jpeg(bytes(data))

    def test_short_table(self):
        with pytest.raises(CodecError, match="quantization table 0 of the JPEG is cut short"):
            read_jpeg(b"\xff\xd8\xff\xdb\x00\x05\x00\x01\x02\xff\xd9")

    def test_short_frame_header(self):
        with pytest.raises(CodecError, match="frame header of the JPEG is cut short"):
            read_jpeg(b"\xff\xd8\xff\xc0\x00\x04\x08\x00\xff\xda\x00\x02\xff\xd9")

    def test_no_rows(self):
        data = bytearray(written())
        frame = data.index(b"\xff\xc0")
        data[frame + 5 : frame + 7] = b"\0\0"
        with pytest.raises(CodecError, match="says it is 24x0 pixels"):
            read_jpeg(bytes(data))

    def test_sampling_factor_of_zero(self):
        data = bytearray(written())
        data[data.index(b"\xff\xc0") + 11] = 0x02
        with pytest.raises(CodecError, match="sampling factor of 0"):
            read_jpeg(bytes(data))
