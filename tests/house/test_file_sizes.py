"""A file has one subject, is named for it, and can be read in one sitting."""

from __future__ import annotations

import ast

import pytest
import sources

MOST_LINES = 400
MOST_LINES_OF_A_FUNCTION = 60
SAYS_NOTHING = {"utils", "util", "helpers", "helper", "common", "misc", "tools", "base", "core"}


@pytest.mark.parametrize("path", sources.modules(), ids=lambda p: str(p.relative_to(sources.ROOT)))
class TestModule:
    def test_is_short_enough(self, path):
        lines = len(path.read_text(encoding="utf-8").splitlines())
        assert lines <= MOST_LINES, f"{lines} lines: it wants to be two files"

    def test_is_named_for_its_subject(self, path):
        names = {part.removesuffix(".py") for part in path.relative_to(sources.ROOT).parts}
        assert not names & SAYS_NOTHING

    def test_says_what_it_is_for(self, path):
        assert ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))

    def test_functions_are_short_enough(self, path):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        long = [
            f"{node.name}: {length} lines"
            for node in ast.walk(tree)
            if isinstance(node, ast.FunctionDef)
            # Without the head: a command's options are a table, one row each.
            and (length := node.body[-1].end_lineno - node.body[0].lineno + 1)
            > MOST_LINES_OF_A_FUNCTION
        ]
        assert not long, long
