from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from diffir.codecs.jpeg import Jpeg
from diffir.contracts.codec import CodecInfo
from diffir.contracts.picture import Metadata, Picture
from diffir.errors import CheckpointError, DeviceError
from diffir.restore.restorer import Restorer, load

CPU = torch.device("cpu")
JPEG = CodecInfo(name="jpeg", severity=0.9)


@pytest.fixture(scope="module")
def restorer(build_model):
    return Restorer(build_model(), device=CPU, tile=128)


@pytest.fixture(scope="module")
def estimates(restorer):
    return restorer.estimate(Picture(gradient(40, 60), codec=JPEG))


def noise(height: int, width: int, dtype: type = np.uint8) -> np.ndarray:
    rng = np.random.default_rng(0)
    return rng.integers(0, np.iinfo(dtype).max, (height, width, 3), dtype, endpoint=True)


def gradient(height: int, width: int) -> np.ndarray:
    rows, columns = np.mgrid[0:height, 0:width]
    planes = [40 + columns / 3, 60 + rows / 3, 50 + (rows + columns) / 6]
    return np.stack(planes, axis=2).round().clip(0, 255).astype(np.uint8)


@pytest.mark.parametrize("size", [(1, 1), (1, 300), (3, 5), (31, 33), (130, 64)])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_any_size_and_depth(restorer, size, dtype):
    picture = Picture(noise(*size, dtype), codec=JPEG)
    restored = restorer(picture)
    assert restored.pixels.shape == picture.pixels.shape
    assert restored.pixels.dtype == dtype
    assert (restored.pixels != picture.pixels).any()


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_heads_at_zero_change_nothing(build_model, dtype):
    model = build_model()
    for head in (model.decoder.faithful_head, model.decoder.detail.head):
        torch.nn.init.zeros_(head.weight)
        torch.nn.init.zeros_(head.bias)
    picture = Picture(noise(150, 140, dtype))
    restored = Restorer(model, device=CPU, tile=128)(picture)
    np.testing.assert_array_equal(restored.pixels, picture.pixels)


def test_what_rides_along(restorer):
    alpha = noise(40, 30)[..., 0]
    metadata = Metadata(icc=b"icc", exif=b"exif", xmp=b"xmp", dpi=(300, 300), comment=b"hello")
    picture = Picture(noise(40, 30), alpha=alpha, codec=JPEG, metadata=metadata)
    before = picture.pixels.copy()
    restored = restorer(picture)
    assert restored.alpha is alpha
    assert restored.metadata == metadata
    assert restored.codec == JPEG
    np.testing.assert_array_equal(picture.pixels, before)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_gray_stays_gray(restorer, dtype):
    gray = np.repeat(noise(40, 30, dtype)[..., :1], 3, axis=2)
    restored = restorer(Picture(gray, gray=True))
    assert restored.gray
    assert (restored.pixels == restored.pixels[..., :1]).all()


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_no_color_comes_to_a_picture_without(restorer, dtype):
    """Stored as RGB, and its channels apart by what a codec's rounding leaves."""
    rng, step = np.random.default_rng(1), np.iinfo(dtype).max // 255
    gray = noise(700, 30, dtype)[..., :1].clip(2 * step, 253 * step)
    apart = rng.integers(-1, 2, (700, 30, 3)).astype(np.int32)
    pixels = (gray + step * apart).astype(dtype)
    restored = restorer(Picture(pixels, codec=JPEG)).pixels
    assert restored.tobytes() != pixels.tobytes()
    assert np.ptp(restored.astype(int), axis=2).max() <= 2 * step + 1
    pixels[650, 3, 2] += 3 * step  # one spot of color, far down
    assert np.ptp(restorer(Picture(pixels, codec=JPEG)).pixels.astype(int), axis=2).max() > 3 * step


class TestTiles:
    @pytest.mark.parametrize("codec", [JPEG, CodecInfo.unknown()], ids=["told", "blind"])
    def test_tiles_agree_with_the_whole(self, restorer, build_model, codec):
        picture = Picture(gradient(200, 330), codec=codec)
        tiled = restorer.estimate(picture)
        whole = Restorer(build_model(), device=CPU, tile=512).estimate(picture)
        assert (tiled.tile, whole.tile) == (128, 512)
        for one, other in ((tiled.faithful, whole.faithful), (tiled.rich, whole.rich)):
            difference = np.abs(one.astype(float) - other.astype(float))
            assert difference.max() < 0.05 * np.abs(other).max()
            assert difference.mean() < 0.01 * np.abs(other).mean()

    @pytest.mark.parametrize("fidelity", [0.0, 1.0])
    def test_no_seams_on_a_gradient(self, fidelity):
        """In what is written, no step across a tile's border exceeds those inside a tile."""
        restorer = load(device="cpu", tile=128, fidelity=fidelity)
        codec = Jpeg()
        data = codec.encode(gradient(320, 448), 10)
        picture = Picture(codec.decode(data), codec=codec.read_info(data))
        restored = restorer(picture).pixels.astype(int)
        for pixels in (restored, restored.swapaxes(0, 1)):
            steps = np.abs(np.diff(pixels, axis=1)).max(axis=(0, 2))
            borders = np.arange(64, pixels.shape[1] - 32, 64) - 1
            assert steps[borders].max() <= np.delete(steps, borders).max()

    def test_experts_are_averaged_by_area(self, restorer):
        experts = restorer.estimate(Picture(gradient(70, 200))).experts
        assert len(experts) == 7
        assert sum(experts) == pytest.approx(1, abs=1e-5)

    def test_a_tile_is_chosen_where_none_is_given(self, build_model):
        chosen = Restorer(build_model(), device=CPU).choose_tile()
        assert chosen % 64 == 0
        assert 128 <= chosen <= 512


