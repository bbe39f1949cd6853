from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from diffir.contracts.picture import Picture
from diffir.host.manager import default_host
from diffir.pictures.reading import read
from diffir.pictures.writing import write


def scene(height: int = 40, width: int = 56, *, phase: float = 0) -> np.ndarray:
    rows, columns = np.mgrid[:height, :width]
    waves = [127 + 90 * np.sin((rows * i + columns) / 9 + phase) for i in (1, 2, 3)]
    return np.stack(waves, axis=2).astype(np.uint8)


@pytest.fixture
def shots(tmp_path):
    """A folder with JPEGs of quality 10 and 30, one of them in a folder below."""
    jpeg = default_host().codec("jpeg")
    folder = tmp_path / "shots"
    (folder / "sub").mkdir(parents=True)
    (folder / "a.jpg").write_bytes(jpeg.encode(scene(), 10))
    (folder / "sub" / "b.jpg").write_bytes(jpeg.encode(scene(phase=1), 30))
    return folder


@pytest.fixture
def restore(diffir, tiny_weights):
    def run(*words):
        return diffir("restore", *words, "--model", tiny_weights, "--device", "cpu")

    return run


def records(outcome) -> list[dict]:
    return [json.loads(line) for line in outcome.out.splitlines()]


def files(folder) -> list[str]:
    return sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())


class TestWork:
    def test_one_file(self, restore, shots, tmp_path, tiny_weights):
        from diffir.restore.restorer import load

        output = tmp_path / "out.png"
        outcome = restore(shots / "a.jpg", "-o", output)
        assert outcome.code == 0, outcome.err
        assert f"{shots / 'a.jpg'} -> {output}: jpeg 10, 56x40" in outcome.out
        expected = load(tiny_weights, device="cpu")(read(shots / "a.jpg"))
        np.testing.assert_array_equal(read(output).pixels, expected.pixels)

    def test_a_folder_is_mirrored(self, restore, shots, tmp_path):
        assert restore(shots, "-o", tmp_path / "out", "--suffix", ".webp").code == 0
        assert files(tmp_path / "out") == ["a.webp", "sub/b.webp"]

    def test_the_dial(self, restore, shots, tmp_path):
        for fidelity in ("0", "0.5", "1"):
            options = ("-o", tmp_path / f"{fidelity}.png", "--fidelity", fidelity)
            options += ("--no-consistent", "--views", "1")  # the dial is linear without them
            assert restore(shots / "a.jpg", *options).code == 0
        rich, middle, faithful = (
            read(tmp_path / f"{name}.png").pixels.astype(int) for name in ("0", "0.5", "1")
        )
        assert (rich != faithful).any()
        inside = (np.minimum(rich, faithful) > 0) & (np.maximum(rich, faithful) < 255)
        assert np.abs(rich + faithful - 2 * middle)[inside].max() <= 2

    @pytest.mark.parametrize(
        ("options", "views"),
        [((), 1), (("--fidelity", "1"), 8), (("--fidelity", "1", "--views", "2"), 2)],
    )
    def test_views(self, restore, shots, tmp_path, options, views):
        words = (shots / "a.jpg", "-o", tmp_path / "out.png", "--json", *options)
        [planned] = records(restore(*words, "--plan"))
        [done] = records(restore(*words))
        assert (planned["views"], done["views"]) == (views, views)

    def test_there_are_eight_views(self, restore, shots, tmp_path):
        outcome = restore(shots / "a.jpg", "-o", tmp_path / "out.png", "--views", "9")
        assert outcome.code == 2
        assert "--views" in outcome.err
        assert "less than or equal to 8" in outcome.err

    def test_the_relative_of_a_codec_is_named(self, restore, shots, tmp_path):
        facts = ("--codec", "mpeg2", "--quality", "16")
        words = restore(shots / "a.jpg", "-o", tmp_path / "out.png", "--plan", *facts).out
        assert "mpeg2 16, as jpeg, 56x40" in words
        planned = (shots / "a.jpg", "-o", tmp_path / "out.png", "--plan", "--json")
        [told] = records(restore(*planned, *facts))
        assert (told["told"]["codec"], told["seen_in_pixels"]) == ("jpeg", False)
        [seen] = records(restore(*planned, *facts[:2]))  # how hard, only the pixels tell
        assert (seen["told"]["codec"], seen["seen_in_pixels"]) == ("jpeg", True)
        assert seen["told"]["sources"] == {"name": "recipe", "severity": "estimate"}
        words = restore(shots / "a.jpg", "-o", tmp_path / "out.png", "--plan", *facts[:2]).out
        assert "mpeg2 restored as jpeg of severity" in words or "without a trace of one" in words

    def test_records(self, restore, shots, tmp_path):
        outcome = restore(shots, "-o", tmp_path / "out", "--json", "--tile", "128")
        first, second = records(outcome)
        assert (first["status"], first["codec"], first["quality"]) == ("restored", "jpeg", 10)
        assert second["quality"] == 30
        assert first["input"] == str(shots / "a.jpg")
        assert first["output"] == str(tmp_path / "out" / "a.png")
        assert (first["width"], first["height"], first["tile"]) == (56, 40, 128)
        assert first["sources"]["quality"] in ("bitstream", "estimate")
        assert sum(first["experts"]) == pytest.approx(1, abs=1e-3)
        assert first["seconds"] >= 0
        assert first["peak_bytes"] > 0

    def test_only_planned(self, restore, shots, tmp_path):
        write(Picture(scene(300, 200)), shots / "c.png")
        outcome = restore(shots, "-o", tmp_path / "out", "--plan", "--json", "--tile", "128")
        assert outcome.code == 0, outcome.err
        first, second, _ = records(outcome)
        assert (first["status"], first["tiles"], first["device"]) == ("planned", 1, "cpu")
        assert first["seen_in_pixels"] is False
        assert first["told"]["codec"] == "jpeg"
        assert (second["seen_in_pixels"], second["tiles"]) == (True, 4 * 3)
        assert not (tmp_path / "out").exists()
        words = restore(shots / "a.jpg", "-o", tmp_path / "out.png", "--plan").out
        assert ", 1 tiles of" in words

    def test_a_plan_tells_what_would_be_refused(self, restore, shots, tmp_path):
        (tmp_path / "out.png").touch()
        words = (shots / "a.jpg", "-o", tmp_path / "out.png", "--plan")
        assert "exists already" in restore(*words).err
        assert restore(*words, "--overwrite").code == 0

    def test_a_missing_file_has_a_record(self, restore, shots, tmp_path):
        lost = tmp_path / "lost.jpg"
        outcome = restore(lost, shots / "a.jpg", "-o", tmp_path / "out", "--json")
        assert outcome.code == 1
        first, second = records(outcome)
        assert (first["input"], first["output"], first["status"]) == (str(lost), None, "failed")
        assert "there is no file or folder" in first["error"]
        assert second["status"] == "restored"

    def test_results_in_a_folder_of_the_input_are_not_restored_again(self, restore, shots):
        words = (shots, "-o", shots / "better")
        assert restore(*words).code == 0
        assert restore(*words, "--skip-existing").code == 0
        assert files(shots / "better") == ["a.png", "sub/b.png"]

    def test_an_output_folder_that_cannot_be_is_told_before_the_work(self, diffir, shots, tmp_path):
        (tmp_path / "notes").touch()
        outcome = diffir("restore", shots, "-o", tmp_path / "notes" / "out", "--model", "absent")
        assert outcome.code == 1
        assert f"{tmp_path / 'notes'} is a file" in outcome.err


