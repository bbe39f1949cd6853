from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys

import numpy as np
import pytest

from diffir.contracts.picture import Picture
from diffir.pictures.reading import read
from diffir.pictures.writing import write


@pytest.fixture
def folder(tmp_path):
    for index in range(2):
        rows, columns = np.mgrid[:64, :64]
        waves = np.stack(
            [127 + 90 * np.sin((rows * i + columns) / (8 + index)) for i in (1, 2, 3)], axis=2
        )
        write(Picture(waves.astype(np.uint8)), tmp_path / "clean" / f"{index}.png")
    return tmp_path / "clean"


PLAIN = ("--model", "none", "--metrics", "psnr,ssim")


def test_rows_of_the_unrestored_pictures(diffir, folder):
    outcome = diffir("bench", folder, *PLAIN, "--task", "jpeg-10", "--task", "jpeg-20", "--json")
    assert outcome.code == 0, outcome.err
    report = json.loads(outcome.out)
    assert report["protocol"] == "native-rgb"
    assert report["pictures"] == ["0.png", "1.png"]
    heavy, light = report["rows"]
    assert (heavy["task"], light["task"]) == ("jpeg-10", "jpeg-20")
    assert heavy["mean"]["psnr"] < light["mean"]["psnr"]
    assert heavy["bits_per_pixel"] < light["bits_per_pixel"]


def test_a_table_for_readers(diffir, folder):
    out = diffir("bench", folder, *PLAIN, "--task", "jpeg-10", "--limit", "1").out
    assert "| jpeg-10 | as compressed |" in out
    assert "1 pictures" in out


def test_reports_in_a_folder(diffir, folder, tmp_path):
    words = ("bench", folder, *PLAIN, "--task", "jpeg-10", "--out", tmp_path / "out")
    assert diffir(*words).code == 0
    assert "jpeg-10" in (tmp_path / "out" / "report.md").read_text()
    assert json.loads((tmp_path / "out" / "report.json").read_text())["model"] == "none"
    assert read(tmp_path / "out" / "sheet.png").width > 100
    assert "<title>clean: none</title>" in (tmp_path / "out" / "report.html").read_text()
    again = diffir(*words)
    assert again.code == 1
    assert "report.md" in again.err
    assert diffir(*words, "--overwrite").code == 0


def test_restored_pictures_are_kept(diffir, folder, tmp_path):
    words = ("bench", folder, "--prompts", "none", "--metrics", "psnr", "--task", "jpeg-10")
    words = (*words, "--keep", "--out", tmp_path / "out", "--json")
    outcome = diffir(*words, "--limit", "1")
    assert outcome.code == 0, outcome.err
    kept = tmp_path / "out" / "restored" / "jpeg-10"
    names = sorted(path.name for path in kept.iterdir())
    assert names == [f"moe-diffir-tiny, prompts none, fidelity {f}" for f in ("0.05", "1")]
    before = {path: path.stat().st_mtime_ns for path in kept.rglob("*.png")}
    report = json.loads(diffir(*words, "--overwrite").out)  # of the reports
    assert all(path.stat().st_mtime_ns == time for path, time in before.items())
    assert len(list(kept.rglob("*.png"))) == 2 * len(before) == 4
    assert len(report["rows"][1]["per_picture"]["psnr"]) == 2
    (tmp_path / "out" / "report.md").unlink()
    for name in ("report.json", "report.html", "sheet.png"):
        (tmp_path / "out" / name).unlink()
    other = diffir(*words, "--no-consistent")
    assert other.code == 1
    assert "0.png is made of another picture, by other weights, options" in other.err
    assert "let it be replaced: --overwrite" in other.err


def test_what_a_run_left_is_no_clean_picture(diffir, folder):
    """Wherever its folder lies, be it the very one of the pictures."""
    program = [sys.executable, "-c", "import shutil, sys; shutil.copy(*sys.argv[1:])"]
    copying = "copy=" + shlex.join([*program, "{input}", "{output}"])
    words = ("bench", folder, *PLAIN, "--task", "jpeg-10", "--restorer", copying, "--json")
    for out in (folder, folder / "report"):
        for more in ((), ("--overwrite",)):
            outcome = diffir(*words, "--keep", "--out", out, *more)
            assert outcome.code == 0, outcome.err
            assert json.loads(outcome.out)["pictures"] == ["0.png", "1.png"]
        assert (out / "restored" / "jpeg-10" / "copy" / "1.png").is_file()
        for path in (out / "restored").rglob("*.png"):
            path.unlink()
        if out == folder:
            (out / "sheet.png").unlink()


def test_to_keep_pictures_takes_a_folder(diffir, folder):
    outcome = diffir("bench", folder, *PLAIN, "--task", "jpeg-10", "--keep")
    assert outcome.code == 2
    assert "--keep needs a folder to keep pictures in: -o FOLDER" in outcome.err


