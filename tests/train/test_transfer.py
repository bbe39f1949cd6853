from __future__ import annotations

import os
import time
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from diffir.cli.main import build_app
from diffir.contracts.codec import CodecInfo
from diffir.contracts.picture import Picture
from diffir.contracts.prompt_pack import Gain
from diffir.degradations.codec_degradation import CodecDegradation
from diffir.errors import CodecError, DataError, OutputError
from diffir.host.manager import build_host, default_host
from diffir.perceptual.dists import Dists
from diffir.perceptual.lpips import Lpips
from diffir.pictures.reading import read
from diffir.pictures.writing import write
from diffir.restore.guard import what_is_told
from diffir.restore.pack_file import load_packs, save_packs
from diffir.restore.prompt_packs import model_hash
from diffir.restore.restorer import load
from diffir.train import feature_cache, holding_out, transfer_critic
from diffir.train.feature_cache import FeatureCache
from diffir.train.finetuning import FineTuning, Request
from diffir.train.synthetic import synthetic_picture
from diffir.train.transfer import Effort, Transfer
from diffir.train.transfer_crops import (
    CleanPicture,
    CompressedPicture,
    Pair,
    compressed_pairs,
    draw_crops,
)
from diffir.train.transfer_judge import Judge, interval
from diffir.train.transfer_rows import decode_rows

if TYPE_CHECKING:
    from pathlib import Path

FAILING = '''
"""A codec whose encoder fails at its fifth picture."""

from dataclasses import replace

from diffir.codecs.jpeg import Jpeg
from diffir.errors import CodecError
from diffir.host.hookspecs import hookimpl

diffir_api = 1
calls = []


class Failing(Jpeg):
    spec = replace(Jpeg.spec, name="failing", suffixes=(".fail",))

    def encode(self, pixels, quality, *, subsampling=None):
        calls.append(1)
        if len(calls) == 5:
            raise CodecError("out of paper")
        return super().encode(pixels, quality, subsampling=subsampling)

    def recognizes(self, data):
        return False

    def read_info(self, data):
        return replace(super().read_info(data), name="failing")


@hookimpl
def register_codecs(register):
    register("failing", f"{__name__}:Failing", summary="fails")
'''

EFFORT = Effort(steps=6, batch=2, judge_every=3)


def pixels(seed: int, side: int = 300) -> np.ndarray:
    return synthetic_picture(side, np.random.default_rng(seed))


def pairs_in(low: Path, high: Path, codec: str) -> list[CompressedPicture]:
    return compressed_pairs(low, high, codec, default_host(), low.parent / "cache")


def place_of(crop: np.ndarray, whole: np.ndarray) -> tuple[int, int]:
    """Where in a picture a crop on the grid of 8 pixels comes from."""
    rows, columns = crop.shape[:2]
    [found] = [
        (top, left)
        for top in range(0, whole.shape[0] - rows + 1, 8)
        for left in range(0, whole.shape[1] - columns + 1, 8)
        if (whole[top : top + rows, left : left + columns] == crop).all()
    ]
    return found


@pytest.fixture(scope="module")
def crops():
    degradation = CodecDegradation(default_host().codec("mpeg2"), (20.0,))
    sources = [CleanPicture(pixels(seed), degradation) for seed in range(2)]
    return draw_crops(sources, count=10, side=64, seed=0)


@pytest.fixture
def base(build_model):
    return build_model()


@pytest.fixture
def cache(base, crops, tmp_path):
    return FeatureCache(tmp_path / "features", base, key=model_hash(base), crops=crops)


@pytest.fixture
def judge(base, crops, lpips):
    return Judge(base, crops[:3], Lpips("alex"), Dists())


