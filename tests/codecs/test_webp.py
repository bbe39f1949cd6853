from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from diffir.codecs.vp8_header import BoolDecoder, read_vp8
from diffir.codecs.webp import WebP
from diffir.codecs.webp_container import read_vp8l_size, read_webp
from diffir.errors import CodecError

RNG = np.random.default_rng(0)
SMOOTH = np.asarray(
    Image.fromarray(RNG.integers(0, 256, (9, 9, 3), dtype=np.uint8)).resize((64, 64)), np.uint8
)
# Half smooth, half grain: libwebp sees several segments.
MIXED = SMOOTH.copy()
MIXED[:, 32:] = RNG.integers(0, 256, (64, 32, 3), dtype=np.uint8)


def written(pixels=MIXED, **options) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "WEBP", **options)
    return buffer.getvalue()


def chunk(kind: bytes, payload: bytes) -> bytes:
    return kind + len(payload).to_bytes(4, "little") + payload + bytes(len(payload) % 2)


def riff(*chunks: bytes) -> bytes:
    body = b"WEBP" + b"".join(chunks)
    return b"RIFF" + len(body).to_bytes(4, "little") + body


@pytest.mark.parametrize("quality", [1, 5, 10, 25, 50, 75, 90])
def test_quality_follows_from_the_quantizer(quality):
    info = WebP().read_info(written(quality=quality))
    assert info.quality == pytest.approx(quality, abs=1.5)
    assert info.sources["quality"] == "estimate"
    assert info.severity == info.quantizer / 127


def test_segments_stand_in_the_details():
    info = WebP().read_info(written(quality=30))
    segments = [int(part) for part in info.details["segment_quantizers"].split(",")]
    assert len(segments) == 4
    assert max(segments) == info.quantizer


def test_one_segment_is_the_plain_mapping():
    flat = written(np.full((16, 16, 3), 90, np.uint8), quality=50)
    assert read_vp8(read_webp(flat).bitstream).segment_quantizers == ()
    assert WebP().read_info(flat).quality == pytest.approx(50, abs=1.5)


def test_lossless():
    data = written(lossless=True)
    info = WebP().read_info(data)
    assert (info.lossless, info.severity, info.quality, info.quantizer) == (True, 0.0, None, None)
    assert info.subsampling == "4:4:4"
    assert np.array_equal(WebP().decode(data), MIXED)


def test_alpha_and_metadata_chunks():
    pixels = np.dstack([MIXED, np.full((64, 64), 128, np.uint8)])
    info = WebP().read_info(written(pixels, quality=20, exif=b"Exif\0\0II*\0\x08\0\0\0\0\0"))
    assert info.details["alpha"] is True
    assert info.quality == pytest.approx(20, abs=1.5)


def test_animation():
    second = Image.fromarray(MIXED[::-1].copy())
    data = written(save_all=True, append_images=[second], quality=20)
    info = WebP().read_info(data)
    assert info.details["animated"] is True
    assert info.details["frames"] == 2
    assert info.bits_per_pixel == len(data) * 8 / (64 * 64 * 2)


def test_sizes():
    header = read_vp8(read_webp(written(MIXED[:17, :33].copy(), quality=9)).bitstream)
    assert (header.width, header.height) == (33, 17)
    stream = read_webp(written(MIXED[:17, :33].copy(), lossless=True)).bitstream
    assert read_vp8l_size(stream) == (33, 17)


def test_even_bits_of_the_bool_decoder():
    # With probability 128 and a stream of zeros every symbol is 0; of ones, 1.
    assert BoolDecoder(bytes(8)).bits(16) == 0
    assert BoolDecoder(b"\xff" * 8).bits(16) == 0xFFFF


class TestDamage:
    def test_not_webp(self):
        with pytest.raises(CodecError, match="does not begin with RIFF and WEBP"):
            read_webp(b"RIFF\0\0\0\0WAVE")

    def test_cut_short(self):
        with pytest.raises(CodecError, match=r"cut short: .* bytes announced"):
            read_webp(written()[:-1])

    def test_chunk_cut_short(self):
        with pytest.raises(CodecError, match="a chunk of the WebP file is cut short"):
            read_webp(riff(b"VP8 \xff\0\0\0"))

    def test_extended_header_cut_short(self):
        with pytest.raises(CodecError, match="extended header of the WebP file is cut short"):
            read_webp(riff(chunk(b"VP8X", b"\0\0")))

    def test_no_bitstream(self):
        with pytest.raises(CodecError, match="no VP8 or VP8L bitstream"):
            read_webp(riff(chunk(b"EXIF", b"abcd")))

    def test_no_signature(self):
        with pytest.raises(CodecError, match="not a VP8L bitstream"):
            read_vp8l_size(bytes(5))

    def test_too_few_bytes(self):
        with pytest.raises(CodecError, match="at least 10 bytes, got 3"):
            read_vp8(b"\0\0\0")

    def test_no_key_frame(self):
        with pytest.raises(CodecError, match="not a VP8 key frame"):
            read_vp8(bytes(10))

    def test_first_partition_cut_short(self):
        frame = read_webp(written()).bitstream
        with pytest.raises(CodecError, match="first partition of the VP8 frame is cut short"):
            read_vp8(frame[:12])

    def test_no_width(self):
        frame = bytearray(read_webp(written()).bitstream)
        frame[6:8] = b"\0\0"
        with pytest.raises(CodecError, match="says it is 0x64 pixels"):
            read_vp8(bytes(frame))

    def test_header_longer_than_its_partition(self):
        with pytest.raises(CodecError, match="runs past its partition"):
            read_vp8(b"\x10\0\0\x9d\x01\x2a\x08\0\x08\0")
