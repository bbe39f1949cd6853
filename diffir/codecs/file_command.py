"""A command line that makes one file of another, as a function from bytes to bytes.

    bytes -> i.png -> PROGRAM {input} {output} ... -> o.png -> bytes

It is split into words once and run without a shell, in a private folder that is gone afterwards.
"""

from __future__ import annotations

import os
import re
import shlex
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from diffir.codecs.confined_process import Limits, run_confined
from diffir.errors import CodecError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

_PLACE = re.compile(r"\{(\w*)\}")


def split_command(command: str, *, places: Collection[str]) -> tuple[str, ...]:
    """The words of a command line, as a shell would see them; placeholders stay in them.

    Raises:
        CodecError: it is empty, a quote is not closed, or the placeholders are not those expected.
    """
    try:
        words = tuple(shlex.split(command))
    except ValueError as error:
        raise CodecError(
            f"`{command}` is not a command line: {error}", hint="Close its quotes."
        ) from error
    found = {name for word in words for name in _PLACE.findall(word)}
    if not words or found != set(places):
        wanted, got = (" ".join(f"{{{n}}}" for n in sorted(names)) for names in (places, found))
        example = "-q {quality} " if "quality" in places else ""
        raise CodecError(
            f"`{command}` must have the placeholders {wanted}, it has {got or 'none'}",
            hint=f"Write, for example: cwebp {example}{{input}} -o {{output}}",
        )
    return words


def with_absolute_files(words: Iterable[str]) -> tuple[str, ...]:
    """The same words, but files that they name by their absolute paths: commands run elsewhere."""
    return tuple(os.path.abspath(word) if os.path.isfile(word) else word for word in words)


def run_on_bytes(
    command: Sequence[str],
    data: bytes,
    *,
    suffixes: tuple[str, str],
    limits: Limits,
    who: str,
    places: Mapping[str, str] | None = None,
) -> bytes:
    """Write `data` into a file, run the command on it, and read what it wrote.

    Args:
        command: words of `split_command`.
        data: the input file.
        suffixes: of the input and of the output file, with the dot.
        limits: of seconds, and of bytes that the program may write.
        who: begins the error messages, such as "codec 'toy'".
        places: what stands for the placeholders beside `{input}` and `{output}`.

    Raises:
        CodecError: as `run_confined`, or it wrote nothing, or a link.
    """
    with tempfile.TemporaryDirectory(prefix="diffir-", ignore_cleanup_errors=True) as private:
        folder = Path(private)
        source, target = (folder / f"{n}{s}" for n, s in zip("io", suffixes, strict=True))
        source.write_bytes(data)
        filled = {"input": str(source), "output": str(target), **(places or {})}
        words = [_PLACE.sub(lambda m: filled[m[1]], word) for word in command]
        # The input lies in the folder too, and is not what the program wrote.
        allowed = Limits(limits.seconds, bytes=limits.bytes + len(data))
        run_confined(words, folder, limits=allowed, who=who)
        if target.is_symlink() or not target.is_file() or not target.stat().st_size:
            raise CodecError(
                f"{who}: `{shlex.join(words)}` ended well, but wrote nothing",
                hint="Does the command take {output} where it stands?",
            )
        return target.read_bytes()