class TestCrops:
    def test_they_show_what_the_codec_did_to_them(self, crops):
        assert len(crops) == 10
        for crop in crops:
            assert crop.clean.shape == crop.degraded.shape == (64, 64, 3)
            assert crop.codec.name == "mpeg2"
        errors = [np.abs(crop.clean.astype(int) - crop.degraded).mean() for crop in crops]
        assert 0 < np.mean(errors) < 20

    def test_a_seed_is_a_set(self, crops):
        degradation = CodecDegradation(default_host().codec("mpeg2"), (20.0,))
        sources = [CleanPicture(pixels(seed), degradation) for seed in range(2)]
        again = draw_crops(sources, count=10, side=64, seed=0)
        assert all((a.degraded == b.degraded).all() for a, b in zip(crops, again, strict=True))

    def test_pairs_from_two_folders(self, tmp_path):
        for seed in range(2):
            clean = pixels(seed, 96)
            data = default_host().codec("jpeg").encode(clean, 10)
            for folder in ("lq", "hq"):
                (tmp_path / folder).mkdir(exist_ok=True)
            (tmp_path / "lq" / f"{seed}.jpg").write_bytes(data)
            write(Picture(clean), tmp_path / "hq" / f"{seed}.png")
        pairs = pairs_in(tmp_path / "lq", tmp_path / "hq", "jpeg")
        assert [pair.pair.codec.quality for pair in pairs] == [10, 10]
        crop = draw_crops(pairs, count=1, side=64, seed=0)[0]
        assert crop.codec.name == "jpeg"

        (tmp_path / "hq" / "1.png").rename(tmp_path / "hq" / "2.png")
        with pytest.raises(DataError, match="'1' is in one of them alone"):
            pairs_in(tmp_path / "lq", tmp_path / "hq", "jpeg")
        write(Picture(pixels(1, 90)), tmp_path / "hq" / "1.png")
        (tmp_path / "hq" / "2.png").unlink()
        with pytest.raises(DataError, match=r"'1' has 96x96 pixels in .*lq and 90x90 in"):
            pairs_in(tmp_path / "lq", tmp_path / "hq", "jpeg")

    @pytest.fixture
    def pair(self, tmp_path):
        """Writes a pair by some codec, whose name is the clean half's."""

        def write_pair(codec, suffix, quality):
            clean = pixels(0, 96)
            (tmp_path / "lq").mkdir(exist_ok=True)
            data = default_host().codec(codec).encode(clean, quality)
            (tmp_path / "lq" / f"{codec}{suffix}").write_bytes(data)
            write(Picture(clean), tmp_path / "hq" / f"{codec}.png")
            return tmp_path / "lq", tmp_path / "hq"

        return write_pair

    def test_pairs_of_bitstreams(self, pair):
        [found] = pairs_in(*pair("mpeg2", ".m2v", 20), "mpeg2")
        assert found.pair.codec.name == "mpeg2"
        assert found.pair.codec.severity > 0
        assert (found.pair.clean != found.pair.degraded).any()

    def test_pairs_in_folders_below_and_hidden_files(self, pair):
        low, high = pair("mpeg2", ".m2v", 20)
        for folder, suffix in ((low, ".m2v"), (high, ".png")):
            (folder / "more").mkdir()
            data = (folder / f"mpeg2{suffix}").read_bytes()
            (folder / "more" / f"mpeg2{suffix}").write_bytes(data)
        (low / "._mpeg2.png").write_bytes(b"what macOS leaves")
        assert len(pairs_in(low, high, "mpeg2")) == 2

    def test_two_files_of_one_name(self, pair):
        low, high = pair("mpeg2", ".m2v", 20)
        write(Picture(pixels(0, 96)), low / "mpeg2.png")
        with pytest.raises(DataError, match=r"mpeg2.m2v and .*mpeg2.png have one name"):
            pairs_in(low, high, "mpeg2")

    def test_pairs_of_pixels_are_taken_to_be_of_the_codec(self, pair):
        low, high = pair("jpeg", ".jpg", 30)
        degraded = read(low / "jpeg.jpg")
        (low / "jpeg.jpg").unlink()
        write(Picture(degraded.pixels), low / "jpeg.png")
        [found] = pairs_in(low, high, "mpeg2")
        assert (found.pair.codec.name, found.pair.codec.severity) == ("mpeg2", None)

    def test_pairs_of_another_codec(self, pair):
        with pytest.raises(DataError, match=r"jpeg.jpg was compressed by jpeg, and prompts for mp"):
            pairs_in(*pair("jpeg", ".jpg", 30), "mpeg2")

    def test_a_pair_whose_clean_half_is_not_clean(self, pair):
        low, high = pair("mpeg2", ".m2v", 20)
        (high / "mpeg2.png").unlink()
        (high / "mpeg2.jpg").write_bytes(default_host().codec("jpeg").encode(pixels(0, 96), 5))
        with pytest.raises(DataError, match=r"hq.mpeg2.jpg was compressed already, by jpeg at"):
            pairs_in(low, high, "mpeg2")


