"""The pages, their blocks of code, and the module that makes two of them."""

from __future__ import annotations

import re
import runpy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
FENCE = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Block:
    """One fenced block: where it stands, its language, its text."""

    page: str
    number: int
    language: str
    text: str

    def __str__(self) -> str:
        return f"{self.page}:{self.number}"


def text_of(page: str) -> str:
    return (ROOT / page).read_text(encoding="utf-8")


def blocks(page: str) -> list[Block]:
    found = FENCE.findall(text_of(page))
    return [Block(page, number, *match) for number, match in enumerate(found, start=1)]


def generator() -> dict[str, Any]:
    """The names in `docs/generate.py`."""
    return runpy.run_path(str(DOCS / "generate.py"))