class TestFidelity:
    def test_the_ends_of_the_dial(self, estimates):
        pixels = estimates.picture.pixels.astype(float)
        for fidelity, residual in ((0, estimates.rich), (1, estimates.faithful)):
            expected = (pixels + residual.astype(float) * 255).clip(0, 255)
            assert np.abs(estimates.at(fidelity).pixels - expected).max() <= 0.51

    @given(fidelity=st.floats(0, 1))
    @settings(max_examples=20, deadline=None)
    def test_it_is_linear_between_them(self, estimates, fidelity):
        pixels = estimates.picture.pixels.astype(float)
        rich, faithful = estimates.rich.astype(float), estimates.faithful.astype(float)
        mixed = pixels + (fidelity * faithful + (1 - fidelity) * rich) * 255
        assert np.abs(estimates.at(fidelity).pixels - mixed.clip(0, 255)).max() <= 0.51

    @pytest.mark.parametrize("fidelity", [-0.1, 1.1, float("nan")])
    def test_nothing_lies_outside(self, estimates, fidelity):
        with pytest.raises(ValueError, match=rf"fidelity must be in \[0,1\], got {fidelity}"):
            estimates.at(fidelity)

    @pytest.mark.parametrize("dial", ["fidelity", "strength"])
    @pytest.mark.parametrize("share", [-0.1, 1.1, float("nan")])
    def test_nor_are_there_restorers_of_such(self, build_model, dial, share):
        with pytest.raises(ValueError, match=rf"{dial} must be in \[0,1\], got {share}"):
            Restorer(build_model(), device=CPU, **{dial: share})

    def test_the_restorers_own_setting(self, build_model):
        picture = Picture(gradient(40, 60), codec=JPEG)
        restorer = Restorer(build_model(), device=CPU, fidelity=1)
        expected = restorer.estimate(picture).at(1).pixels
        np.testing.assert_array_equal(restorer(picture).pixels, expected)


class TestManySteps:
    def test_a_seed_is_a_result(self, build_model):
        picture = Picture(gradient(150, 40), codec=JPEG)
        first, again, other = (
            Restorer(build_model(), device=CPU, tile=128, steps=2, seed=seed).estimate(picture)
            for seed in (0, 0, 1)
        )
        np.testing.assert_array_equal(first.rich, again.rich)
        assert (first.rich != other.rich).any()


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("steps", [1, 2])
def test_half_precision_is_near(build_model, dtype, steps):
    picture = Picture(gradient(40, 60), codec=CodecInfo.unknown())
    half, full = (
        Restorer(build_model(), device=CPU, dtype=kind, steps=steps)(picture).pixels.astype(int)
        for kind in (dtype, torch.float32)
    )
    assert np.abs(half - full).mean() < 2


def test_a_mistake_of_the_model_is_no_shortage_of_memory(build_model):
    model = build_model()
    model.decoder.detail.head = torch.nn.Conv2d(5, 12, 3)
    with pytest.raises(RuntimeError, match="expected input"):
        Restorer(model, device=CPU).estimate(Picture(gradient(32, 32)))


class TestLoad:
    def test_from_a_file(self, tiny_weights, restorer):
        picture = Picture(gradient(40, 60), codec=JPEG)
        loaded = load(tiny_weights, device="cpu", tile=128, fidelity=0.5)
        assert (loaded.tile, loaded.fidelity, loaded.dtype) == (128, 0.5, torch.float32)
        difference = loaded.estimate(picture).rich - restorer.estimate(picture).rich
        assert np.abs(difference).max() < 0.01

    def test_what_is_not_there(self, tiny_weights, tmp_path):
        with pytest.raises(CheckpointError, match="no weights file"):
            load(tmp_path / "a.safetensors", device="cpu")
        with pytest.raises(DeviceError, match="no device 'cuda:99'"):
            load(tiny_weights, device="cuda:99")
        with pytest.raises(DeviceError, match="no dtype 'int8'"):
            load(tiny_weights, device="cpu", dtype="int8")


def test_a_cropped_picture_is_restored_on_its_own_grid(restorer):
    whole = noise(72, 64)
    facts = CodecInfo(name="jpeg", severity=0.9, grid=(5, 2))
    cropped = restorer.estimate(Picture(whole, codec=facts))
    assert cropped.faithful.shape == whole.shape
    grown = np.pad(whole, ((3, 0), (6, 0), (0, 0)), mode="symmetric")
    aligned = restorer.estimate(Picture(grown, codec=JPEG))
    assert np.array_equal(cropped.rich, aligned.rich[3:, 6:])
    assert cropped.at(1).pixels.shape == whole.shape
