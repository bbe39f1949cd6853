"""The ways to a codec: two command lines, a format of Pillow, an encoder of FFmpeg, a skeleton.

A way is a template and what goes into it. Where it cannot be known how an encoder takes its
quality, there are several ways to try, the likeliest first.
"""

from __future__ import annotations

import json
import os
import re
import shlex
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from diffir.codecs.file_command import with_absolute_files
from diffir.contracts.codec import QualityScale
from diffir.errors import CodecError

if TYPE_CHECKING:
    from collections.abc import Mapping

LEVEL_SHARES = (0.1, 0.2, 0.3)
"""Where on the scale the benchmark's levels lie, counted from the worst end."""

_LINE = "\n        "  # to the next one of a method
_PLAIN_WORD = re.compile(r"[\w@%+=:,./{}-]+")  # needs no quotes; braces are our placeholders


@dataclass(frozen=True)
class Way:
    """One template of a codec module, filled.

    summary: what the codec is, in one line. scale, levels: of its quality, unless the user says
    otherwise. values: what goes into the template. programs: what must be on the PATH.
    """

    template: str
    summary: str
    scale: QualityScale
    levels: tuple[float, ...]
    values: Mapping[str, str] = field(default_factory=dict)
    programs: tuple[str, ...] = ()


def literal(text: str) -> str:
    """The text as a Python literal in double quotes."""
    return json.dumps(text, ensure_ascii=False)


def default_levels(scale: QualityScale) -> tuple[float, ...]:
    """Three levels near the worst end, whole where the scale is wide enough.

    >>> default_levels(QualityScale("quality", worst=1, best=100))
    (11.0, 21.0, 31.0)
    """
    width = scale.best - scale.worst
    digits = 0 if abs(width) >= 20 else 3
    return tuple(round(scale.worst + share * width, digits) for share in LEVEL_SHARES)


def from_commands(encode: str, decode: str, *, exchange: str = "png") -> list[Way]:
    """Two command lines; files that they name are made absolute, for they run elsewhere.

    Raises:
        CodecError: one is not a command line.
    """
    encode, decode = (_with_absolute_files(command) for command in (encode, decode))
    programs = tuple(dict.fromkeys(shlex.split(c)[0] for c in (encode, decode)))
    names = " and ".join(dict.fromkeys(_tool(command) for command in (encode, decode)))
    values = {
        "encode_literal": literal(encode),
        "decode_literal": literal(decode),
        "exchange_literal": literal(exchange),
        "exchange_upper": exchange.upper(),
    }
    scale = QualityScale("quality", worst=1, best=100)
    summary = f"The output of {names}"
    return [Way("codec_command.py", summary, scale, (10, 20, 30), values, programs)]


def from_pillow(image_format: str) -> list[Way]:
    """A format that Pillow writes: with its own quality, or by the number of colors.

    Args:
        image_format: Pillow's name of it, or a suffix: "GIF", "jpg".

    Raises:
        CodecError: Pillow does not write it, or does not read it again.
    """
    name = _pillow_name(image_format)
    summary = f"{name}, as Pillow writes it"
    by_quality = Way(
        "codec_pillow.py",
        summary,
        QualityScale("quality", worst=1, best=100),
        (10, 20, 30),
        {
            "format_literal": literal(name),
            "encode_imports": "",
            "encode_body": "return encode_pixels(pixels, FORMAT, quality=round(quality))",
        },
    )
    by_colors = Way(
        "codec_pillow.py",
        f"{summary}, of few colors",
        QualityScale("colors", worst=2, best=256),
        (8, 16, 64),
        {
            "format_literal": literal(name),
            "encode_imports": f"import numpy as np{_LINE}from PIL import Image\n{_LINE}",
            "encode_body": "few = Image.fromarray(pixels).quantize(round(quality))"
            f'.convert("RGB"){_LINE}return encode_pixels(np.asarray(few), FORMAT)',
        },
    )
    return [by_quality, by_colors]


def from_pyav(encoder: str) -> list[Way]:
    """An encoder of FFmpeg, through PyAV: by QP, by CRF, or by a fixed quantizer scale.

    Raises:
        CodecError: FFmpeg has no such encoder here.
    """
    import av

    try:
        written = av.Codec(encoder, "w").canonical_name
    except ValueError as error:  # av.codec.codec.UnknownCodecError
        raise CodecError(
            f"FFmpeg, as PyAV brings it, has no encoder '{encoder}'",
            hint="Give FFmpeg's name of an encoder: libx264, mpeg4, libsvtav1 ...",
        ) from error
    codec = {"h263p": "h263"}.get(written, written)  # the one encoder whose stream is another's
    decoder = {"av1": "libdav1d"}.get(codec, codec)  # FFmpeg's own AV1 decoder needs hardware
    names = {"encoder": encoder, "codec": codec, "decoder": decoder}
    fixed = {f"{kind}_literal": literal(name) for kind, name in names.items()}
    found = []
    for label, options, scale, levels in (
        ("QP", ("qp",), (51, 0), (47, 42, 37)),
        ("CRF", ("crf",), (51, 0), (47, 42, 37)),
        ("quantizer scale", ("qmin", "qmax"), (31, 1), (31, 20, 12)),
    ):
        shown = ", ".join(map(literal, options)) + ("," if len(options) == 1 else "")
        found.append(
            Way(
                "codec_pyav.py",
                f"{codec}, as FFmpeg's {encoder} writes it",
                QualityScale(label, worst=scale[0], best=scale[1]),
                levels,
                {**fixed, "options": f"({shown})"},
            )
        )
    return found


def skeleton() -> list[Way]:
    """A codec that works, with the places marked that its author fills."""
    scale = QualityScale("quality", worst=1, best=100)
    return [Way("codec_skeleton.py", "A codec of my own", scale, (10, 20, 30))]


def _pillow_name(image_format: str) -> str:
    from PIL import Image

    suffixes = Image.registered_extensions()  # loads all of Pillow's formats
    name = suffixes.get(f".{image_format.lower()}", image_format.upper())
    both = Image.SAVE.keys() & Image.OPEN.keys()
    if name not in both:
        raise CodecError(
            f"Pillow does not write and read the format '{image_format}'",
            hint=f"It has {', '.join(sorted(both))}.",
        )
    return name


def _tool(command: str) -> str:
    """What does the work: the script, where the first word is only what runs it."""
    program, *words = shlex.split(command)
    return Path(next((word for word in words if os.path.isfile(word)), program)).name


def _with_absolute_files(command: str) -> str:
    try:
        words = shlex.split(command)
    except ValueError as error:
        raise CodecError(
            f"`{command}` is not a command line: {error}", hint="Close its quotes."
        ) from error
    if not words:
        raise CodecError(
            "a command line was expected, got an empty one",
            hint="Write, for example: cwebp -q {quality} {input} -o {output}",
        )
    plain = _PLAIN_WORD.fullmatch
    return " ".join(w if plain(w) else shlex.quote(w) for w in with_absolute_files(words))
