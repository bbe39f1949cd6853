"""Each example runs, and the plugin keeps the contract of a codec."""

from __future__ import annotations

import runpy

import numpy as np
import pages
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import diffir
from diffir.contracts.picture import Picture
from diffir.degradations.tasks import find_task
from diffir.errors import CodecError
from diffir.host.manager import build_host
from diffir.testing import run_suite, suite_for

EXAMPLES = pages.ROOT / "examples"
PHOTO = EXAMPLES / "photo.jpg"


def main_of(name: str):
    return runpy.run_path(str(EXAMPLES / name))["main"]


def test_the_photo_is_as_its_readme_says():
    photo = diffir.read(PHOTO)
    assert (photo.codec.name, photo.codec.quality) == ("jpeg", 10)
    assert (photo.width, photo.height) == (512, 384)
    assert photo.codec.sources["quality"] == "bitstream"


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.py")), ids=lambda path: path.name)
def test_each_is_short_and_stands_in_the_table(path):
    assert len(path.read_text(encoding="utf-8").splitlines()) < 60
    assert f"`{path.name}`" in pages.text_of("examples/README.md")


class TestInspectFolder:
    def test_it_lists_what_codecs_recognize(self, capsys):
        main_of("inspect_folder.py")(str(EXAMPLES))
        assert capsys.readouterr().out.startswith("photo.jpg: jpeg, quality 10 (bitstream), 4:2:0")

    def test_a_damaged_file_is_told_and_passed_over(self, tmp_path, capsys):
        (tmp_path / "cut.jpg").write_bytes(PHOTO.read_bytes()[:20])
        main_of("inspect_folder.py")(str(tmp_path))
        printed = capsys.readouterr()
        assert printed.out == ""
        assert printed.err.startswith("cut.jpg: ")


def test_restore_picture(tmp_path, capsys):
    main_of("restore_picture.py")(str(PHOTO), str(tmp_path))
    written = {path.stem: diffir.read(path).pixels for path in tmp_path.glob("*.png")}
    assert sorted(written) == ["default", "faithful", "rich"]
    assert {pixels.shape for pixels in written.values()} == {(384, 512, 3)}
    assert "jpeg, quality 10, 512x384" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        ("degradation", "thumbnail"),
        ("router", "one-prompt"),
        ("conditioner", "mean-colors"),
        ("decoder", "blurred-correction"),
    ],
)
def test_own_parts_pass_the_suite_of_their_kind(kind, name, monkeypatch):
    path = EXAMPLES / f"own_{kind}_plugin.py"
    monkeypatch.setenv("DIFFIR_PLUGIN_FILES", str(path))  # for the suite's worker processes
    part = build_host().create(kind, name)
    failed = [result for result in run_suite(suite_for(kind), part) if not result.passed]
    assert not failed


def test_squeeze(tmp_path):
    squeeze = main_of("squeeze.py")
    squeeze("encode", str(PHOTO), str(tmp_path / "photo.sqz"), "100")
    squeeze("decode", str(tmp_path / "photo.sqz"), str(tmp_path / "photo.png"))
    error = diffir.read(tmp_path / "photo.png").pixels.astype(int) - diffir.read(PHOTO).pixels
    assert np.abs(error).max() <= 3


@pytest.fixture(scope="module")
def host():
    return build_host(plugin_files=[EXAMPLES / "own_codec_plugin.py"])


@pytest.fixture(scope="module")
def gif(host):
    return host.codec("gif")


class TestOwnCodec:
    @settings(max_examples=8, deadline=None)
    @given(
        height=st.integers(1, 40),
        width=st.integers(1, 40),
        colors=st.integers(2, 256),
        seed=st.integers(0, 99),
    )
    def test_any_size_comes_back(self, gif, height, width, colors, seed):
        pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)
        data = gif.encode(pixels, colors)
        assert data == gif.encode(pixels, colors)
        assert gif.recognizes(data)
        assert gif.decode(data).shape == pixels.shape
        assert gif.read_info(data).bits_per_pixel == len(data) * 8 / (height * width)

    def test_its_levels_are_tasks(self, host):
        photo = Picture(diffir.read(PHOTO).pixels)
        worse = find_task(host, "gif-16").degrade(photo, np.random.default_rng(0))
        assert (worse.codec.name, worse.codec.quality) == ("gif", 16)
        assert len(np.unique(worse.pixels.reshape(-1, 3), axis=0)) <= 16

    @pytest.mark.parametrize("quality", [1, 257])
    def test_colors_off_the_scale(self, gif, quality):
        with pytest.raises(CodecError, match=f"2 to 256 colors in 4:4:4, got {quality}"):
            gif.encode(np.zeros((4, 4, 3), np.uint8), quality)

    def test_bytes_that_are_not_its_own(self, gif):
        data = PHOTO.read_bytes()
        assert not gif.recognizes(data)
        with pytest.raises(CodecError, match="a GIF header was expected"):
            gif.read_info(data)
        with pytest.raises(CodecError, match="a GIF picture was expected"):
            gif.decode(b"GIF89a")