class TestCache:
    def test_its_rows_give_what_the_model_gives(self, base, cache, crops):
        rows = cache.rows([3, 0, 7], torch.device("cpu"))
        with torch.no_grad():
            whole, _ = base(rows.encoded.image, rows.codecs)
            cached = decode_rows(base, rows)
        torch.testing.assert_close(cached.faithful, whole.faithful, atol=5e-3, rtol=0)
        torch.testing.assert_close(cached.rich, whole.rich, atol=5e-3, rtol=0)
        clean = (rows.clean[1].permute(1, 2, 0).numpy() * 255).round()
        np.testing.assert_array_equal(clean, crops[0].clean)

    def test_it_is_found_again_and_made_anew_for_other_content(self, base, cache, crops):
        folder = cache.place.parent
        assert not cache.reused
        assert FeatureCache(folder, base, key=model_hash(base), crops=crops).reused
        assert not FeatureCache(folder, base, key="other weights", crops=crops).reused
        assert not FeatureCache(folder, base, key=model_hash(base), crops=crops[1:]).reused

    def test_a_full_disk(self, base, crops, tmp_path, small_files):
        with small_files(), pytest.raises(OutputError, match="cannot keep features in"):
            FeatureCache(tmp_path / "full", base, key="x", crops=crops)
        assert not list((tmp_path / "full").iterdir())

    def test_what_a_killed_run_left_is_removed_a_day_later(self, base, cache, crops):
        folder = cache.place.parent
        now = cache.place.stat().st_mtime
        for name, age in (("a.1.partial", 3600), ("b.2.partial", 2 * 24 * 3600)):
            (folder / name).mkdir()
            (folder / name / "complete").touch()
            os.utime(folder / name, (now - age, now - age))
        FeatureCache(folder, base, key=model_hash(base), crops=crops)
        assert sorted(path.name for path in folder.glob("*.partial")) == ["a.1.partial"]

    def test_removing_that_is_interrupted_leaves_nothing_that_looks_complete(
        self, base, cache, crops, monkeypatch
    ):
        def interrupted(place, **_):
            raise KeyboardInterrupt

        folder = cache.place.parent
        monkeypatch.setattr(feature_cache, "LIMIT_BYTES", 1)
        monkeypatch.setattr(feature_cache.shutil, "rmtree", interrupted)
        with pytest.raises(KeyboardInterrupt):
            feature_cache._evict(folder, keep=folder / "another")
        monkeypatch.undo()
        again = FeatureCache(folder, base, key=model_hash(base), crops=crops)
        assert not again.reused
        again.rows([0], torch.device("cpu"))

    def test_two_processes_fill_one_place(self, base, cache, crops, monkeypatch):
        """Both found nothing there; the one that is done later takes what the other has made."""
        folder, shared = cache.place.parent.parent / "shared", {}
        write = FeatureCache._write

        def meanwhile(self, *words):
            monkeypatch.setattr(FeatureCache, "_write", write)
            shared["first"] = FeatureCache(folder, base, key="x", crops=crops)
            monkeypatch.setattr(feature_cache.os, "getpid", lambda: 1)
            write(self, *words)

        monkeypatch.setattr(FeatureCache, "_write", meanwhile)
        second = FeatureCache(folder, base, key="x", crops=crops)
        for one in (shared["first"], second):
            assert len(one.rows([0, 9], torch.device("cpu")).clean) == 2
        assert [path.name for path in folder.iterdir()] == [second.place.name]

    def test_another_timestep_is_another_cache(self, base, cache, crops):
        base.sampler = replace(base.sampler, at=base.sampler.at + 1)
        again = FeatureCache(cache.place.parent, base, key=model_hash(base), crops=crops)
        assert not again.reused

    def test_it_is_bounded(self, base, cache, crops, monkeypatch):
        monkeypatch.setattr(feature_cache, "LIMIT_BYTES", 1)
        other = FeatureCache(cache.place.parent, base, key="other weights", crops=crops)
        assert not cache.place.exists()
        assert other.place.exists()


