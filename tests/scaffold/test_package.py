from __future__ import annotations

import tomllib

import pytest

from diffir.errors import OutputError
from diffir.scaffold.new_codec import Wishes, plan_codec
from diffir.scaffold.package import package_folder, plugin_file, write_package, write_plugin_file
from diffir.scaffold.ways import from_commands, skeleton

MINE = plan_codec("my-codec", skeleton()[0], Wishes())
(COMMANDS,) = from_commands("enc {input} {output} -q {quality}", "dec {input} {output}")
PROGRAMS = plan_codec("mine", COMMANDS, Wishes())


def test_everything_that_a_package_needs(tmp_path):
    folder = package_folder(MINE, tmp_path / "plugins")
    written = write_package(MINE, folder, portrait="## Look\n", pictures={"a.png": b"png"})
    assert {str(path.relative_to(folder)) for path in written} == {
        ".github/workflows/tests.yml",
        ".gitignore",
        "LICENSE",
        "README.md",
        "diffir_my_codec/__init__.py",
        "diffir_my_codec/codec.py",
        "diffir_my_codec/plugin.py",
        "pictures/a.png",
        "pyproject.toml",
        "tests/test_my_codec.py",
    }
    assert all(path.is_file() for path in written)
    assert (folder / "pictures/a.png").read_bytes() == b"png"
    assert [path.name for path in folder.parent.iterdir()] == ["diffir-my-codec"]
    project = tomllib.loads((folder / "pyproject.toml").read_text())["project"]
    assert project["entry-points"]["diffir.plugins"] == {"my-codec": "diffir_my_codec.plugin"}
    readme = (folder / "README.md").read_text()
    assert "--task my-codec-10" in readme
    assert "## Look" in readme
    assert "marked YOURS" in readme


def test_tests_of_programs_are_skipped_where_the_programs_are_not(tmp_path):
    write_package(PROGRAMS, tmp_path / "p", pictures={})
    text = (tmp_path / "p/tests/test_mine.py").read_text()
    assert 'MISSING = [p for p in ("enc", "dec") if shutil.which(p) is None]' in text
    assert "Not measured yet" in (tmp_path / "p/README.md").read_text()


def test_nothing_is_replaced(tmp_path):
    (tmp_path / "diffir-my-codec").mkdir()
    with pytest.raises(OutputError, match="diffir-my-codec exists already") as caught:
        package_folder(MINE, tmp_path)
    assert "Remove it" in caught.value.hint
    (tmp_path / "my_codec.py").touch()
    with pytest.raises(OutputError, match=r"my_codec\.py exists already"):
        plugin_file(MINE, tmp_path)


def test_folders_that_cannot_be_written(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="cannot be written"):
        write_package(MINE, tmp_path / "file" / "p", pictures={})
    with pytest.raises(OutputError, match="cannot be written"):
        write_plugin_file(MINE, tmp_path / "file" / "p.py")
