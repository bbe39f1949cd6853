"""Where results go: one file, or a folder that mirrors the tree of the inputs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from diffir.cli.inputs import Item
from diffir.errors import OutputError


@dataclass(frozen=True)
class Job:
    """One input and the file that its result goes to."""

    item: Item
    target: Path

    def __str__(self) -> str:
        return str(self.item)


def plan(items: Sequence[Item], output: Path, *, suffix: str) -> tuple[Job, ...]:
    """Give each input its own output file, before any work begins.

    Args:
        items: the inputs.
        output: a file, where there is one input and the name has a suffix; else a folder.
        suffix: of the files in an output folder, with the dot.

    Raises:
        OutputError: two inputs would share one output file, or a result would replace its input.
    """
    if len(items) == 1 and output.suffix and not output.is_dir():
        targets = [output]
    else:
        targets = [output / item.relative.with_suffix(suffix) for item in items]
    jobs: dict[Path, Job] = {}
    for item, target in zip(items, targets, strict=True):
        resolved = target.resolve()
        if resolved == item.path.resolve():
            raise OutputError(
                f"the result would replace its input {item.path}",
                hint="Give another output name or folder.",
            )
        if resolved in jobs:
            raise OutputError(
                f"{jobs[resolved].item.path} and {item.path} would both be written to {target}",
                hint="Run the command once for each of them, with different output folders.",
            )
        jobs[resolved] = Job(item, target)
    return tuple(jobs.values())