class TestExisting:
    def test_skipped(self, restore, shots, tmp_path):
        (tmp_path / "out").mkdir()
        (tmp_path / "out" / "a.png").write_bytes(b"mine")
        outcome = restore(shots, "-o", tmp_path / "out", "--skip-existing", "--json")
        assert outcome.code == 0
        assert [row["status"] for row in records(outcome)] == ["skipped", "restored"]
        assert (tmp_path / "out" / "a.png").read_bytes() == b"mine"

    def test_all_skipped_loads_no_model(self, diffir, shots, tmp_path):
        (tmp_path / "out.png").write_bytes(b"mine")
        words = ("restore", shots / "a.jpg", "-o", tmp_path / "out.png", "--skip-existing")
        outcome = diffir(*words, "--model", tmp_path / "none.safetensors")
        assert outcome.code == 0
        assert "exists, skipped" in outcome.out

    def test_refused_unless_asked(self, restore, shots, tmp_path):
        output = tmp_path / "out.png"
        output.write_bytes(b"mine")
        outcome = restore(shots / "a.jpg", "-o", output)
        assert outcome.code == 1
        assert f"{output} exists already" in outcome.err
        assert output.read_bytes() == b"mine"
        assert restore(shots / "a.jpg", "-o", output, "--overwrite").code == 0
        assert read(output).width == 56

    def test_never_the_input(self, restore, shots):
        outcome = restore(shots / "a.jpg", "-o", shots / "a.jpg", "--overwrite")
        assert outcome.code == 1
        assert "would replace its input" in outcome.err


