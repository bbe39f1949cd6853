from __future__ import annotations

import numpy as np
import pytest

from diffir.contracts.picture import Picture
from diffir.host.manager import default_host
from diffir.pictures.reading import read
from diffir.pictures.writing import write


@pytest.fixture
def photo(tmp_path):
    rows, columns = np.mgrid[:48, :64]
    waves = np.stack([127 + 90 * np.sin((rows * i + columns) / 9) for i in (1, 2, 3)], axis=2)
    return write(Picture(waves.astype(np.uint8)), tmp_path / "in" / "photo.png")


def test_compressed_bytes_under_the_codecs_suffix(diffir, photo, tmp_path):
    output = tmp_path / "photo.jpg"
    assert diffir("degrade", photo, "-o", output, "--task", "jpeg-10").code == 0
    expected = default_host().codec("jpeg").encode(np.ascontiguousarray(read(photo).pixels), 10)
    assert output.read_bytes() == expected


def test_decoded_pixels_as_png(diffir, photo, tmp_path):
    output = tmp_path / "out.png"
    assert diffir("degrade", photo, "-o", output, "--codec", "jpeg", "--quality", "10").code == 0
    codec = default_host().codec("jpeg")
    expected = codec.decode(codec.encode(np.ascontiguousarray(read(photo).pixels), 10))
    np.testing.assert_array_equal(read(output).pixels, expected)


def test_a_chain_is_the_same_with_the_same_seed(diffir, photo, tmp_path):
    results = []
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        output = tmp_path / f"{name}.png"
        diffir("degrade", photo, "-o", output, "--task", "double-jpeg", "--seed", seed)
        results.append(read(output).pixels)
    np.testing.assert_array_equal(results[0], results[1])
    assert (results[0] != results[2]).any()


@pytest.mark.parametrize("suffix", [".png", ".jpg"])
def test_a_tree_is_mirrored(diffir, photo, tmp_path, suffix):
    write(read(photo), photo.parent / "sub" / "other.png")
    words = ("degrade", photo.parent, "-o", tmp_path / "out", "--task", "jpeg-20")
    assert diffir(*words, "--suffix", suffix).code == 0
    found = sorted(p.relative_to(tmp_path / "out") for p in (tmp_path / "out").rglob("*.*"))
    assert [p.as_posix() for p in found] == [f"photo{suffix}", f"sub/other{suffix}"]


def test_what_exists_is_kept_unless_asked(diffir, photo, tmp_path):
    output = tmp_path / "photo.jpg"
    output.write_bytes(b"mine")
    words = ("degrade", photo, "-o", output, "--task", "jpeg-10")
    outcome = diffir(*words)
    assert outcome.code == 1
    assert f"{output}" in outcome.err
    assert output.read_bytes() == b"mine"
    assert diffir(*words, "--overwrite").code == 0
    assert output.read_bytes() != b"mine"


def test_a_result_is_not_compressed_once_more(diffir, photo, tmp_path):
    outcome = diffir("degrade", photo, "-o", tmp_path / "a.webp", "--task", "jpeg-10")
    assert outcome.code == 1
    assert "holds neither the bytes of jpeg-10 nor" in outcome.err
    assert ".jpg" in outcome.err
    assert ".png" in outcome.err


def test_a_container_that_is_only_read_is_not_written(diffir, photo, tmp_path):
    outcome = diffir("degrade", photo, "-o", tmp_path / "a.heic", "--task", "hevc-42")
    assert outcome.code == 1
    assert "Choose .h265, .265, .hevc for the compressed bytes" in outcome.err
    assert not (tmp_path / "a.heic").exists()


def test_transparency_is_not_lost(diffir, photo, tmp_path):
    pixels = read(photo).pixels
    clear = write(Picture(pixels, alpha=pixels[:, :, 0]), tmp_path / "clear.png")
    outcome = diffir("degrade", clear, "-o", tmp_path / "clear.jpg", "--task", "jpeg-10")
    assert outcome.code == 1
    assert "would lose the transparency" in outcome.err
    assert diffir("degrade", clear, "-o", tmp_path / "new.png", "--task", "jpeg-10").code == 0
    np.testing.assert_array_equal(read(tmp_path / "new.png").alpha, pixels[:, :, 0])


def test_one_bad_file_does_not_stop_the_others(diffir, photo, tmp_path):
    bad = photo.with_name("bad.png")
    bad.write_text("no picture")
    outcome = diffir("degrade", photo.parent, "-o", tmp_path / "out", "--task", "jpeg-10")
    assert outcome.code == 1
    assert str(bad) in outcome.err
    assert (tmp_path / "out" / "photo.png").exists()


def test_a_missing_file_does_not_stop_the_others(diffir, photo, tmp_path):
    words = ("degrade", tmp_path / "lost.png", photo, "-o", tmp_path / "out", "--task", "jpeg-10")
    outcome = diffir(*words)
    assert outcome.code == 1
    assert "there is no file or folder" in outcome.err
    assert (tmp_path / "out" / "photo.png").exists()


@pytest.mark.parametrize(
    "words",
    [(), ("--codec", "jpeg"), ("--quality", "10"), ("--task", "jpeg-10", "--codec", "jpeg")],
    ids=" ".join,
)
def test_a_task_is_named_in_one_way(diffir, photo, tmp_path, words):
    outcome = diffir("degrade", photo, "-o", tmp_path / "a.png", *words)
    assert outcome.code == 2
    assert "either --task, or --codec and --quality" in outcome.err


def test_a_task_that_is_not_there(diffir, photo, tmp_path):
    outcome = diffir("degrade", photo, "-o", tmp_path / "a.png", "--task", "jepg-10")
    assert outcome.code == 1
    assert "no task called 'jepg-10'" in outcome.err
    assert "hint: Did you mean jpeg-10" in outcome.err
