from __future__ import annotations

import os
import pickle

import numpy as np
import pytest
from small_sd21 import NATIVE, small_model, small_recipe

from diffir.contracts.picture import Picture
from diffir.errors import DataError, OutputError
from diffir.host.manager import default_host
from diffir.perceptual.lpips import Lpips
from diffir.pictures.writing import write
from diffir.train.clean_pictures import SCALES, PictureCache, find_pictures
from diffir.train.held_out import SAMPLED_ROWS, SAMPLED_STEPS, HeldOut
from diffir.train.synthetic import synthetic_picture


def drawn(seed: int, side: int = 60) -> np.ndarray:
    return synthetic_picture(side, np.random.default_rng(seed))


class TestFind:
    def test_all_below_a_folder_sorted(self, tmp_path):
        for name in ("b.PNG", "a.jpg", "sub/c.webp", "notes.txt"):
            (tmp_path / name).parent.mkdir(exist_ok=True)
            (tmp_path / name).touch()
        found = [p.relative_to(tmp_path).as_posix() for p in find_pictures(tmp_path)]
        assert found == ["a.jpg", "b.PNG", "sub/c.webp"]

    def test_what_is_hidden_and_what_is_no_file_is_left_alone(self, tmp_path):
        for name in (".thumbnails/a.png", ".b.png", "frames.png/c.png"):
            (tmp_path / name).parent.mkdir(exist_ok=True)
            (tmp_path / name).touch()
        found = [p.relative_to(tmp_path).as_posix() for p in find_pictures(tmp_path)]
        assert found == ["frames.png/c.png"]

    def test_no_folder(self, tmp_path):
        with pytest.raises(DataError, match="none is not a folder"):
            find_pictures(tmp_path / "none")

    def test_no_picture(self, tmp_path):
        with pytest.raises(DataError, match="holds no pictures") as caught:
            find_pictures(tmp_path)
        assert ".png" in caught.value.hint


class TestCache:
    def test_what_was_compressed_hard_is_not_clean(self, tmp_path):
        path = tmp_path / "old.jpg"
        path.write_bytes(default_host().codec("jpeg").encode(drawn(0), 20))
        with pytest.raises(DataError, match=r"old.jpg was compressed already, by jpeg at qu"):
            PictureCache(tmp_path / "cache").scales(path)

    def test_scales(self, tmp_path):
        pixels = drawn(0)
        path = write(Picture(pixels), tmp_path / "a.png")
        scales = PictureCache(tmp_path / "cache").scales(path)
        assert [s.shape for s in scales] == [
            (60, 60, 3),
            (42, 42, 3),
            (30, 30, 3),
            (21, 21, 3),
            (15, 15, 3),
        ]
        np.testing.assert_array_equal(scales[0][:], pixels)
        np.testing.assert_array_equal(scales[0][3:9, 20:], pixels[3:9, 20:])

    def test_hundreds_of_pictures_are_not_open_files(self, tmp_path):
        resource = pytest.importorskip("resource")
        path = write(Picture(drawn(0)), tmp_path / "a.png")
        cache, (soft, hard) = (
            PictureCache(tmp_path / "c"),
            resource.getrlimit(resource.RLIMIT_NOFILE),
        )
        open_now = len(os.listdir("/dev/fd"))
        resource.setrlimit(resource.RLIMIT_NOFILE, (open_now + 30, hard))
        try:
            kept = [cache.scales(path) for _ in range(30)]
            assert all(scales[0][:1].shape == (1, 60, 3) for scales in kept)
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))

    def test_what_travels_to_a_worker_is_a_name(self, tmp_path):
        path = write(Picture(drawn(0, 512)), tmp_path / "a.png")
        assert len(pickle.dumps(PictureCache(tmp_path / "c").scales(path))) < 2000

    def test_a_full_disk(self, tmp_path, small_files):
        path = write(Picture(drawn(0)), tmp_path / "a.png")
        cache = PictureCache(tmp_path / "c")
        with (
            small_files(),
            pytest.raises(OutputError, match="cannot keep decoded pictures") as caught,
        ):
            cache.scales(path)
        assert "Free some space" in caught.value.hint
        assert not list(cache.folder.iterdir())
        np.testing.assert_array_equal(cache.scales(path)[0][:], drawn(0))

    def test_reused_while_the_file_is_the_same(self, tmp_path):
        path = write(Picture(drawn(0)), tmp_path / "a.png")
        cache = PictureCache(tmp_path / "cache")
        cache.scales(path)
        files = {p: p.stat().st_mtime_ns for p in cache.folder.iterdir()}
        assert len(files) == len(SCALES)
        PictureCache(cache.folder).scales(path)
        assert {p: p.stat().st_mtime_ns for p in cache.folder.iterdir()} == files

    def test_made_anew_when_it_changes(self, tmp_path):
        path = write(Picture(drawn(0)), tmp_path / "a.png")
        cache = PictureCache(tmp_path / "cache")
        cache.scales(path)
        write(Picture(drawn(1)), path, overwrite=True)
        os.utime(path, ns=(0, 1))
        np.testing.assert_array_equal(cache.scales(path)[0][:], drawn(1))

    def test_sixteen_bits_become_eight(self, tmp_path):
        pixels = drawn(0).astype(np.uint16) * 257
        path = write(Picture(pixels), tmp_path / "a.png")
        np.testing.assert_array_equal(PictureCache(tmp_path / "c").scales(path)[0][:], drawn(0))

    def test_not_a_picture(self, tmp_path):
        path = tmp_path / "a.png"
        path.write_bytes(b"no picture")
        with pytest.raises(DataError, match=r"cannot train on .*a\.png"):
            PictureCache(tmp_path / "cache").scales(path)


