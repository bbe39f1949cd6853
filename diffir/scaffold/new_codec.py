"""A codec that is to be made: its name, its quality scale, and the way to it."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from importlib.resources import files
from string import Template
from typing import TYPE_CHECKING

from diffir.errors import ComponentError
from diffir.scaffold.ways import Way, default_levels, literal

if TYPE_CHECKING:
    from collections.abc import Mapping

    from diffir.contracts.codec import QualityScale

NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
SUFFIX = re.compile(r"\.[a-z0-9]+")
HOST_IMPORT = "from diffir.host.hookspecs import Register, hookimpl\n"


@dataclass(frozen=True)
class Wishes:
    """What the user said of the scale; `None` leaves it to the way.

    worst, best: the ends of the quality scale. levels: of the benchmark, in any order.
    suffix: of the compressed files, `.NAME` without it.
    """

    suffix: str | None = None
    worst: float | None = None
    best: float | None = None
    levels: tuple[float, ...] | None = None


@dataclass(frozen=True)
class NewCodec:
    """Everything that the templates need.

    levels: heaviest compression first. magic: how the files begin, as far as it was found out.
    waivers: checks of the codec suite that it cannot pass, and why.
    """

    name: str
    suffix: str
    way: Way
    scale: QualityScale
    levels: tuple[float, ...]
    magic: bytes = b""
    waivers: Mapping[str, str] = field(default_factory=dict)

    @property
    def module(self) -> str:
        """The import name of the package."""
        return f"diffir_{self.name.replace('-', '_')}"

    @property
    def class_name(self) -> str:
        """`my-codec` is `MyCodec`."""
        return "".join(part.capitalize() for part in self.name.split("-"))

    def source(self, *, single_file: bool = False) -> str:
        """The codec's module; with its own hook where it is the whole plugin."""
        hooks = self.fill("hooks.py") if single_file else ""
        host_import = HOST_IMPORT if single_file else ""
        return self.fill(self.way.template, hooks=hooks, host_import=host_import).rstrip() + "\n"

    def fill(self, template: str, **more: str) -> str:
        """A template of this room with this codec's values in it."""
        values = {
            "name": self.name,
            "title": self.name,
            "module": self.module,
            "class_name": self.class_name,
            "summary": self.way.summary,
            "worst": f"{self.scale.worst:g}",
            "best": f"{self.scale.best:g}",
            "levels": _tuple_literal(self.levels),
            "first_level": f"{self.levels[0]:g}",
            "name_literal": literal(self.name),
            "suffix_literal": literal(self.suffix),
            "label_literal": literal(self.scale.label),
            "summary_literal": literal(self.way.summary),
            "magic": self._magic(),
            "waivers": self._waivers(),
        }
        text = files("diffir.scaffold").joinpath("templates", f"{template}.template")
        filled = Template(text.read_text(encoding="utf-8"))
        return filled.substitute({**values, **self.way.values, **more})

    def _magic(self) -> str:
        if self.way.template == "codec_skeleton.py":
            return _bytes_literal(self.name.upper().encode()[:4].ljust(4, b"."))
        return f"({_bytes_literal(self.magic)},)" if self.magic else "()"

    def _waivers(self) -> str:
        if not self.waivers:
            return "{}"
        rows = [
            f"        {literal(check)}: {_wrapped(why)},\n" for check, why in self.waivers.items()
        ]
        return "{\n" + "".join(rows) + "    }"


def plan_codec(name: str, way: Way, wishes: Wishes) -> NewCodec:
    """Settle name, scale and levels.

    Raises:
        ComponentError: a name, a suffix or levels that no codec can have.
    """
    if not NAME.fullmatch(name):
        raise ComponentError(
            f"'{name}' cannot be a codec's name",
            hint="Use lower-case letters and digits, with single dashes between them: my-codec.",
        )
    suffix = wishes.suffix or f".{name.replace('-', '')}"
    if not SUFFIX.fullmatch(suffix):
        raise ComponentError(
            f"'{suffix}' cannot be a suffix", hint="Give a dot and lower-case letters: .jxl"
        )
    worst = way.scale.worst if wishes.worst is None else wishes.worst
    best = way.scale.best if wishes.best is None else wishes.best
    if worst == best:
        raise ComponentError(
            f"the worst and the best quality are both {worst:g}",
            hint="Give the two ends of the scale: --worst 1 --best 100, or --worst 51 --best 0.",
        )
    scale = replace(way.scale, worst=worst, best=best)
    usual = way.levels if scale == way.scale else default_levels(scale)
    levels = tuple(sorted(set(wishes.levels or usual), key=scale.severity, reverse=True))
    outside = [f"{level:g}" for level in levels if not scale.contains(level)]
    if outside:
        raise ComponentError(
            f"the levels {', '.join(outside)} are not between {worst:g} and {best:g}",
            hint="Give levels on the scale, or other ends of it with --worst and --best.",
        )
    return NewCodec(name, suffix, way, scale, levels)


def _tuple_literal(numbers: tuple[float, ...]) -> str:
    shown = ", ".join(f"{number:g}" for number in numbers)
    return f"({shown},)" if len(numbers) == 1 else f"({shown})"


def _bytes_literal(data: bytes) -> str:
    inner = repr(data)[2:-1].replace('"', '\\"').replace("\\'", "'")
    return f'b"{inner}"'


def _wrapped(reason: str) -> str:
    """A reason as a literal; a long one in several lines of one expression."""
    if len(reason) <= 50:
        return literal(reason)
    lines: list[str] = [""]
    for word in reason.split(" "):
        if len(lines[-1]) + len(word) > 75:
            lines.append("")
        lines[-1] += f"{word} "
    lines[-1] = lines[-1].rstrip()
    return "(\n" + "".join(f"            {literal(line)}\n" for line in lines) + "        )"
