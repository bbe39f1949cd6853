"""Writes what the docs say of the code, from the code: `cli.md`, and the table in `codecs.md`.

    python docs/generate.py

Tests compare the pages with what this makes, so run it after a change of a command or a codec.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from diffir.cli.main import build_app
from diffir.host import builtins
from diffir.host.manager import Host

if TYPE_CHECKING:
    from diffir.contracts.codec import CodecSpec

DOCS = Path(__file__).parent
MARK = "<!-- table: made by docs/generate.py -->"
CLI_HEAD = """# Command line

Made from the code by `docs/generate.py`. Each command tells the same with `--help`.

Exit codes: 0 all done; 1 some or all of the work failed, each failure with `error:` and `hint:`
on stderr; 2 wrong usage; 130 interrupted. Variables of the environment: see
[Quickstart](quickstart.md#variables).
"""


def host() -> Host:
    """The built-ins alone: what is installed on this machine must not get into the docs."""
    return Host([("diffir", "built in", builtins)])


def cli_page() -> str:
    """`cli.md`: one section per command."""
    group: Any = typer.main.get_command(build_app(host()))
    shell_completion = ("--install-completion", "--show-completion")  # not there in every shell
    own = [p for p in group.params if not set(p.opts) & set(shell_completion)]
    sections = [CLI_HEAD, "## diffir\n\nBefore the name of a command:\n", _options(own)]
    for name, command in group.commands.items():
        sections += _sections(command, f"diffir {name}", level=2)
    return "\n".join(sections)


def _sections(command: Any, name: str, *, level: int) -> list[str]:
    head = f"{'#' * level} {name}\n"
    if hasattr(command, "commands"):
        below = command.commands.items()
        parts = [_sections(sub, f"{name} {word}", level=level + 1) for word, sub in below]
        return [head, f"{command.help}\n", *(section for part in parts for section in part)]
    arguments = [p for p in command.params if p.param_type_name == "argument"]
    options = [p for p in command.params if p.param_type_name == "option"]
    words = " ".join([name, *map(_argument, arguments), "[OPTIONS]"])
    return [
        head,
        f"```text\n{words}\n```\n",
        f"{command.help}\n",
        *(f"`{_argument(p)}`: {p.help}\n" for p in arguments),
        _options(options),
    ]


def _argument(parameter: Any) -> str:
    word = parameter.metavar or parameter.name.upper() + "..." * (parameter.nargs == -1)
    return word if parameter.required else f"[{word}]"


def _options(parameters: list[Any]) -> str:
    rows = ["| option | what it does | default |", "|---|---|---|"]
    for parameter in parameters:
        value = f" {parameter.metavar}" if parameter.metavar else ""
        opts = (*parameter.opts, *parameter.secondary_opts)
        names = ", ".join(f"`{name}{value}`" for name in opts)
        rows.append(f"| {names} | {parameter.help} | {_default(parameter)} |")
    return "\n".join(rows) + "\n"


def _default(parameter: Any) -> str:
    if parameter.required:
        return "required"
    if parameter.default is None or parameter.default is False or parameter.name == "verbose":
        return ""
    return "yes" if parameter.default is True else f"`{parameter.default}`"


def codecs_table() -> str:
    """One row per built-in codec, from its `CodecSpec`."""
    rows = [
        "| codec | `quality` is | worst to best | levels | chroma | suffixes | encoder's license |",
        "|---|---|---|---|---|---|---|",
    ]
    table = host()
    rows += [_codec_row(table.codec(c.name).spec) for c in table.components("codec")]
    return "\n".join(rows)


def _codec_row(spec: CodecSpec) -> str:
    cells = (
        f"`{spec.name}`",
        spec.scale.label,
        f"{spec.scale.worst:g} to {spec.scale.best:g}",
        ", ".join(f"{level:g}" for level in spec.levels),
        ", ".join(spec.subsamplings),
        "; reads ".join(filter(None, map(", ".join, (spec.suffixes, spec.also_reads)))),
        spec.license,
    )
    return f"| {' | '.join(cells)} |"


def codecs_page(text: str) -> str:
    """`codecs.md` with the table between its two marks made anew."""
    before, _, after = text.split(MARK)
    return f"{before}{MARK}\n\n{codecs_table()}\n\n{MARK}{after}"


def main() -> None:
    """Write both pages."""
    (DOCS / "cli.md").write_text(cli_page(), encoding="utf-8")
    codecs = DOCS / "codecs.md"
    codecs.write_text(codecs_page(codecs.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()
