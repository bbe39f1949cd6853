"""Imports point down, and nobody reaches past the plugin door."""

from __future__ import annotations

import pytest
import sources

FLOORS = {
    "errors": 0,
    "contracts": 1,
    "host": 1,
    "recipes": 1,
    "codecs": 2,
    "diffusion": 2,
    "perceptual": 2,
    "testing": 2,
    "weights": 2,
    "pictures": 3,
    "degradations": 3,
    "moe": 3,
    "restore": 3,
    "train": 4,
    "evaluate": 4,
    "scaffold": 4,
    "ablation": 4,
    "convert": 4,
    "cli": 5,
}
NEIGHBORS = {
    ("host", "contracts"),
    ("recipes", "host"),
    ("restore", "pictures"),  # prompt packs are written as pictures are: whole or not at all
    ("scaffold", "evaluate"),
    ("scaffold", "train"),
    ("ablation", "evaluate"),
    ("train", "evaluate"),  # one judgement's interval is made as another's
    ("ablation", "train"),
}
"""The rooms of one floor that may know each other, in this direction."""

BEHIND_THE_DOOR = ("codecs", "moe", "degradations")
"""Reached by name, through the host, as any plugin is."""

OPEN = {
    "diffir.degradations.tasks",
    "diffir.degradations.diet",
    "diffir.codecs.confined_process",
    "diffir.codecs.file_command",
}
"""The exceptions: modules that themselves answer by name, and how programs are run: no codec."""


def crossings() -> list[tuple[str, str, str, str]]:
    """Every import from one room into another: (room, other room, place, imported name)."""
    found = []
    for path in sources.modules():
        room = sources.room(path)
        for imported in sources.imports(path):
            package, _, rest = imported.name.partition(".")
            other = rest.partition(".")[0]
            if room and package == "diffir" and other in FLOORS and other != room:
                place = f"{path.relative_to(sources.ROOT)}:{imported.line}"
                found.append((room, other, place, imported.name))
    return found


def test_every_room_has_a_floor():
    rooms = {sources.room(path) for path in sources.modules()} - {""}
    assert rooms == set(FLOORS)


def test_imports_point_down():
    wrong = [
        f"{place} imports {name}"
        for room, other, place, name in crossings()
        if FLOORS[other] >= FLOORS[room] and (room, other) not in NEIGHBORS
    ]
    assert not wrong, "\n".join(wrong)


def test_listed_neighbors_are_on_one_floor():
    assert all(FLOORS[one] == FLOORS[other] for one, other in NEIGHBORS)


@pytest.mark.parametrize("closed", BEHIND_THE_DOOR)
def test_built_ins_are_reached_by_name(closed):
    wrong = [
        f"{place} imports {name}: ask the host for it by name"
        for _, other, place, name in crossings()
        if other == closed and not any(name == door or name.startswith(f"{door}.") for door in OPEN)
    ]
    assert not wrong, "\n".join(wrong)


def test_no_relative_imports_and_no_stars():
    wrong = [
        f"{path.relative_to(sources.ROOT)}:{imported.line}"
        for path in sources.modules()
        for imported in sources.imports(path)
        if imported.name.startswith("None.") or imported.name.endswith(".*")
    ]
    assert not wrong, "\n".join(wrong)
