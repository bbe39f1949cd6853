"""The commands of the page Benchmark are ones that the command line takes.

They are not run: their data sets and other people's weights are not ours.
"""

from __future__ import annotations

import shlex

import pages
import pytest
import typer

from diffir.cli.main import build_app
from diffir.degradations.tasks import select_tasks
from diffir.evaluate.curves import parse_sweep
from diffir.evaluate.metrics import METRICS, split_metrics
from diffir.evaluate.protocol import PROTOCOLS, find_protocol
from diffir.host.manager import default_host

PAGE = "docs/benchmark.md"


def commands() -> list[list[str]]:
    """The words of each line that calls diffir, without the first."""
    lines = [
        line
        for block in pages.blocks(PAGE)
        if block.language == "bash"
        for line in block.text.splitlines()
    ]
    return [shlex.split(line)[1:] for line in lines if line.startswith("diffir ")]


@pytest.mark.parametrize("words", commands(), ids=" ".join)
def test_command(words: list[str]) -> None:
    command = typer.main.get_command(build_app(default_host())).commands[words[0]]
    given = command.make_context(words[0], words[1:], obj=default_host()).params
    if words[0] == "bench":
        select_tasks(default_host(), given["task"] or ["jpeg-10"])
        find_protocol(given["protocol"])
        assert set(split_metrics(given["metrics"].split(","))[0]) <= set(METRICS)
        for text in given["curve"] or ():
            parse_sweep(text, default_host())


def test_every_protocol_is_on_the_page() -> None:
    for name in PROTOCOLS:
        assert name in pages.text_of(PAGE)
