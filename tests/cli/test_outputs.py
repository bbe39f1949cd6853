from __future__ import annotations

from pathlib import Path

import pytest

from diffir.cli.inputs import Item
from diffir.cli.outputs import plan
from diffir.errors import OutputError


def item(path: str, relative: str | None = None) -> Item:
    return Item(Path(path), Path(relative or Path(path).name))


def test_one_input_and_a_file_name(tmp_path):
    (job,) = plan([item("in/a.jpg")], tmp_path / "b.png", suffix=".png")
    assert job.target == tmp_path / "b.png"
    assert str(job) == str(Path("in/a.jpg"))


def test_one_input_and_a_folder(tmp_path):
    (job,) = plan([item("in/a.jpg")], tmp_path, suffix=".png")
    assert job.target == tmp_path / "a.png"


def test_a_folder_whose_name_has_a_dot(tmp_path):
    (tmp_path / "v1.0").mkdir()
    (job,) = plan([item("in/a.jpg")], tmp_path / "v1.0", suffix=".png")
    assert job.target == tmp_path / "v1.0" / "a.png"


def test_several_inputs_need_a_folder(tmp_path):
    several = [item("in/a.jpg"), item("in/b.jpg")]
    with pytest.raises(OutputError, match=r"c\.png is the name of one picture, and there are 2"):
        plan(several, tmp_path / "c.png", suffix=".png")
    (tmp_path / "c.png").mkdir()
    assert len(plan(several, tmp_path / "c.png", suffix=".png")) == 2


def test_the_tree_is_mirrored(tmp_path):
    jobs = plan([item("in/a.jpg"), item("in/s/b.webp", "s/b.webp")], tmp_path, suffix=".png")
    assert [job.target.relative_to(tmp_path).as_posix() for job in jobs] == ["a.png", "s/b.png"]


def test_two_inputs_never_share_an_output(tmp_path):
    with pytest.raises(OutputError, match=r"a\.jpg and .*a\.webp would both be written to") as e:
        plan([item("in/a.jpg"), item("in/a.webp")], tmp_path, suffix=".png")
    assert "Rename one of them" in e.value.hint
    with pytest.raises(OutputError, match="would both be written to") as e:
        plan([item("one/a.jpg"), item("two/a.jpg")], tmp_path, suffix=".png")
    assert "Name the folder above both" in e.value.hint


def test_a_suffix_may_come_without_its_dot(tmp_path):
    (job,) = plan([item("in/a.jpg")], tmp_path, suffix="webp")
    assert job.target == tmp_path / "a.webp"


@pytest.mark.parametrize("suffix", ["", ".", "a/b", ".tar.gz"])
def test_what_is_no_suffix_is_refused(tmp_path, suffix):
    with pytest.raises(OutputError, match="cannot be a suffix"):
        plan([item("in/a.jpg")], tmp_path, suffix=suffix)


def test_a_result_never_replaces_its_input(tmp_path):
    source = tmp_path / "a.png"
    source.touch()
    with pytest.raises(OutputError, match=r"would replace its input .*a\.png"):
        plan([Item(source, Path("a.png"))], tmp_path, suffix=".png")


def test_a_result_never_replaces_the_input_of_another(tmp_path):
    """One that lies where the results go, and was named, is no earlier result but an original."""
    for place in ("a.jpg", "out/a.png"):
        (tmp_path / place).parent.mkdir(exist_ok=True)
        (tmp_path / place).touch()
    items = [Item(tmp_path / "a.jpg", Path("a.jpg")), Item(tmp_path / "out/a.png", Path("a.png"))]
    with pytest.raises(OutputError, match=r"result of .*a\.jpg would replace the input .*a\.png"):
        plan(items, tmp_path / "out", suffix=".png")


def test_earlier_results_below_a_folder_are_left_out(tmp_path):
    items = [Item(tmp_path / name, Path(name)) for name in ("a.jpg", "out/a.png", "out/s/b.png")]
    (job,) = plan(items, tmp_path / "out", suffix=".png")
    assert (job.item, job.target) == (items[0], tmp_path / "out" / "a.png")
    with pytest.raises(OutputError, match="all that was found lies in the output folder"):
        plan(items[1:], tmp_path / "out", suffix=".png")


def test_an_output_that_cannot_be_looked_at(tmp_path):
    with pytest.raises(OutputError, match="cannot be looked at: File name too long"):
        plan([item("in/a.jpg")], tmp_path / f"{'x' * 300}.png", suffix=".png")
