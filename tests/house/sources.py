"""The sources of the package, parsed once for the tests that hold the house up."""

from __future__ import annotations

import ast
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import diffir

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(diffir.__file__).parent


@dataclass(frozen=True)
class Import:
    """One import statement's target: `name` is a dotted module or a name in one."""

    name: str
    line: int
    at_import_time: bool


@cache
def modules() -> tuple[Path, ...]:
    return tuple(sorted(ROOT.rglob("*.py")))


def room(path: Path) -> str:
    """The room of a file, "" for the package's own `__init__.py` and `__main__.py`."""
    parts = path.relative_to(ROOT).parts
    return parts[0].removesuffix(".py") if not parts[0].startswith("__") else ""


def imports(path: Path) -> Iterator[Import]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    yield from _walk(tree, at_import_time=True)


def _walk(node: ast.AST, *, at_import_time: bool) -> Iterator[Import]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import):
            for alias in child.names:
                yield Import(alias.name, child.lineno, at_import_time)
        elif isinstance(child, ast.ImportFrom):
            for alias in child.names:
                yield Import(f"{child.module}.{alias.name}", child.lineno, at_import_time)
        else:
            deferred = isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
            for_types = isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test)
            yield from _walk(
                child, at_import_time=at_import_time and not deferred and not for_types
            )
