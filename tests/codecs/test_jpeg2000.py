from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from diffir.codecs.jpeg2000 import Jpeg2000
from diffir.codecs.jpeg2000_headers import JP2_SIGNATURE, read_jpeg2000
from diffir.errors import CodecError

PIXELS = np.random.default_rng(0).integers(0, 256, (40, 60, 3), dtype=np.uint8)


def written(pixels=PIXELS, **options) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG2000", **options)
    return buffer.getvalue()


RAW = written(no_jp2=True)


def test_rate_is_the_ratio():
    big = np.tile(PIXELS, (5, 5, 1))
    info = Jpeg2000().read_info(Jpeg2000().encode(big, 50))
    assert info.bits_per_pixel == pytest.approx(24 / 50, rel=0.03)
    assert info.quality == pytest.approx(50, rel=0.03)
    assert info.sources["quality"] == info.sources["severity"] == "estimate"


def test_a_reversible_stream_may_be_cut_so_lossless_is_unknown():
    info = Jpeg2000().read_info(written())
    assert info.lossless is None
    assert info.details["wavelet"] == "5-3"
    assert "steps" not in info.details


def test_irreversible_wavelet_and_its_steps():
    info = Jpeg2000().read_info(written(irreversible=True, mct=1, quality_layers=[20]))
    assert info.lossless is False
    assert info.details["wavelet"] == "9-7"
    assert info.details["multiple_component_transform"] is True
    steps = [float(step) for step in info.details["steps"].split(",")]
    assert len(steps) == 3 * info.details["levels"] + 1
    assert all(0 < step < 1 for step in steps)


def test_layers_progression_and_tiles():
    info = Jpeg2000().read_info(
        written(quality_layers=[40, 20, 10], progression="RPCL", tile_size=(32, 32))
    )
    assert (info.details["layers"], info.progressive) == (3, True)
    assert info.details["progression"] == "RPCL"
    assert info.details["tiles"] == 4


def test_raw_codestream_and_gray():
    assert Jpeg2000().recognizes(RAW)
    assert Jpeg2000().read_info(RAW).subsampling == "4:4:4"
    assert Jpeg2000().read_info(written(PIXELS[..., 0].copy())).subsampling == "4:0:0"


def test_chroma_format_from_the_component_spacing():
    data = bytearray(RAW)
    spacing = data.index(b"\xff\x51") + 2 + 2 + 34 + 2
    for component in (1, 2):
        data[spacing + 3 * component + 1 : spacing + 3 * component + 3] = b"\x02\x02"
    header = read_jpeg2000(bytes(data))
    assert header.subsampling == "4:2:0"
    assert header.raw_bits == 8 * (60 * 40 + 2 * 30 * 20)


def test_sixteen_bit_gray_is_scaled_not_clipped():
    deep = (np.arange(1600, dtype=np.uint16) * 40).reshape(40, 40)
    decoded = Jpeg2000().decode(written(deep))
    assert np.abs(decoded[..., 1] - deep / 257).max() <= 0.51


class TestDamage:
    def test_neither_file_nor_stream(self):
        with pytest.raises(CodecError, match="neither a JP2 file nor a codestream"):
            read_jpeg2000(b"\xff\xd8\xff")

    def test_no_codestream(self):
        with pytest.raises(CodecError, match="holds no codestream"):
            read_jpeg2000(JP2_SIGNATURE)

    def test_another_codestream(self):
        with pytest.raises(CodecError, match="does not begin as JPEG 2000 does"):
            read_jpeg2000(JP2_SIGNATURE + b"\0\0\0\x0cjp2cabcd")

    def test_header_cut_short(self):
        with pytest.raises(CodecError, match=r"main header .* damaged or cut short"):
            read_jpeg2000(RAW[:60])

    def test_tiles_cut_short(self):
        with pytest.raises(CodecError, match="tiles do not end where they say"):
            read_jpeg2000(RAW[:-1])

    def test_no_quantization_segment(self):
        # 0xFF5D, of one component, in place of the default's 0xFF5C.
        with pytest.raises(CodecError, match="has no QCD segment"):
            read_jpeg2000(RAW.replace(b"\xff\x5c", b"\xff\x5d", 1))

    def test_segment_cut_short(self):
        start = RAW.index(b"\xff\x52")
        size = int.from_bytes(RAW[start + 2 : start + 4], "big")
        short = RAW[:start] + b"\xff\x52\x00\x03\x00" + RAW[start + 2 + size :]
        with pytest.raises(CodecError, match="a segment of the JPEG 2000 stream is cut short"):
            read_jpeg2000(short)

    def test_no_columns(self):
        data = bytearray(RAW)
        data[8:12] = bytes(4)
        with pytest.raises(CodecError, match="says it is 0x40 pixels"):
            read_jpeg2000(bytes(data))

    def test_component_without_samples(self):
        data = bytearray(RAW)
        data[data.index(b"\xff\x51") + 2 + 2 + 34 + 2 + 1] = 0
        with pytest.raises(CodecError, match="component of no samples"):
            read_jpeg2000(bytes(data))
