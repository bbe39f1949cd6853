"""`docs/cli.md` and the table of codecs say what the code says.

To bring them up to date: `python docs/generate.py`.
"""

from __future__ import annotations

import pages
import pytest

STALE = "the page is not what the code makes of it; run: python docs/generate.py"


@pytest.fixture(scope="module")
def generator():
    return pages.generator()


def test_cli_page(generator):
    assert pages.text_of("docs/cli.md") == generator["cli_page"](), STALE


def test_codecs_table(generator):
    page = pages.text_of("docs/codecs.md")
    assert page == generator["codecs_page"](page), STALE


def test_every_codec_tells_what_it_reads(generator):
    section = pages.text_of("docs/codecs.md").split("## What is read from the bytes")[1]
    for component in generator["host"]().components("codec"):
        assert f"| `{component.name}` |" in section


def test_the_readme_names_every_command(generator):
    commands = [row for row in generator["cli_page"]().splitlines() if row.startswith("## diffir ")]
    table = pages.text_of("README.md").split("## Commands")[1].split("## ")[0]
    named = [row.split("`")[1] for row in table.splitlines() if row.startswith("| `")]
    assert sorted(named) == sorted(row.removeprefix("## ") for row in commands)
