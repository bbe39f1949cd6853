"""`diffir bench-transfer`: how well prompts alone serve codecs that a model was not trained on."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from diffir.cli.console import FAILED
from diffir.cli.finetune_prompts import parse_budget
from diffir.host.manager import Host
from diffir.train.transfer_cell import WAYS, Way


def bench_transfer(
    ctx: typer.Context,
    test: Annotated[Path, typer.Argument(help="Clean pictures to judge on, such as LIVE1.")],
    data: Annotated[Path, typer.Option(help="A folder of clean pictures to learn from.")],
    out: Annotated[
        Path, typer.Option("-o", "--out", help="A folder for records, reports and plots.")
    ],
    codec: Annotated[list[str], typer.Option(help="A registered codec. Repeatable.")],
    pictures: Annotated[
        list[int] | None,
        typer.Option(min=1, help="To learn from. Repeatable; 1, 4, 16 and 64 without it."),
    ] = None,
    way: Annotated[
        list[str] | None,
        typer.Option(help="prompts, full or scratch. Repeatable; all three without it."),
    ] = None,
    seeds: Annotated[int, typer.Option(min=1, help="How many, from 0 on.")] = 3,
    budget: Annotated[
        str | None, typer.Option(help="Time for training one cell, such as 90s or 10m.")
    ] = None,
    steps: Annotated[int | None, typer.Option(min=1, help="At most so many in a cell.")] = None,
    crops: Annotated[int | None, typer.Option(min=8, help="Crops to learn from.")] = None,
    batch: Annotated[
        int | None, typer.Option(min=1, help="Crops per step; without it 2, or 8.")
    ] = None,
    model: Annotated[
        str, typer.Option(help="A recipe's name, or a .safetensors file.")
    ] = "moe-diffir-tiny",
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, not Markdown.")] = False,
) -> None:
    """Measure transfer to codecs that a model was not trained on.

    Prompts alone, a full fine-tune, and prompts from scratch over a base without its own, by codec,
    number of pictures and seed; each against the base model, on pictures apart. A run that was
    stopped goes on when the same command is started again, and the reports are of what is there.
    """
    from diffir.train.transfer_cell import Cell
    from diffir.train.transfer_protocol import plan_cells, run_cells
    from diffir.train.transfer_report import to_json, to_markdown

    host: Host = ctx.obj
    for name in codec:
        host.codec(name)  # refuse a misspelled one before hours of work
    template = Cell(
        codec=codec[0],
        pictures=1,
        seed=0,
        way="prompts",
        data=str(data),
        test=str(test),
        model=model,
        seconds=None if budget is None else parse_budget(budget),
        steps=steps,
        crops=crops,
        batch=batch,
        device=device,
    )
    cells = plan_cells(template, codec, pictures, seeds, _ways(way))
    command = shlex.join(["diffir", *sys.argv[1:]])
    records: list[dict[str, Any]] = []
    failed = 0
    for number, (cell, record) in enumerate(run_cells(cells, out / "cells"), 1):
        told = "failed" if record is None else f"LPIPS {record['verdict']['mean']['lpips']:.4f}"
        typer.echo(f"{number}/{len(cells)} {cell.name}: {told}", err=True)
        failed += record is None
        if record is not None:
            records.append(record)
            _write(out, records, codec, command=command)
    if records:
        text = (to_json if as_json else to_markdown)(records, command=command)
        typer.echo(text, nl=False)
    if failed:
        raise typer.Exit(FAILED)


def _ways(named: list[str] | None) -> tuple[Way, ...]:
    if unknown := sorted(set(named or ()) - set(WAYS)):
        raise typer.BadParameter(f"--way must be {', '.join(WAYS)}, got '{unknown[0]}'")
    return tuple(way for way in WAYS if named is None or way in named)


def _write(out: Path, records: list[dict[str, Any]], codecs: list[str], *, command: str) -> None:
    from io import BytesIO

    from diffir.evaluate.line_plot import draw_lines
    from diffir.pictures.atomic_file import write_atomically
    from diffir.train.transfer_report import curves, to_json, to_markdown

    for name, text in (
        ("report.md", to_markdown(records, command=command)),
        ("report.json", to_json(records, command=command)),
    ):
        write_atomically(out / name, text.encode(), overwrite=True)
    for codec in codecs:
        if lines := curves(records, codec):
            image = BytesIO()
            drawn = draw_lines(lines, across="pictures", up=f"{codec}: LPIPS, base model = 1")
            drawn.save(image, "PNG")
            write_atomically(out / f"{codec}.png", image.getvalue(), overwrite=True)
