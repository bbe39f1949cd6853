"""Which files of a folder are meant when the folder is named."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path


def files_below(folder: Path, suffixes: Collection[str]) -> list[Path]:
    """Files with one of the suffixes, such as ".png", in either case; sorted.

    It is searched recursively. What is hidden, a file or a folder, is left alone.
    """
    return sorted(
        path
        for path in folder.rglob("*")
        if path.suffix.lower() in suffixes
        and not any(part.startswith(".") for part in path.relative_to(folder).parts)
        and path.is_file()
    )