def test_one_bad_file_does_not_stop_the_others(restore, shots, tmp_path):
    (shots / "broken.jpg").write_bytes((shots / "a.jpg").read_bytes()[:60])
    outcome = restore(shots, "-o", tmp_path / "out", "--json")
    assert outcome.code == 1
    assert [row["status"] for row in records(outcome)] == ["restored", "failed", "restored"]
    assert "broken.jpg" in outcome.err
    assert records(outcome)[1]["error"]
    assert files(tmp_path / "out") == ["a.png", "sub/b.png"]


class TestFactsFromTheUser:
    def test_they_replace_what_was_read(self, restore, shots, tmp_path):
        options = ("--codec", "webp", "--quality", "5", "--json")
        (row,) = records(restore(shots / "a.jpg", "-o", tmp_path / "out.png", *options))
        assert (row["codec"], row["quality"]) == ("webp", 5)
        assert (row["sources"]["name"], row["sources"]["quality"]) == ("user", "user")
        (plain,) = records(restore(shots / "a.jpg", "-o", tmp_path / "plain.png", "--json"))
        assert row["experts"] != plain["experts"]

    def test_a_quality_of_the_files_own_codec(self, restore, shots, tmp_path):
        options = ("--quality", "50", "--json")
        (row,) = records(restore(shots / "a.jpg", "-o", tmp_path / "out.png", *options))
        assert (row["codec"], row["quality"], row["sources"]["quality"]) == ("jpeg", 50, "user")

    def test_a_quality_off_the_named_codecs_scale(self, restore, shots, tmp_path):
        options = ("--codec", "jpeg", "--quality", "101")
        outcome = restore(shots / "a.jpg", "-o", tmp_path / "out.png", *options)
        assert outcome.code == 2
        assert "from 1 to 100, got 101" in outcome.err

    def test_a_quality_off_the_files_scale(self, restore, shots, tmp_path):
        outcome = restore(shots / "a.jpg", "-o", tmp_path / "out.png", "--quality", "101")
        assert outcome.code == 1
        assert "from 1 to 100, got 101" in outcome.err

    def test_a_quality_of_what(self, restore, tmp_path):
        photo = write(Picture(scene()), tmp_path / "photo.png")
        outcome = restore(photo, "-o", tmp_path / "out.png", "--quality", "10")
        assert outcome.code == 1
        assert "--quality means nothing without a codec" in outcome.err
        assert "hint: " in outcome.err

    def test_a_codec_that_nobody_registered(self, restore, shots, tmp_path):
        outcome = restore(shots / "a.jpg", "-o", tmp_path / "out.png", "--codec", "jepg")
        assert outcome.code == 1
        assert "no codec called 'jepg'" in outcome.err


class TestUsage:
    @pytest.mark.parametrize("tile", ["64", "100", "0", "-128"])
    def test_a_tile_off_the_grid(self, restore, shots, tmp_path, tile):
        outcome = restore(shots / "a.jpg", "-o", tmp_path / "out.png", "--tile", tile)
        assert outcome.code == 2
        assert "--tile" in outcome.err
        assert f"from 128 up, got {tile}" in outcome.err

    @pytest.mark.parametrize(
        "option", [("--fidelity", "1.5"), ("--steps", "0"), ("--steps", "1001")], ids=" ".join
    )
    def test_a_number_out_of_range(self, restore, shots, tmp_path, option):
        outcome = restore(shots / "a.jpg", "-o", tmp_path / "out.png", *option)
        assert outcome.code == 2
        assert option[0] in outcome.err

    @pytest.mark.parametrize(
        ("model", "message"),
        [
            ("weights.pth", "may hold pickled code and is not read"),
            ("none.safetensors", "there is no weights file none.safetensors"),
            ("moe-diffir-huge", "no recipe called 'moe-diffir-huge'"),
        ],
    )
    def test_a_model_that_is_none(self, diffir, shots, tmp_path, model, message):
        words = ("restore", shots / "a.jpg", "-o", tmp_path / "out.png", "--model", model)
        outcome = diffir(*words)
        assert outcome.code == 1
        assert message in outcome.err
        assert "hint: " in outcome.err

    def test_a_device_that_is_not_here(self, diffir, shots, tmp_path, tiny_weights):
        words = ("restore", shots / "a.jpg", "-o", tmp_path / "out.png", "--model", tiny_weights)
        outcome = diffir(*words, "--device", "cuda:99")
        assert outcome.code == 1
        assert "no device 'cuda:99' here" in outcome.err


