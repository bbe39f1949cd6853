"""The transfer protocol: cells by codec, number of pictures, seed and way; each runs once.

Records are files of one folder. A run that was killed goes on with the cells that are missing, and
the cell that it was in goes on from its last judgement. Another test folder, model or budget makes
other cells: a record that was made otherwise is an error, not a row.
"""

from __future__ import annotations

import itertools
import json
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from diffir.errors import DataError
from diffir.train.clean_pictures import check_apart, find_pictures
from diffir.train.transfer_cell import FORMAT, WAYS, Cell

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from diffir.train.transfer_cell import Way

COUNTS = (1, 4, 16, 64)
"""Of pictures to learn from, where nobody says it."""


def plan_cells(
    template: Cell,
    codecs: Sequence[str],
    counts: Sequence[int] | None,
    seeds: int,
    ways: Sequence[Way] = WAYS,
) -> list[Cell]:
    """All cells, those of one seed before those of the next, so that what is there is of use.

    Args:
        template: gives everything else.
        codecs: registered names.
        counts: of pictures to learn from; None is those of `COUNTS` that the folder has.
        seeds: how many, from 0 on.
        ways: which of the three to run.

    Raises:
        DataError: the folder has less pictures than that, or one that is judged by.
    """
    learned = find_pictures(Path(template.data))
    check_apart(find_pictures(Path(template.test)), learned)
    there = len(learned)
    counts = counts or [count for count in COUNTS if count <= there]
    if max(counts) > there:
        raise DataError(
            f"{template.data} has {there} pictures, and cells with {max(counts)} were asked for",
            hint="Ask for no more than there are, or give a folder with more.",
        )
    shared = asdict(template)
    each = itertools.product(range(seeds), codecs, counts, ways)
    return [
        Cell(**{**shared, "codec": codec, "pictures": count, "seed": seed, "way": way})
        for seed, codec, count, way in dict.fromkeys(each)  # what is named twice counts once
    ]


def run_cells(cells: Sequence[Cell], folder: Path) -> Iterator[tuple[Cell, dict[str, Any] | None]]:
    """Run what is missing, each cell in a process of its own; yields each with its record.

    A cell that fails has `None`, what it said goes to the standard error stream, and the others
    go on.

    Raises:
        DataError: a record in the folder was made otherwise, or of other weights.
    """
    base = None
    folder.mkdir(parents=True, exist_ok=True)
    for cell in cells:
        path = folder / f"{cell.name}.json"
        if not path.is_file():
            words = [json.dumps(asdict(cell)), str(path)]
            subprocess.run(
                [sys.executable, "-m", "diffir.train.transfer_cell", *words], check=False
            )
        record = _read(path, cell) if path.is_file() else None
        if record is not None:
            base = base or record["base_hash"]
            if record["base_hash"] != base:
                raise DataError(
                    f"{path} is of other weights than the records before it",
                    hint="Use another folder, or delete what is of earlier weights.",
                )
        yield cell, record


def _read(path: Path, cell: Cell) -> dict[str, Any]:
    try:
        record: dict[str, Any] = json.loads(path.read_text())
        made, _ = record["cell"], record["base_hash"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"{path} is not a record: {error}", hint="Delete it.") from error
    differing = sorted(key for key, value in asdict(cell).items() if made.get(key) != value)
    if record.get("format") != FORMAT:
        differing.append("version of diffir")
    if differing:
        raise DataError(
            f"{path} was made with another {', '.join(differing)}",
            hint="Use another folder, or delete the record.",
        )
    return record