def test_an_output_that_cannot_be_is_told_before_any_work(diffir, folder, tmp_path):
    taken = tmp_path / "notes.md"
    taken.write_text("mine")
    outcome = diffir("bench", folder, *PLAIN, "--task", "jpg-10", "-o", taken)
    assert outcome.code == 1
    assert f"nothing can be written into {taken}: {taken} is a file" in outcome.err
    assert taken.read_text() == "mine"


def test_a_terminal_without_arrows_loses_no_report(folder, tmp_path):
    words = ("bench", folder, *PLAIN, "--task", "jpeg-10", "-o", tmp_path / "out")
    done = subprocess.run(
        [sys.executable, "-m", "diffir", *map(str, words)],
        env={**os.environ, "PYTHONIOENCODING": "latin-1"},
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert b"PSNR dB ?" in done.stdout
    assert "PSNR dB ↑" in (tmp_path / "out" / "report.md").read_text(encoding="utf-8")


@pytest.mark.skipif(sys.platform in ("win32", "darwin"), reason="names are Unicode there")
def test_a_name_that_is_not_utf_8(diffir, folder, tmp_path):
    odd = tmp_path / "odd"
    odd.mkdir()
    (odd / "caf\udce9.png").write_bytes((folder / "0.png").read_bytes())
    outcome = diffir("bench", odd, *PLAIN, "--task", "jpeg-10", "-o", tmp_path / "out")
    assert outcome.code == 0, outcome.err
    assert "caf?.png" in (tmp_path / "out" / "report.html").read_text(encoding="utf-8")


def test_a_metric_that_is_not_there(diffir, folder):
    outcome = diffir("bench", folder, "--model", "none", "--metrics", "pnsr", "--task", "jpeg-10")
    assert outcome.code == 1
    assert "there is no metric called 'pnsr'" in outcome.err


def test_a_folder_without_pictures(diffir, tmp_path):
    outcome = diffir("bench", tmp_path, *PLAIN)
    assert outcome.code == 1
    assert "no picture in" in outcome.err


def test_a_protocol_by_name(diffir, folder):
    words = ("bench", folder, *PLAIN, "--task", "jpeg-10", "--protocol", "matlab-y-gray")
    assert json.loads(diffir(*words, "--json").out)["protocol"] == "matlab-y-gray"
    assert diffir(*words).out.startswith("Protocol matlab-y-gray: native size; color pictures")


class TestStandardSets:
    """Two drawn pictures called Kodak."""

    @pytest.fixture
    def data(self, folder, monkeypatch):
        monkeypatch.delenv("DIFFIR_DATA", raising=False)
        folder.rename(folder.with_name("KODAK_24"))
        return folder.parent

    def test_by_name_with_a_warning_about_the_count(self, diffir, data):
        outcome = diffir("bench", "kodak", "--sets", data, *PLAIN, "--task", "jpeg-10", "--json")
        assert outcome.code == 0
        assert json.loads(outcome.out)["pictures"] == ["0.png", "1.png"]
        assert "warning: Kodak has 24 pictures, found 2" in outcome.err

    def test_the_variable(self, diffir, data, monkeypatch):
        monkeypatch.setenv("DIFFIR_DATA", str(data))
        assert diffir("bench", "Kodak", *PLAIN, "--task", "jpeg-10").code == 0

    def test_neither(self, diffir, data):
        outcome = diffir("bench", "Kodak", *PLAIN)
        assert outcome.code == 1
        assert "'Kodak' is neither a folder nor is it said where Kodak lies" in outcome.err

    def test_a_folder_of_that_name_comes_first(self, diffir, data, monkeypatch):
        monkeypatch.chdir(data)
        (data / "KODAK_24").rename(data / "kodak")
        outcome = diffir("bench", "kodak", *PLAIN, "--task", "jpeg-10")
        assert (outcome.code, outcome.err) == (0, "")


class TestCurves:
    def test_of_two_codecs(self, diffir, folder, tmp_path, tiny_weights):
        words = ("bench", folder, "--model", tiny_weights, "--metrics", "psnr", "--limit", 1)
        words += ("--curve", "jpeg:10,20,40,80", "--curve", "webp:5,20,40,80", "-o", tmp_path / "o")
        outcome = diffir(*words)
        assert outcome.code == 0, outcome.err
        assert "| jpeg-10 | as compressed |" in outcome.out
        assert f"| webp + {tiny_weights}, fidelity 1 | PSNR dB |" in outcome.out
        curves = json.loads((tmp_path / "o" / "report.json").read_text())["curves"]
        assert len(curves) == 2 * 3
        assert len(curves[0]["points"]) == 4
        assert read(tmp_path / "o" / "curve-psnr.png").width == 640

    def test_a_codec_that_is_not_there(self, diffir, folder):
        outcome = diffir("bench", folder, *PLAIN, "--curve", "jpg")
        assert outcome.code == 1
        assert "jpg" in outcome.err


def test_with_and_without_prompt_packs(diffir, folder, tiny_weights):
    words = ("--task", "webp-5", "--metrics", "psnr", "--fidelity", "1", "--json")
    words = ("bench", folder, "--model", tiny_weights, *words)
    outcome = diffir(*words, "--prompts", "auto", "--prompts", "none")
    assert outcome.code == 0, outcome.err
    _, stored, bare = json.loads(outcome.out)["rows"]
    assert stored["restorer"] == str(tiny_weights)
    assert bare["restorer"] == f"{tiny_weights}, prompts none"
    assert stored["mean"] == bare["mean"]  # no pack is stored for this model
    assert "there is no prompt pack 'nothing'" in diffir(*words, "--prompts", "nothing").err


def test_worst_tiles_by_lpips_where_it_is_measured(diffir, folder, tmp_path, tiny_weights, lpips):
    words = ("bench", folder, "--model", tiny_weights, "--metrics", "lpips-alex", "--limit", 1)
    assert diffir(*words, "--task", "webp-80", "-o", tmp_path / "out").code == 0
    page = (tmp_path / "out" / "report.html").read_text()
    assert "By squared error" in page
    assert "By LPIPS-Alex" in page


class TestOtherRestorers:
    PROGRAM = "from PIL import Image; import sys; Image.open(sys.argv[1]).{}.save(sys.argv[2])"

    def _restorer(self, name, what):
        words = [sys.executable, "-c", self.PROGRAM.format(what), "{input}", "{output}"]
        return f"--restorer={name}={shlex.join(words)}"

    def test_rows_and_differences(self, diffir, folder):
        words = (*PLAIN, "--task", "jpeg-10", self._restorer("same", "copy()"), "--json")
        report = json.loads(diffir("bench", folder, *words).out)
        untouched, same = report["rows"]
        assert (same["restorer"], same["fidelity"]) == ("same", None)
        assert same["mean"] == untouched["mean"]
        gap = {"mean": 0.0, "low": 0.0, "high": 0.0}
        assert report["differences"][0]["intervals"]["psnr"] == gap

    def test_one_that_changes_the_size_leaves_the_others_their_rows(self, diffir, folder):
        crop, copy = self._restorer("crop", "crop((0, 0, 9, 9))"), self._restorer("copy", "copy()")
        outcome = diffir("bench", folder, *PLAIN, "--task", "jpeg-10", crop, copy)
        assert outcome.code == 1
        assert "|  | copy |" in outcome.out
        assert "|  | crop |" not in outcome.out
        told = "- crop, jpeg-10, 0.png: expected 64x64 pixels, got 9x9 (Degradations and restorers "
        told += "keep the size of a picture.)"
        assert told in outcome.out.splitlines()
        assert told.replace("- ", "error: ", 1) in outcome.err.splitlines()

    def test_a_file_that_is_not_there_is_told_before_any_work(self, diffir, folder):
        outcome = diffir("bench", folder, *PLAIN, "--restorer", "fbcnn=absent.pth")
        assert outcome.code == 1
        assert outcome.out == ""
        assert "absent.pth" in outcome.err


def test_fid_without_its_weights(diffir, folder, tmp_path, monkeypatch):
    monkeypatch.setenv("DIFFIR_CACHE", str(tmp_path / "cache"))
    outcome = diffir("bench", folder, "--model", "none", "--metrics", "fid", "--task", "jpeg-10")
    assert outcome.code == 1
    assert "FID needs the weights of its Inception network" in outcome.err
    assert "diffir fetch-metrics --inception FILE" in outcome.err


def test_weights_of_fid_are_taken_with_their_checksum(diffir, tmp_path, monkeypatch):
    from safetensors.torch import save_file

    from diffir.perceptual.inception import build_network

    monkeypatch.setenv("DIFFIR_CACHE", str(tmp_path / "cache"))
    save_file(build_network().state_dict(), tmp_path / "own.safetensors")
    outcome = diffir("fetch-metrics", "--inception", tmp_path / "own.safetensors")
    assert outcome.code == 0
    assert "inception.safetensors\nsha256 of own.safetensors: " in outcome.out
    assert "this is not pt_inception-2015-12-05-6726825d.pth" in outcome.err


def test_fid_of_one_picture_is_refused_before_any_work(diffir, folder, tmp_path, monkeypatch):
    from safetensors.torch import save_file

    from diffir.perceptual.inception import build_network

    monkeypatch.setenv("DIFFIR_CACHE", str(tmp_path / "cache"))
    save_file(build_network().state_dict(), tmp_path / "own.safetensors")
    diffir("fetch-metrics", "--inception", tmp_path / "own.safetensors")
    words = ("bench", folder, "--model", "none", "--metrics", "fid", "--task", "jpeg-10")
    assert "FID needs two pictures or more, got 1" in diffir(*words, "--limit", 1).err
    outcome = diffir(*words)
    assert outcome.code == 0
    assert "| task | picture | FID ↓ | bpp | s/picture |" in outcome.out
    assert "warning: FID of fewer than 1000 pictures" in outcome.err
