from __future__ import annotations

import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from diffir.codecs.jpeg import Jpeg
from diffir.codecs.jpeg_coefficients import read_coefficients
from diffir.codecs.jpeg_huffman import huffman_tables
from diffir.errors import CodecError

RNG = np.random.default_rng(0)
NOISE = RNG.integers(0, 256, (45, 71, 3), dtype=np.uint8)
ORDER, PLACE = np.mgrid[:8, :8]
DCT = np.cos((2 * PLACE + 1) * ORDER * np.pi / 16) * np.sqrt(np.where(ORDER, 2, 1) / 8)


def soft(height: int = 45, width: int = 71) -> Image.Image:
    """Waves with some grain: nothing clips, and every band has coefficients."""
    rows, columns = np.mgrid[:height, :width]
    waves = [128 + 60 * np.sin((rows * i + columns * columns / 40) / 9) for i in (1, 2, 3)]
    grain = RNG.normal(0, 8, (height, width, 3))
    return Image.fromarray((np.stack(waves, axis=2) + grain).clip(20, 235).astype(np.uint8))


def saved(image: Image.Image | np.ndarray, **options: object) -> bytes:
    buffer = io.BytesIO()
    image = Image.fromarray(image) if isinstance(image, np.ndarray) else image
    image.save(buffer, "JPEG", **options)
    return buffer.getvalue()


def plane_of(coefficients) -> np.ndarray:
    """Dequantize and transform back the first plane; not rounded."""
    plane = coefficients.planes[0]
    rows, columns = plane.levels.shape[:2]
    values = (plane.levels * np.array(plane.steps)).reshape(rows, columns, 8, 8)
    pixels = np.einsum("ki,rckl,lj->ricj", DCT, values, DCT).reshape(rows * 8, columns * 8) + 128
    return pixels[: coefficients.height, : coefficients.width]


def same(first, second) -> bool:
    pairs = zip(first.planes, second.planes, strict=True)
    return all((a.levels == b.levels).all() and a.steps == b.steps for a, b in pairs)


WAYS = [{}, {"progressive": True}, {"optimize": True}, {"restart_marker_blocks": 3}]


@pytest.mark.parametrize("options", WAYS, ids=str)
@pytest.mark.parametrize("quality", [1, 10, 50, 90, 100])
@pytest.mark.parametrize("image", [soft().convert("L"), Image.fromarray(NOISE[..., 0])])
def test_gray_is_what_pillow_decodes(options, quality, image):
    data = saved(image, quality=quality, **options)
    with Image.open(io.BytesIO(data)) as opened:
        decoded = np.asarray(opened).astype(float)
    assert np.abs(plane_of(read_coefficients(data)).clip(0, 255) - decoded).max() < 1


@pytest.mark.parametrize("quality", [10, 75, 100])
def test_levels_are_the_transform_of_the_pixels(quality):
    """Forward, from pixels that were never decoded: half a step at most, and rounding."""
    image = soft(48, 64).convert("L")
    plane = read_coefficients(saved(image, quality=quality)).planes[0]
    blocks = np.asarray(image).astype(float).reshape(6, 8, 8, 8) - 128
    values = np.einsum("ki,ricj,lj->rckl", DCT, blocks, DCT).reshape(6, 8, 64)
    steps = np.array(plane.steps)
    assert (np.abs(values - plane.levels * steps) <= steps / 2 + 0.2).all()


