from __future__ import annotations

import json
import os

import numpy as np
import pytest
from PIL import Image

from diffir.host.manager import default_host


@pytest.fixture
def photo(tmp_path):
    path = tmp_path / "photo.jpg"
    pixels = np.random.default_rng(0).integers(0, 255, (40, 56, 3), dtype=np.uint8)
    path.write_bytes(default_host().codec("jpeg").encode(pixels, 35))
    return path


def test_facts_and_how_sure_they_are(diffir, photo):
    lines = diffir("inspect", photo).out.splitlines()
    assert lines[0] == str(photo)
    facts = {tuple(line.split()[:2]): line for line in lines[1:]}
    assert ("quality", "35") in facts
    assert ("subsampling", "4:2:0") in facts
    assert facts["subsampling", "4:2:0"].endswith("read from the file")
    assert "tables" in "".join(lines)


def test_json_has_everything(diffir, photo):
    facts = json.loads(diffir("inspect", photo, "--json").out)
    assert facts["file"] == str(photo)
    assert facts["name"] == "jpeg"
    assert facts["quality"] == 35
    assert len(facts["tables"][0]) == 64
    assert facts["sources"]["subsampling"] == "bitstream"


def test_the_bytes_decide_not_the_suffix(diffir, photo):
    renamed = photo.rename(photo.with_suffix(".png"))
    assert "jpeg" in diffir("inspect", renamed).out


def test_a_folder(diffir, photo):
    (photo.parent / "b.jpg").write_bytes(photo.read_bytes())
    out = diffir("inspect", photo.parent, "--json").out
    assert [json.loads(line)["file"] for line in out.splitlines()] == [
        str(photo.parent / "b.jpg"),
        str(photo),
    ]


def test_a_format_that_no_codec_knows(diffir, tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("no picture at all")
    outcome = diffir("inspect", path)
    assert outcome.code == 1
    assert "is not a picture that diffir knows" in outcome.err


def test_a_png_that_never_met_a_codec(diffir, tmp_path):
    Image.new("RGB", (40, 30), "teal").save(tmp_path / "drawn.png")
    outcome = diffir("inspect", tmp_path / "drawn.png")
    assert outcome.code == 0
    assert "neither the file nor its pixels say" in outcome.out


def test_a_png_that_once_was_a_jpeg(diffir, tmp_path):
    rows, columns = np.mgrid[0:160, 0:200]
    gray = (125 + 60 * np.sin(rows * columns / 300) + columns / 9).astype(np.uint8)
    Image.fromarray(gray).save(tmp_path / "photo.jpg", quality=10)
    path = tmp_path / "screenshot.png"
    with Image.open(tmp_path / "photo.jpg") as image:
        image.crop((3, 6, *image.size)).save(path)
    assert "seen in the pixels" in diffir("inspect", path).out
    facts = json.loads(diffir("inspect", path, "--json").out)
    assert (facts["name"], facts["quality"], facts["grid"]) == ("jpeg", 10, [2, 5])
    assert facts["sources"]["quality"] == "pixels"


def test_one_bad_file_does_not_hide_the_others(diffir, photo):
    empty, cut = photo.with_name("a-empty.jpg"), photo.with_name("b-cut.jpg")
    empty.touch()
    cut.write_bytes(photo.read_bytes()[:30])
    outcome = diffir("inspect", photo.parent)
    assert outcome.code == 1
    assert f"error: {empty} is empty" in outcome.err
    assert f"error: {cut}" in outcome.err
    assert str(photo) in outcome.out


def test_a_missing_file(diffir, tmp_path):
    outcome = diffir("inspect", tmp_path / "lost.jpg")
    assert outcome.code == 1
    assert "there is no file or folder" in outcome.err


def test_a_missing_file_does_not_stop_the_others(diffir, photo, tmp_path):
    outcome = diffir("inspect", tmp_path / "lost.jpg", photo)
    assert outcome.code == 1
    assert "there is no file or folder" in outcome.err
    assert str(photo) in outcome.out


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root reads all")
def test_a_file_without_permission(diffir, photo):
    photo.chmod(0)
    assert "cannot be read: Permission denied" in diffir("inspect", photo).err


def test_a_folder_with_the_name_of_a_picture_is_searched(diffir, tmp_path):
    (tmp_path / "a.jpg").mkdir()
    assert "no picture in" in diffir("inspect", tmp_path / "a.jpg").err