@pytest.mark.slow
def test_interrupt_leaves_nothing_half_written(shots, tiny_weights, tmp_path):
    write(Picture(scene(2000, 2000)), shots / "sub" / "large.png")
    words = [sys.executable, "-m", "diffir", "restore", shots, "-o", tmp_path / "out", "--json"]
    words += ["--model", tiny_weights, "--device", "cpu", "--tile", "128", "--steps", "20"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True, env=environment) as process:
        done = [json.loads(process.stdout.readline())["output"] for _ in range(2)]
        time.sleep(0.5)  # into the large one
        process.send_signal(signal.SIGINT)
    assert process.returncode == 130
    assert [str(tmp_path / "out" / name) for name in files(tmp_path / "out")] == done


def test_a_suffix_that_cannot_be_written_is_refused_before_the_work(restore, shots, tmp_path):
    outcome = restore(shots / "a.jpg", "-o", tmp_path / "out.xyz", "--tile", "128")
    assert outcome.code == 1
    assert "ends in '.xyz', which diffir does not write" in outcome.err
    assert not (tmp_path / "out.xyz").exists()


class TestGuard:
    def test_a_clean_picture_is_left_alone_and_the_line_says_so(self, restore, tmp_path):
        write(Picture(scene(64, 64)), tmp_path / "clean.png")
        line = restore(tmp_path / "clean.png", "-o", tmp_path / "out.png", "--strength", "0").out
        assert ": unknown codec" in line
        assert ", strength 0," in line
        untouched = read(tmp_path / "out.png").pixels
        assert np.array_equal(untouched, read(tmp_path / "clean.png").pixels)

    def test_what_the_model_was_told_is_in_the_record(self, restore, shots, tmp_path):
        outcome = restore(shots / "a.jpg", "-o", tmp_path / "out.png", "--json")
        (record,) = records(outcome)
        assert record["told"]["codec"] == "jpeg"
        assert record["strength"] == 1


class TestConsistent:
    def test_the_record_says_how_much_is_kept(self, restore, shots, tmp_path):
        target = tmp_path / "out.png"
        (row,) = records(restore(shots / "a.jpg", "-o", target, "--consistent", "--json"))
        assert row["consistent"] == {"kept": 1.0, "reason": None}
        jpeg = default_host().codec("jpeg")
        again = jpeg.coefficients(jpeg.encode(read(target).pixels, 10))
        expected = jpeg.coefficients((shots / "a.jpg").read_bytes())
        for one, other in zip(again.planes, expected.planes, strict=True):
            np.testing.assert_array_equal(one.levels, other.levels)

    def test_so_does_the_line(self, restore, shots, tmp_path):
        said = restore(shots / "a.jpg", "-o", tmp_path / "out.png", "--consistent").out
        assert ", consistent, " in said
        planned = restore(shots / "a.jpg", "-o", tmp_path / "x.png", "--consistent", "--plan").out
        assert ", consistent, 1 tiles" in planned

    def test_other_files_are_restored_all_the_same(self, restore, shots, tmp_path):
        write(Picture(scene()), shots / "c.png")
        outcome = restore(shots / "c.png", "-o", tmp_path / "out.png", "--consistent")
        assert outcome.code == 0
        assert ", consistency does not apply (no codec recognized the file)" in outcome.out

    def test_what_is_missed_is_said(self, restore, shots, tmp_path):
        (shots / "a.jpg").write_bytes(default_host().codec("jpeg").encode(scene(), 100))
        words = ("-o", tmp_path / "out.png", "--consistent", "--strength", "1")
        assert ", consistent but for 0." in restore(shots / "a.jpg", *words).out

    def test_on_unless_refused(self, restore, shots, tmp_path):
        (row,) = records(restore(shots / "a.jpg", "-o", tmp_path / "out.png", "--json"))
        assert row["consistent"]["kept"] == 1
        words = ("--no-consistent", "--overwrite", "--json")
        (row,) = records(restore(shots / "a.jpg", "-o", tmp_path / "out.png", *words))
        assert row["consistent"] is None

    def test_nobody_asked(self, restore, shots, tmp_path):
        write(Picture(scene()), shots / "c.png")
        outcome = restore(shots / "c.png", "-o", tmp_path / "out.png")
        assert "consisten" not in outcome.out