@pytest.mark.parametrize("chroma", ["4:2:0", "4:2:2", "4:4:4"])
@pytest.mark.parametrize("options", WAYS[1:], ids=str)
@pytest.mark.parametrize("size", [(45, 71), (1, 1), (8, 8), (17, 16), (3, 40)])
def test_every_way_to_code_them_gives_the_same(chroma, options, size):
    image = soft(*size)
    plain = read_coefficients(saved(image, quality=60, subsampling=chroma))
    assert same(plain, read_coefficients(saved(image, quality=60, subsampling=chroma, **options)))
    across, down = {"4:2:0": (2, 2), "4:2:2": (2, 1), "4:4:4": (1, 1)}[chroma]
    height, width = size
    for plane in plain.planes[1:]:
        assert (plane.across, plane.down) == (across, down)
        samples = (-(-height // down), -(-width // across))
        assert plane.levels.shape == (-(-samples[0] // 8), -(-samples[1] // 8), 64)


def test_a_solid_color():
    levels = [p.levels for p in read_coefficients(saved(Image.new("RGB", (24, 24), "red"))).planes]
    assert all((level[..., 1:] == 0).all() for level in levels)
    assert levels[2][0, 0, 0] > 0 > levels[1][0, 0, 0]


def test_the_first_of_several_pictures():
    """Phones append a gain map; what follows the end of the picture is not read."""
    data = saved(soft())
    assert same(read_coefficients(data), read_coefficients(data + saved(NOISE, quality=5)))


def test_it_is_the_codecs_verb():
    assert same(Jpeg().coefficients(saved(NOISE)), read_coefficients(saved(NOISE)))


def changed(data: bytes, marker: bytes, at: int, value: int) -> bytes:
    patched = bytearray(data)
    patched[patched.index(marker) + at] = value
    return bytes(patched)


class TestWhatIsNotRead:
    @pytest.mark.parametrize(
        ("at", "value", "reason"),
        [
            (1, 0xC3, "it is lossless, without a DCT"),
            (1, 0xC9, "it has arithmetic coding"),
            (1, 0xC5, "it is hierarchical"),
            (4, 12, "it has 12 bits a sample"),
            (11, 0x82, "it has sampling factors above 4"),
            (14, 0x31, "sampling factors that do not divide each other"),
        ],
    )
    def test_kinds(self, at, value, reason):
        with pytest.raises(CodecError, match=f"coefficients of this JPEG are not read: .*{reason}"):
            read_coefficients(changed(saved(NOISE, subsampling="4:2:0"), b"\xff\xc0", at, value))

    def test_cmyk(self):
        with pytest.raises(CodecError, match="it has 4 components"):
            read_coefficients(saved(Image.fromarray(NOISE).convert("CMYK")))

    def test_stored_as_rgb(self):
        with pytest.raises(CodecError, match="it is stored as RGB"):
            read_coefficients(saved(NOISE, keep_rgb=True))


class TestDamage:
    def test_data_that_ends_early(self):
        data = saved(NOISE)
        with pytest.raises(CodecError, match="entropy-coded data of the JPEG is damaged"):
            read_coefficients(data[: len(data) // 2] + b"\xff\xd9")

    def test_a_restart_is_missing(self):
        data = saved(NOISE, restart_marker_rows=1)
        with pytest.raises(CodecError, match="entropy-coded data of the JPEG is damaged"):
            read_coefficients(data.replace(b"\xff\xd1", b"\xff\xd2", 1))

    def test_a_table_was_not_sent(self):
        data = changed(saved(NOISE), b"\xff\xda", 6, 0x33)
        with pytest.raises(CodecError, match="entropy-coded data of the JPEG is damaged"):
            read_coefficients(data)

    def test_a_scan_of_another_component(self):
        with pytest.raises(CodecError, match="has a component 9 that it lacks"):
            read_coefficients(changed(saved(NOISE), b"\xff\xda", 5, 9))

    def test_a_short_scan_header(self):
        with pytest.raises(CodecError, match="header of a scan of the JPEG is cut short"):
            read_coefficients(changed(saved(NOISE), b"\xff\xda", 4, 40))

    def test_an_impossible_band(self):
        data = changed(saved(NOISE, progressive=True), b"\xff\xda", 11, 70)
        with pytest.raises(CodecError, match="has the band 70 to 0 of 3 components"):
            read_coefficients(data)

    def test_a_scan_is_missing(self):
        data = saved(NOISE[..., 0], progressive=True)
        with pytest.raises(CodecError, match="lacks a scan, or a quantization table"):
            read_coefficients(changed(data, b"\xff\xc2", 12, 3))

    def test_too_many_blocks(self):
        data = changed(changed(saved(NOISE), b"\xff\xc0", 5, 250), b"\xff\xc0", 7, 250)
        with pytest.raises(CodecError, match=r"claims \d+ blocks in \d+ bytes"):
            read_coefficients(data)

    def test_tables(self):
        with pytest.raises(CodecError, match="Huffman table of the JPEG is cut short"):
            list(huffman_tables(bytes([0, 5])))
        with pytest.raises(CodecError, match="more codes than bits can tell apart"):
            list(huffman_tables(bytes([0, 3, *[0] * 15, 1, 2, 3])))

    @given(data=st.data())
    @settings(max_examples=60)
    def test_any_damage_is_a_codec_error(self, data):
        whole = data.draw(st.sampled_from([SMALL, SMALL_PROGRESSIVE]))
        hurt = bytearray(whole)
        for _ in range(data.draw(st.integers(1, 4))):
            hurt[data.draw(st.integers(2, len(whole) - 1))] = data.draw(st.integers(0, 255))
        try:
            coefficients = read_coefficients(bytes(hurt[: data.draw(st.integers(2, len(whole)))]))
        except CodecError:
            return
        assert all(plane.levels.dtype == np.int16 for plane in coefficients.planes)


SMALL = saved(NOISE[:17, :19], quality=30, restart_marker_blocks=2)
SMALL_PROGRESSIVE = saved(NOISE[:17, :19], quality=30, progressive=True)
