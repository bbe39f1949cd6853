"""The site builds, and its tables of hooks, formats and errors say what the code says."""

from __future__ import annotations

import importlib.util
import inspect
import os
import re
import subprocess
import sys

import pages
import pytest

from diffir import errors
from diffir.host import hookspecs
from diffir.host.component import VERBS
from diffir.pictures.formats import FORMATS


@pytest.mark.skipif(importlib.util.find_spec("mkdocs") is None, reason="needs the extra 'docs'")
def test_the_site_builds_without_a_warning(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", tmp_path / "site"],
        cwd=pages.ROOT,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    guide = (tmp_path / "site" / "plugins" / "codec" / "index.html").read_text(encoding="utf-8")
    assert "Satisfies" in guide  # the example is in the page, not the line that names it


class TestHooks:
    page = pages.text_of("docs/plugins/hooks.md")

    def test_every_hook_stands_there_with_its_signature(self):
        source = inspect.getsource(hookspecs)
        heads = re.findall(r"@hookspec\ndef (.+):\n", source)
        assert heads
        assert [head for head in heads if f"| `{head}` |" not in self.page] == []

    def test_register_has_the_arguments_that_it_tells(self):
        signature = inspect.signature(hookspecs.Register.__call__)
        assert list(signature.parameters)[1:] == ["name", "target", "summary", "needs"]
        keyword_only = [p.name for p in signature.parameters.values() if p.kind == p.KEYWORD_ONLY]
        assert keyword_only == ["summary", "needs"]
        assert 'register(name, "package.module:Object", *, summary, needs=None)' in self.page

    def test_every_verb_stands_in_its_row(self):
        for kind, verbs in VERBS.items():
            row = next(r for r in self.page.splitlines() if r.startswith(f"| `register_{kind}s("))
            last = row.rstrip(" |").rpartition("| ")[2]
            assert last == (", ".join(f"`{verb}`" for verb in verbs) or "-")


def test_what_each_format_holds():
    page = pages.text_of("docs/data-flow.md")
    names = {"dpi": "dpi", "comment": "comment"}
    for entry in FORMATS:
        held = ", ".join(names.get(field, field.upper()) for field in entry.holds) or "-"
        suffixes = ", ".join(entry.suffixes)
        alpha, deep = ("yes" if there else "no" for there in (entry.alpha, entry.deep))
        assert f"| {suffixes} | {alpha} | {deep} | {held} |" in page


class TestErrors:
    page = pages.text_of("docs/errors.md")

    def test_the_tree_is_drawn(self):
        tree = "\n".join(["DiffirError", *branches(errors.DiffirError)])
        assert f"```text\n{tree}\n```" in self.page

    def test_every_error_has_a_row(self):
        names = re.findall(r"\w+", " ".join(branches(errors.DiffirError)))
        assert [name for name in names if f"| `{name}` |" not in self.page] == []


def branches(kind: type, indent: str = "") -> list[str]:
    lines: list[str] = []
    for child in kind.__subclasses__():
        if child.__module__ == errors.__name__:  # tests may have made others
            lines.append(f"{indent}+-- {child.__name__}")
            lines += branches(child, indent + "|   ")
    return lines


class TestDecisions:
    records = sorted((pages.DOCS / "adr").glob("0*.md"))

    @pytest.mark.parametrize("path", records, ids=lambda path: path.stem)
    def test_each_is_short_and_says_what_was_given_up(self, path):
        text = path.read_text(encoding="utf-8")
        assert len(text.splitlines()) <= 60
        assert re.findall(r"^## (.+)$", text, re.MULTILINE) == [
            "Context",
            "Decision",
            "What we gave up",
        ]

    def test_all_are_listed(self):
        index = pages.text_of("docs/adr/index.md")
        navigation = pages.text_of("mkdocs.yml")
        for path in self.records:
            assert f"({path.name})" in index
            assert f"adr/{path.name}" in navigation
