"""Where results go: one file, or a folder that mirrors the tree of the inputs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from diffir.cli.inputs import PICTURE_SUFFIXES, Item, is_result
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

    Where the output folder lies in a folder that was named, what is in it are earlier results, and
    they are left out.

    Args:
        items: the inputs.
        output: a file, where there is one input and the name has a suffix; else a folder.
        suffix: of the files in an output folder; the dot may be left out.

    Raises:
        OutputError: two inputs would share one output file, a result would replace an input, the
            suffix is none, or several inputs would go into a folder that is named like a picture;
            or the output cannot be looked at.
    """
    try:
        return _plan(items, output, suffix=suffix)
    except OSError as error:
        raise OutputError(
            f"{output} cannot be looked at: {error.strerror}", hint="Write elsewhere."
        ) from error


def _plan(items: Sequence[Item], output: Path, *, suffix: str) -> tuple[Job, ...]:
    found, items = items, [item for item in items if not is_result(item, output)]
    if found and not items:
        raise OutputError(
            f"all that was found lies in the output folder {output}",
            hint="Name other pictures, or another output folder.",
        )
    if len(items) > 1 and output.suffix.lower() in PICTURE_SUFFIXES and not output.is_dir():
        raise OutputError(
            f"{output} is the name of one picture, and there are {len(items)} to write",
            hint="Name a folder; it is made where it is missing.",
        )
    if len(items) == 1 and output.suffix and not output.is_dir():
        targets = [output]
    else:
        ending = _dotted(suffix)
        targets = [output / item.relative.with_suffix(ending) for item in items]
    sources = {item.path.resolve(): item.path for item in items}
    jobs: dict[Path, Job] = {}
    for item, target in zip(items, targets, strict=True):
        resolved = target.resolve()
        if resolved in sources:
            own = resolved == item.path.resolve()
            raise OutputError(
                f"the result {'' if own else f'of {item.path} '}would replace "
                f"{'its' if own else 'the'} input {sources[resolved]}",
                hint="Give another output name or folder.",
            )
        if resolved in jobs:
            raise OutputError(
                f"{jobs[resolved].item.path} and {item.path} would both be written to {target}",
                hint=_apart(jobs[resolved].item, item),
            )
        jobs[resolved] = Job(item, target)
    return tuple(jobs.values())


def _dotted(suffix: str) -> str:
    dotted = suffix if suffix.startswith(".") else f".{suffix}"
    if dotted == "." or not dotted[1:].isalnum():
        raise OutputError(f"'{suffix}' cannot be a suffix", hint="Give one such as .png.")
    return dotted


def _apart(one: Item, other: Item) -> str:
    if one.path.parent == other.path.parent:
        return "Rename one of them, or run the command once for each, with other output folders."
    return (
        "Name the folder above both, for its tree is mirrored; or run the command once for each, "
        "with other output folders."
    )