class TestHeldOut:
    def test_a_picture_that_is_too_small_to_judge_on(self):
        with pytest.raises(DataError, match="has 31x60 pixels, at least 32x32 are needed"):
            HeldOut([drawn(0)[:, :31]], default_host())

    def test_the_busiest_part_of_a_picture_judges(self):
        pixels = np.zeros((700, 500, 3), np.uint8)
        noise = np.random.default_rng(0).integers(0, 256, (256, 256, 3), dtype=np.uint8)
        pixels[416:672, 32:288] = noise
        clean, _, _ = HeldOut([pixels], default_host()).rows[0]
        np.testing.assert_array_equal(clean[0].permute(1, 2, 0).mul(255).numpy().round(), noise)

    def test_a_model_that_samples_is_judged_in_fewer_steps_on_fewer_crops(self, lpips):
        model = small_model(small_recipe(NATIVE, ("steps = 2\n", "steps = 200\n")))
        assert model.sampler.steps == 200
        held_out = HeldOut([drawn(seed, 64) for seed in range(5)], default_host())
        assert len(held_out.rows) == 15
        asked = []
        model.denoiser.unet.conv_out.register_forward_hook(lambda *_: asked.append(1))
        judgement = held_out.judge(model, Lpips("alex"))
        assert len(asked) == SAMPLED_ROWS * SAMPLED_STEPS == 240
        assert np.isfinite(judgement.psnr)


class TestSynthetic:
    @pytest.mark.parametrize("side", [16, 33, 128])
    def test_a_drawn_picture(self, side):
        pixels = drawn(0, side)
        assert pixels.shape == (side, side, 3)
        assert pixels.dtype == np.uint8

    def test_a_seed_is_a_picture(self):
        np.testing.assert_array_equal(drawn(5), drawn(5))
        assert (drawn(5) != drawn(6)).any()

    def test_some_are_flat_and_some_are_busy(self):
        spread = [drawn(seed).std() for seed in range(20)]
        assert min(spread) < 30
        assert max(spread) > 60
