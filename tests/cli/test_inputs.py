from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from diffir.cli.inputs import PICTURE_SUFFIXES, Item, expand, expand_each, suffixes_of
from diffir.errors import PictureError
from diffir.host.manager import default_host


@pytest.fixture
def tree(tmp_path):
    for name in ("b.jpg", "a.PNG", "sub/deep/c.webp", "notes.txt", ".hidden.jpg", ".cache/d.jpg"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")
    return tmp_path


def relatives(items: tuple[Item, ...]) -> list[str]:
    return [item.relative.as_posix() for item in items]


def test_a_folder_is_searched_sorted_without_hidden_files(tree):
    items = expand([str(tree)])
    assert relatives(items) == ["a.PNG", "b.jpg", "sub/deep/c.webp"]
    assert all(item.path == tree / item.relative for item in items)


def test_a_named_file_is_taken_whatever_its_suffix(tree):
    assert relatives(expand([str(tree / "notes.txt")])) == ["notes.txt"]


def test_inputs_stay_in_order_and_files_come_once(tree):
    items = expand([str(tree / "b.jpg"), str(tree), str(tree / "sub" / ".." / "a.PNG")])
    assert relatives(items) == ["b.jpg", "a.PNG", "sub/deep/c.webp"]


def test_a_pattern_is_relative_to_its_fixed_part(tree):
    items = expand([str(tree / "sub" / "**" / "*.webp")])
    assert relatives(items) == ["deep/c.webp"]


def test_a_pattern_takes_pictures_only(tree):
    assert relatives(expand([str(tree / "*")])) == ["a.PNG", "b.jpg"]


def test_a_pattern_in_the_current_folder(tree, monkeypatch):
    monkeypatch.chdir(tree)
    assert expand(["*.jpg"]) == (Item(Path("b.jpg"), Path("b.jpg")),)


def test_a_name_with_brackets_is_a_name_first(tmp_path):
    (tmp_path / "shot[1].png").write_bytes(b"x")
    assert relatives(expand([str(tmp_path / "shot[1].png")])) == ["shot[1].png"]


@pytest.mark.skipif(os.name == "nt", reason="links need a privilege there")
def test_links_in_a_circle_end(tree):
    (tree / "sub" / "again").symlink_to(tree)
    assert "b.jpg" in relatives(expand([str(tree)]))


def test_other_suffixes(tree):
    assert relatives(expand([str(tree)], suffixes={".txt"})) == ["notes.txt"]


def test_suffixes_of_codecs_count():
    known = suffixes_of(default_host())
    assert known >= PICTURE_SUFFIXES
    assert set(default_host().codec("hevc").spec.read_suffixes) <= known


def test_nothing_there(tmp_path):
    with pytest.raises(PictureError, match=r"there is no file or folder .*lost\.jpg"):
        expand([str(tmp_path / "lost.jpg")])


@pytest.mark.parametrize("name", ["", "*.jpg"])
def test_nothing_found(tmp_path, name):
    with pytest.raises(PictureError, match="no picture in") as caught:
        expand([str(tmp_path / name)])
    assert ".png" in caught.value.hint


def test_a_pattern_of_folders_tells_how_to_name_what_is_in_them(tmp_path):
    (tmp_path / "shots-1").mkdir()
    with pytest.raises(PictureError, match="no picture in") as caught:
        expand([str(tmp_path / "shots-*")])
    assert "It matches folders alone" in caught.value.hint
    assert "shots-*/*'" in caught.value.hint


class TestUnreadable:
    def test_a_folder_without_permission_is_named(self, tmp_path):
        locked = tmp_path / "locked"
        locked.mkdir()
        (locked / "a.png").write_bytes(b"")
        locked.chmod(0)
        code = (
            "import os, sys\n"
            "from diffir.cli.inputs import expand\n"
            "from diffir.errors import PictureError\n"
            "if os.getuid() == 0:\n"
            "    os.setuid(65534)\n"  # root may read everything
            "try:\n"
            f"    expand([{str(locked)!r}])\n"
            "except PictureError as error:\n"
            "    sys.exit(str(error))\n"
        )
        tmp_path.chmod(0o755)
        for parent in tmp_path.parents[:2]:
            parent.chmod(0o755)
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
        assert "cannot be read: permission denied" in done.stderr
        locked.chmod(0o755)

    def test_the_others_are_still_found(self, tmp_path):
        (tmp_path / "a.png").write_bytes(b"")
        items, errors = expand_each([str(tmp_path / "gone.png"), str(tmp_path)])
        assert [item.path.name for item in items] == ["a.png"]
        (name,) = errors
        assert name == str(tmp_path / "gone.png")
        assert "there is no file or folder" in str(errors[name])

    def test_a_name_that_no_file_can_have(self, tmp_path):
        (tmp_path / "a.png").write_bytes(b"")
        items, errors = expand_each(["x" * 300, str(tmp_path)])
        assert [item.path.name for item in items] == ["a.png"]
        assert "cannot be looked at" in str(errors["x" * 300])