class TestTransfer:
    def test_only_prompts_and_gates_move(self, base, cache, judge):
        before = model_hash(base)
        transfer = Transfer(base, cache, judge, EFFORT)
        first = {n: p.detach().clone() for n, p in transfer.learned.items()}
        *_, last = transfer.run()
        assert last.step == 6
        assert last.best is not None
        assert model_hash(base) == before
        assert any((p != first[n]).any() for n, p in transfer.learned.items())
        assert all(n.startswith(("router.", "decoder.")) for n in transfer.learned)

    def test_the_best_is_what_the_model_has_in_the_end(self, base, cache, judge):
        transfer = Transfer(base, cache, judge, EFFORT)
        *_, last = transfer.run()
        assert judge(transfer.model).lpips.mean == pytest.approx(last.best.lpips.mean, abs=1e-6)

    def test_another_judge_sees_the_best_and_changes_nothing(self, base, crops, cache, judge):
        witness = Judge(base, crops[3:6], judge.lpips, judge.dists)
        transfer = Transfer(base, cache, judge, EFFORT)
        for progress in transfer.run():
            if progress.step == 4:
                before = {name: p.detach().clone() for name, p in transfer.learned.items()}
                told = transfer.judge_best(witness)
                assert all(torch.equal(before[n], p) for n, p in transfer.learned.items())
        assert progress.step == 6
        assert told.base.lpips == pytest.approx(witness(base).mean.lpips, abs=1e-6)
        assert told.mean.psnr != pytest.approx(progress.best.mean.psnr, abs=1e-3)
        final = witness(transfer.model).mean  # `run` ends with the best in the model
        assert transfer.judge_best(witness).mean.lpips == pytest.approx(final.lpips, abs=1e-6)

    def test_it_stops_early_without_progress(self, base, cache, judge):
        still = replace(EFFORT, steps=100, judge_every=1, patience=2, learning_rate=0.0)
        assert len(list(Transfer(base, cache, judge, still).run())) == 3

    @pytest.mark.parametrize(
        ("full", "told", "rate"), [(False, None, 1e-3), (True, None, 2e-4), (True, 0.0, 0.0)]
    )
    def test_the_learning_rate_is_what_was_told_or_serves_what_learns(
        self, base, cache, judge, full, told, rate
    ):
        effort = replace(EFFORT, full=full, learning_rate=told)
        assert Transfer(base, cache, judge, effort).learning_rate == rate

    def test_it_stops_when_the_time_is_over(self, base, cache, judge):
        hurried = replace(EFFORT, steps=1000, seconds=0.01)
        progress = list(Transfer(base, cache, judge, hurried).run())
        assert len(progress) < 10
        assert progress[-1].best is not None

    @pytest.mark.parametrize("full", [False, True])
    def test_a_killed_run_ends_as_it_would_have(self, base, cache, judge, tmp_path, full):
        effort = replace(EFFORT, full=full)
        whole = Transfer(base, cache, judge, effort)
        *_, last = whole.run()
        killed = Transfer(base, cache, judge, effort)
        for progress in killed.run(tmp_path / "state"):
            if progress.step == 4:  # one step after the state was written
                break
        resumed = Transfer(base, cache, judge, effort)
        steps = list(resumed.run(tmp_path / "state"))
        assert [progress.step for progress in steps] == [4, 5, 6]
        assert steps[-1].best.lpips.mean == pytest.approx(last.best.lpips.mean, abs=1e-6)
        for name, value in whole.best.items():
            torch.testing.assert_close(resumed.best[name], value)
        assert not (tmp_path / "state").exists()

    def test_killed_before_the_result_was_written(self, base, cache, judge, tmp_path):
        killed = Transfer(base, cache, judge, EFFORT)
        for progress in killed.run(tmp_path / "state"):
            if progress.step == EFFORT.steps:
                break  # all steps are done, and nobody has heard of the last
        resumed = Transfer(base, cache, judge, EFFORT)
        [told] = resumed.run(tmp_path / "state")
        assert told.step == EFFORT.steps
        assert told.best == progress.best
        assert all(torch.equal(resumed.best[name], value) for name, value in killed.best.items())
        assert not (tmp_path / "state").exists()

    def test_a_budget_that_was_over_stays_over(self, base, cache, judge, tmp_path):
        hurried = replace(EFFORT, steps=1000, seconds=0.01)
        killed = Transfer(base, cache, judge, hurried)
        for progress in killed.run(tmp_path / "state"):
            if progress.best is not None:
                break
        [told] = Transfer(base, cache, judge, hurried).run(tmp_path / "state")
        assert (told.step, told.best) == (progress.step, progress.best)

    def test_what_others_do_between_steps_is_not_counted(self, base, cache, judge, monkeypatch):
        now = [0.0]
        monkeypatch.setattr(time, "monotonic", lambda: now[0])
        for progress in Transfer(base, cache, judge, replace(EFFORT, steps=3)).run():
            assert progress.seconds == 0
            now[0] += 1000

    def test_the_state_of_another_run_is_not_taken(self, base, cache, judge, tmp_path):
        for progress in Transfer(base, cache, judge, EFFORT).run(tmp_path / "state"):
            if progress.step == 3:
                break
        (tmp_path / "broken").write_bytes(b"x")
        for path, seed in (("state", 1), ("broken", 0), ("missing", 0)):
            other = Transfer(base, cache, judge, replace(EFFORT, seed=seed))
            assert next(other.run(tmp_path / path)).step == 1

    def test_everything_trains_in_full(self, base, cache, judge):
        transfer = Transfer(base, cache, judge, replace(EFFORT, full=True))
        assert transfer.parameters == sum(p.numel() for p in base.parameters())
        list(transfer.run())
        assert (transfer.model.encoder.stem.weight != base.encoder.stem.weight).any()

    def test_a_loss_that_is_not_a_number(self, base, cache, judge):
        transfer = Transfer(base, cache, judge, replace(EFFORT, learning_rate=1e30))
        with pytest.raises(DataError, match=r"the loss became (nan|inf) at step"):
            list(transfer.run())

    def test_a_nan_late_keeps_the_last_good_prompts(self, base, cache, judge):
        transfer = Transfer(base, cache, judge, replace(EFFORT, steps=20))
        run = transfer.run()
        while next(run).step < 4:  # the first judgement is after the third
            pass
        next(iter(transfer.learned.values())).data.fill_(float("nan"))
        with pytest.raises(DataError, match="the loss became nan at step 4"):
            next(run)
        assert transfer.best
        assert all(value.isfinite().all() for value in transfer.best.values())

    def test_a_score_that_is_not_a_number(self, base, cache, judge):
        wild = replace(EFFORT, learning_rate=1e30, judge_every=1)
        with pytest.raises(DataError, match=r"the score of held-out crops became nan at step 0"):
            list(Transfer(base, cache, judge, wild).run())

    def test_a_killed_run_with_a_critic(self, base, cache, judge, tmp_path, monkeypatch):
        monkeypatch.setattr(transfer_critic, "FROM_STEP", 2)
        effort = replace(EFFORT, critic=True)
        whole = Transfer(base, cache, judge, effort)
        list(whole.run())
        killed = Transfer(base, cache, judge, effort)
        for progress in killed.run(tmp_path / "state"):
            if progress.step == 4:
                break
        resumed = Transfer(base, cache, judge, effort)
        assert [progress.step for progress in resumed.run(tmp_path / "state")] == [4, 5, 6]
        for name, value in whole.best.items():
            torch.testing.assert_close(resumed.best[name], value, atol=1e-4, rtol=1e-3)
        assert [step for step, _ in resumed.curve] == [3, 6]


