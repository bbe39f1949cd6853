"""Remembers the sha256 of every fetched file: trusted on first use, held to it ever after."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

from diffir.errors import CheckpointError
from diffir.weights.tensor_file import sha256_of

if TYPE_CHECKING:
    from pathlib import Path


def verify(path: Path, *, name: str, ledger: Path, pinned: str | None = None) -> str:
    """The sha256 of a file, after it was held against what is known of it.

    Args:
        path: the file.
        name: what the ledger calls it, `owner/name/file`.
        ledger: a JSON file; made on first use.
        pinned: the sha256 that a recipe demands.

    Raises:
        CheckpointError: it differs from the pinned one, or from the one of the first use.
    """
    found = hold(path, name=name, pinned=pinned)
    known = _known(ledger)
    if not pinned and found != known.get(name, found):
        raise CheckpointError(
            f"{name}: the sha256 is {found}, when it was first used it was {known[name]}",
            hint=f"Delete {path} and fetch it again; if the publisher has replaced the file and "
            f"you trust the new one, delete its line in {ledger}.",
        )
    if name not in known:
        _write(ledger, known | {name: found})
    return found


def hold(path: Path, *, name: str, pinned: str | None) -> str:
    """The sha256 of a file, which must be the pinned one where there is one.

    Raises:
        CheckpointError: it differs.
    """
    found = sha256_of(path)
    if pinned and found != pinned.lower():
        raise CheckpointError(
            f"{name}: the sha256 is {found}, the recipe wants {pinned}",
            hint=f"{path} is damaged or another file: get the one that the recipe was made for.",
        )
    return found


def _known(ledger: Path) -> dict[str, str]:
    try:
        known: dict[str, str] = json.loads(ledger.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise CheckpointError(
            f"the list of checksums {ledger} cannot be read: {error}",
            hint="Delete it: files are then trusted anew when they are next used.",
        ) from error
    return known


def _write(ledger: Path, known: dict[str, str]) -> None:
    ledger.parent.mkdir(parents=True, exist_ok=True)
    part = ledger.with_suffix(f".{os.getpid()}.part")
    part.write_text(json.dumps(known, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    os.replace(part, ledger)
