from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from diffir.errors import DataError
from diffir.evaluate.standard_sets import STANDARD_SETS, find_set, is_standard

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("name", ["LIVE1", "live1", "Live-1", "bsds500", "Div2K", "kodak", "icb"])
def test_names_in_any_case(name: str) -> None:
    assert is_standard(name)


@pytest.mark.parametrize("name", ["live", "live1/", "photos", "kodak24"])
def test_other_names(name: str) -> None:
    assert is_standard(name) == (name == "live1/")


@pytest.mark.parametrize(
    ("name", "place"),
    [
        ("live1", "LIVE1"),
        ("Classic5", "classic_5"),
        ("bsds500", "BSR/BSDS500/data/images/test"),
        ("bsds500", "BSDS500/images/test"),
        ("div2k", "DIV2K_valid_HR"),
        ("div2k", "DIV2K/DIV2K_valid_HR"),
        ("icb", "ICB/rgb8bit"),
        ("kodak", "Kodak-Lossless"),
    ],
)
def test_places(name: str, place: str, tmp_path: Path) -> None:
    (tmp_path / place).mkdir(parents=True)
    found, folder = find_set(name, tmp_path)
    assert found.name.casefold() == name.casefold()
    assert folder == tmp_path / place


def test_live1_as_published_is_its_originals(tmp_path: Path) -> None:
    for place in ("refimgs", "jpeg", "jp2k"):
        (tmp_path / "LIVE1" / place).mkdir(parents=True)
    assert find_set("LIVE1", tmp_path)[1] == tmp_path / "LIVE1" / "refimgs"


def test_the_variable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "live1").mkdir()
    monkeypatch.setenv("DIFFIR_DATA", str(tmp_path))
    assert find_set("LIVE1")[1] == tmp_path / "live1"


class TestRefusals:
    def test_no_folder_of_sets(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv("DIFFIR_DATA", raising=False)
        with pytest.raises(DataError, match="'live1' is neither a folder nor is it said") as raised:
            find_set("live1")
        assert "--sets FOLDER, or DIFFIR_DATA=FOLDER" in str(raised.value.hint)

    def test_a_folder_that_is_not_there(self, tmp_path: Path) -> None:
        with pytest.raises(DataError, match=r"the folder of sets .*absent is not there"):
            find_set("live1", tmp_path / "absent")

    def test_another_set_is_there(self, tmp_path: Path) -> None:
        (tmp_path / "Kodak").mkdir()
        (tmp_path / "live1").touch()
        with pytest.raises(DataError, match=r"LIVE1 is not in .*, looked for live1/") as raised:
            find_set("live1", tmp_path)
        assert raised.value.hint == "There: Kodak. diffir downloads none."


def test_counts() -> None:
    counts = {one.name: one for one in STANDARD_SETS}
    assert counts["LIVE1"].doubts(29) is None
    assert str(counts["LIVE1"].doubts(30)).startswith("LIVE1 has 29 pictures, found 30: ")
    assert str(counts["ICB"].doubts(5)).startswith("ICB has 14 or 15 pictures, found 5: ")