class TestJudge:
    def test_the_base_gains_nothing_on_itself(self, base, judge):
        verdict = judge(base)
        assert verdict.lpips == Gain(0.0, 0.0, 0.0)
        assert verdict.mean == verdict.base
        assert verdict.ratio == 1

    def test_a_crop_that_comes_back_as_it_was_has_a_hundred_decibels(self, base, crops, lpips):
        flat = np.full((64, 64, 3), 128, np.uint8)
        same = Pair(flat, flat, crops[0].codec)
        verdict = Judge(base, [same, same], Lpips("alex"), Dists())(base)
        assert verdict.input.psnr == pytest.approx(100)
        assert verdict.psnr == Gain(0.0, 0.0, 0.0)

    def test_two_crops_at_least(self, base, crops, lpips):
        with pytest.raises(DataError, match="expected two crops or more to judge on, got 1"):
            Judge(base, crops[:1], Lpips("alex"), Dists())

    def test_interval(self):
        gain = interval(torch.tensor([1.0, 2.0, 3.0, 4.0]))
        assert gain.mean == 2.5
        assert gain.high - gain.mean == pytest.approx(3.182 * 1.2910 / 2, rel=1e-3)  # Student's t
        assert gain.mean - gain.low == pytest.approx(gain.high - gain.mean)


