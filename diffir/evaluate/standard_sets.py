"""The standard test sets, found by name in a folder that the user has; nothing is downloaded.

    diffir bench live1      with $DIFFIR_DATA or --sets naming the folder that holds live1/

A set is looked for below that folder under the names in which it is passed around, whatever their
letters' case, hyphens and underscores.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from diffir.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Iterable

VARIABLE = "DIFFIR_DATA"


@dataclass(frozen=True)
class StandardSet:
    """One published set of clean pictures.

    folders: where its pictures lie, as paths of names, the first that is there counts.
    counts: how many pictures the set has, in each edition that is about.
    """

    name: str
    folders: tuple[str, ...]
    counts: tuple[int, ...]

    def find(self, root: Path) -> Path | None:
        """Its folder below `root`."""
        found = (_descend(root, folder.split("/")) for folder in self.folders)
        return next((path for path in found if path is not None), None)

    def doubts(self, pictures: int) -> str | None:
        """What to warn of, where that many pictures are not the set."""
        if pictures in self.counts:
            return None
        expected = " or ".join(map(str, self.counts))
        return (
            f"{self.name} has {expected} pictures, found {pictures}: "
            "figures are not those of the whole set"
        )


STANDARD_SETS = (
    StandardSet("LIVE1", ("live1/refimgs", "live/refimgs", "live1"), (29,)),
    StandardSet("Classic5", ("classic5",), (5,)),
    StandardSet(
        "BSDS500",
        (
            "bsr/bsds500/data/images/test",
            "bsds500/data/images/test",
            "bsds500/images/test",
            "bsds500/test",
            "bsds500test",
            "bsds500",
        ),
        (200,),
    ),
    StandardSet("DIV2K", ("div2k/div2kvalidhr", "div2kvalidhr", "div2kval", "div2k"), (100,)),
    # The gray edition has one picture more than that in color.
    StandardSet("ICB", ("icb/rgb8bit", "icb/gray8bit", "icb", "rgb8bit"), (14, 15)),
    StandardSet("Kodak", ("kodak", "kodak24", "kodaklossless", "kodakphotocd"), (24,)),
)


def is_standard(name: str) -> bool:
    """Whether that is the name of a standard set."""
    return any(_plain(one.name) == _plain(name) for one in STANDARD_SETS)


def find_set(name: str, root: Path | None = None) -> tuple[StandardSet, Path]:
    """A set and its folder.

    Args:
        name: of `STANDARD_SETS`.
        root: the folder to look in; `None` takes the one that $DIFFIR_DATA names.

    Raises:
        DataError: no folder is named, it is not there, or the set is not in it.
    """
    wanted = next(one for one in STANDARD_SETS if _plain(one.name) == _plain(name))
    if root is None:
        if not os.environ.get(VARIABLE):
            raise DataError(
                f"'{name}' is neither a folder nor is it said where {wanted.name} lies",
                hint=f"Name the folder that holds your sets: --sets FOLDER, or {VARIABLE}=FOLDER.",
            )
        root = Path(os.environ[VARIABLE])
    if not root.is_dir():
        raise DataError(
            f"the folder of sets {root} is not there",
            hint=f"Correct --sets, or the variable {VARIABLE}.",
        )
    folder = wanted.find(root)
    if folder is None:
        there = [one.name for one in STANDARD_SETS if one.find(root)]
        raise DataError(
            f"{wanted.name} is not in {root}, looked for {_listed(wanted.folders)}",
            hint=f"There: {', '.join(there) or 'no set'}. diffir downloads none.",
        )
    return wanted, folder


def _descend(folder: Path, names: list[str]) -> Path | None:
    for name in names:
        inside = (path for path in sorted(folder.iterdir()) if _plain(path.name) == name)
        below = next((path for path in inside if path.is_dir()), None)
        if below is None:
            return None
        folder = below
    return folder


def _plain(name: str) -> str:
    return "".join(letter for letter in name.casefold() if letter.isalnum())


def _listed(names: Iterable[str]) -> str:
    return ", ".join(f"{name}/" for name in names)
