"""Tries a codec before it is written down: does it work, and what can it not do?"""

from __future__ import annotations

import importlib
import re
import sys
import tempfile
from contextlib import contextmanager
from dataclasses import replace
from itertools import islice, takewhile
from pathlib import Path
from typing import TYPE_CHECKING, cast

from diffir.errors import CodecError, DiffirError
from diffir.scaffold.new_codec import NewCodec, Wishes, plan_codec

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from diffir.contracts.codec import Codec
    from diffir.scaffold.ways import Way

MOST_MAGIC = 8
"""Bytes of a magic number: behind them formats keep sizes, which differ between pictures."""

LOSSLESS_STARTS = (b"\x89PNG", b"II*", b"MM\0*", b"BM", b"GIF8")
"""How files begin that any program may have written: no codec can claim them all."""

REASONS = {
    "codec_command.py": {
        "test_bits_per_pixel_are_right": "The files do not tell the size of their picture, unless "
        "they are decoded."
    }
}
"""Why codecs of a template fail a check, better than the check can tell it."""

_PRIVATE = re.compile(r"\S*/diffir-\w+/")
_SHOWN = 200


def settle(name: str, ways: Sequence[Way], wishes: Wishes) -> NewCodec:
    """Take the first way that works and obeys its quality; find out how its files begin.

    Raises:
        ComponentError: a name or a scale that no codec can have.
        CodecError: no way works; what the last one said.
    """
    failure: DiffirError | None = None
    for way in ways:
        planned = plan_codec(name, way, wishes)
        try:
            with loaded(planned) as codec:
                check_obeys(codec)
                magic = common_beginning(codec) if way.template == "codec_command.py" else b""
            return replace(planned, magic=magic)
        except DiffirError as error:
            failure = error
    raise cast("DiffirError", failure)


def with_waivers(planned: NewCodec) -> NewCodec:
    """Run the public suite, and waive what fails, each with the reason that the suite gave."""
    from diffir.testing import CodecSuite, run_suite

    with loaded(planned) as codec:
        results = run_suite(CodecSuite, codec)
    known = REASONS.get(planned.way.template, {})
    failed = [result for result in results if not result.passed]
    reasons = {r.name: known.get(r.name) or _reason(r.message) for r in failed}
    return replace(planned, waivers=reasons)


@contextmanager
def loaded(planned: NewCodec) -> Iterator[Codec]:
    """The codec itself, from a module that is there for the time of the block.

    Its folder is on the path, so that worker processes of the suite find the class.
    """
    with tempfile.TemporaryDirectory(prefix="diffir-") as folder:
        # Each in a folder of its own has a name of its own: modules are remembered by name.
        name = f"{planned.module}_{Path(folder).name.replace('-', '_')}"
        Path(folder, f"{name}.py").write_text(planned.source(), encoding="utf-8")
        sys.path.insert(0, folder)
        try:
            importlib.invalidate_caches()
            module = importlib.import_module(name)
            yield getattr(module, planned.class_name)()
        finally:
            sys.path.remove(folder)
            sys.modules.pop(name, None)


def check_obeys(codec: Codec) -> None:
    """Whether pictures come back in their size, and a better quality takes more bytes.

    Raises:
        CodecError: they do not, or the encoder or decoder failed.
    """
    from diffir.testing.sample_pictures import scene

    name, levels = codec.spec.name, codec.spec.levels
    pixels = scene(96, 128)
    files = [codec.encode(pixels, level) for level in (levels[0], levels[-1])]
    for data in files:
        shape = codec.decode(data).shape
        if shape != pixels.shape:
            raise CodecError(
                f"codec '{name}' made {shape[1]}x{shape[0]} pixels of a picture of 128x96",
                hint="The decoder must write the size that went in: no scaling, no padding.",
            )
    heavy, light = map(len, files)
    if heavy >= light:
        raise CodecError(
            f"codec '{name}' should write fewer bytes at quality {levels[0]:g} than at "
            f"{levels[-1]:g}, it wrote {heavy} and {light}",
            hint="The quality does not reach the encoder, or the format loses nothing: such a "
            "codec has nothing to restore."
            if heavy == light
            else "Where a larger number means smaller files, say so: --worst 51 --best 0.",
        )


def common_beginning(codec: Codec) -> bytes:
    """The bytes with which all its files begin; empty where they share fewer than two."""
    from diffir.testing.sample_pictures import scene

    sizes, levels = ((48, 64), (96, 128), (40, 304)), codec.spec.levels
    files = [codec.encode(scene(*size), level) for size in sizes for level in levels[::2]]
    same = takewhile(lambda column: len(set(column)) == 1, zip(*files, strict=False))
    shared = bytes(column[0] for column in islice(same, MOST_MAGIC)).rstrip(b"\0")
    # One that writes PNG is not told from all others that do.
    return shared if len(shared) >= 2 and not shared.startswith(LOSSLESS_STARTS) else b""


def _reason(message: str) -> str:
    """What a check said, in one line, without the names of folders that are gone."""
    said = _PRIVATE.sub("", message.partition("\n")[0]).strip()
    return said if len(said) <= _SHOWN else f"{said[:_SHOWN].rpartition(' ')[0]} ..."