class TestFineTuning:
    @pytest.fixture
    def request_of(self, tmp_path, tiny_weights, lpips, monkeypatch):
        monkeypatch.setenv("DIFFIR_CONFIG", str(tmp_path / "config"))
        monkeypatch.setattr(holding_out, "JUDGED_CROPS", 3)  # of 192x192 each, by two networks

        def build(pictures=1, side=400, **changes) -> Request:
            folder = tmp_path / f"{pictures}-{side}"
            for seed in range(pictures):
                write(Picture(pixels(seed, side)), folder / f"{seed}.png", overwrite=True)
            given = {"data": folder, "crops": 8, "effort": EFFORT, **changes}
            return Request("mpeg2", model=str(tiny_weights), **given)

        return build

    @pytest.mark.parametrize("pictures", [1, 5])
    def test_from_pictures_to_a_pack_that_restores(self, pictures, request_of, tmp_path):
        request = request_of(pictures)
        tuning = FineTuning(request, default_host())
        list(tuning.transfer.run())
        told = tuning.transfer.judge_best(tuning.witness)
        save_packs([tuning.pack(told)], tmp_path / "p.safetensors")
        [card] = (pack.card for pack in load_packs(tmp_path / "p.safetensors"))
        assert (card.name, card.codecs, card.pictures) == ("mpeg2", ("mpeg2",), pictures)
        assert card.lpips == told.lpips
        assert card.levels == default_host().codec("mpeg2").spec.levels
        restorer = load(request.model, device="cpu", prompts=str(tmp_path / "p.safetensors"))
        assert restorer.pack_for(CodecInfo.unknown()) == "mpeg2"

    def test_of_a_codec_that_the_base_knows(self, request_of):
        """It learns what the base was trained on, and the base itself recognizes it."""
        request = replace(request_of(), codec="jpeg")
        tuning = FineTuning(request, default_host())
        assert tuning.levels == (5.0, 60.0)
        assert {pair.codec.name for pair in tuning.crops} == {"jpeg"}
        assert all(5 <= pair.codec.quality <= 60 for pair in tuning.crops)
        assert tuning.recognizer is None
        card = tuning.pack(tuning.witness(tuning.base)).card
        assert card.least_severity == min(pair.codec.severity for pair in tuning.crops)
        told = FineTuning(replace(request, qualities=(95, 90)), default_host())
        assert told.levels == (95.0, 90.0)
        assert all(90 <= pair.codec.quality <= 95 for pair in told.crops)

    def test_pairs_of_a_codec_that_the_base_knows(self, request_of, tmp_path):
        jpeg = default_host().codec("jpeg")
        (tmp_path / "lq").mkdir()
        for seed, quality in enumerate((10, 30)):
            (tmp_path / "lq" / f"{seed}.jpg").write_bytes(jpeg.encode(pixels(seed, 400), quality))
            write(Picture(pixels(seed, 400)), tmp_path / "hq" / f"{seed}.png")
        pairs = (tmp_path / "lq", tmp_path / "hq")
        request = replace(request_of(), codec="jpeg", data=None, pairs=pairs, crops=64)
        tuning = FineTuning(request, default_host())
        assert tuning.least_severity == pytest.approx(jpeg.spec.scale.severity(30))

    def test_of_pixels_of_a_codec_that_the_base_knows_severity_is_seen(self, request_of, tmp_path):
        """Told nothing, prompts would learn beside another picture of it than they serve."""
        webp = default_host().codec("webp")
        for seed in range(4):
            left = webp.decode(webp.encode(pixels(seed, 400), 5))
            write(Picture(left), tmp_path / "lq" / f"{seed}.png")
            write(Picture(pixels(seed, 400)), tmp_path / "hq" / f"{seed}.png")
        pairs = (tmp_path / "lq", tmp_path / "hq")
        request = replace(request_of(), codec="webp", data=None, pairs=pairs, crops=64)
        tuning = FineTuning(request, default_host())
        told = [source.pair.codec for source in tuning.sources]
        picture = read(tmp_path / "lq" / "0.png")
        named = replace(picture, codec=CodecInfo(name="webp", sources={"name": "user"}))
        assert told[0] == what_is_told(tuning.base, named)
        assert {codec.name for codec in told} == {"webp"}
        severities = [pair.codec.severity for pair in tuning.crops]
        assert tuning.least_severity == min(severities) > 0

    def test_a_file_as_hard_as_the_learned_ones_is_served(self, request_of):
        """WebP's files tell another severity than its qualities have on their scale."""
        request = replace(request_of(), codec="webp", qualities=(1, 10), crops=64)
        least = FineTuning(request, default_host()).least_severity
        webp = default_host().codec("webp")
        told = {q: webp.read_info(webp.encode(pixels(0, 400), q)).severity for q in (5, 40)}
        assert told[40] < least <= told[5]

    def test_a_full_disk_midway_keeps_the_last_good_pack(self, request_of, tmp_path, small_files):
        tuning = FineTuning(request_of(), default_host())
        path = tmp_path / "p.safetensors"
        for progress in tuning.transfer.run():
            if progress.step == 3:
                save_packs([tuning.pack(progress.best)], path)
                good = path.read_bytes()
        with small_files(), pytest.raises(OutputError):
            save_packs([tuning.pack(progress.best)], path)
        assert path.read_bytes() == good
        assert sorted(p.name for p in path.parent.glob("*.safetensors*")) == ["p.safetensors"]

    def test_an_encoder_that_fails_midway(self, request_of, tmp_path):
        (tmp_path / "failing.py").write_text(FAILING)
        host = build_host(plugin_files=[tmp_path / "failing.py"])
        pack = tmp_path / "p.safetensors"
        pack.write_bytes(b"the last good pack")
        request = replace(request_of(pictures=5, side=128), codec="failing")
        words = ["finetune-prompts", "--codec", "failing", "--data", request.data, "-o", pack]
        words += ["--overwrite", "--model", request.model, "--crops", 64, "--steps", 2]
        done = CliRunner().invoke(build_app(host), [str(word) for word in words])
        assert isinstance(done.exception, CodecError)
        assert "out of paper" in str(done.exception)
        assert pack.read_bytes() == b"the last good pack"

    def test_pictures_that_are_too_small(self, request_of):
        with pytest.raises(DataError, match=r"48x48 pixels, at least 64x64 are needed"):
            FineTuning(request_of(side=48), default_host())
        with pytest.raises(DataError, match="too small to learn from and to judge on"):
            FineTuning(request_of(side=96), default_host())

    def test_a_picture_that_was_compressed_already(self, request_of):
        request = request_of()
        data = default_host().codec("jpeg").encode(pixels(0), 10)
        (request.data / "bad.jpg").write_bytes(data)
        with pytest.raises(DataError, match=r"bad.jpg was compressed already, by jpeg at q"):
            FineTuning(request, default_host())

    def test_the_crops_that_tell_are_not_those_that_choose(self, request_of):
        tuning = FineTuning(request_of(4), default_host())
        assert len(tuning.told) == len(tuning.judged) == 3
        whole = tuning.sources[0].clean  # the first is held out, and halved
        places = [
            [place_of(crop.clean, whole) for crop in crops]
            for crops in (tuning.judged, tuning.told)
        ]
        assert all(left + 192 <= 200 for _, left in places[0])
        assert all(left >= 200 for _, left in places[1])

    def test_of_a_small_picture_each_crop_counts_once(self, request_of, monkeypatch):
        monkeypatch.setattr(holding_out, "JUDGED_CROPS", 12)
        tuning = FineTuning(request_of(5, side=192), default_host())
        for crops in (tuning.judged, tuning.told):
            assert 2 <= len(crops) <= 12
            assert len({crop.clean.tobytes() for crop in crops}) == len(crops)
            assert {crop.clean.shape for crop in crops} == {(96, 96, 3)}
        assert not {c.clean.tobytes() for c in tuning.judged} & {
            c.clean.tobytes() for c in tuning.told
        }

    def test_colorless_pictures_are_counted(self, request_of):
        request = request_of(5)
        gray = np.repeat(pixels(0)[..., :1], 3, axis=2)
        write(Picture(gray), request.data / "0.png", overwrite=True)
        tuning = FineTuning(request, default_host())
        assert (tuning.colorless, tuning.pictures) == (1, 5)

    def test_either_pictures_or_pairs(self, request_of):
        with pytest.raises(DataError, match="expected either clean pictures or pairs"):
            FineTuning(request_of(data=None), default_host())
