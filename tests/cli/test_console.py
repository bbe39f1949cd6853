from __future__ import annotations

import logging

import pytest
import torch
import typer

from diffir.cli.console import for_each, print_error, print_table, show_log
from diffir.errors import CodecError, PictureError


def test_an_error_names_what_was_worked_on_once(capsys):
    print_error(CodecError("damaged"), about="a.jpg")
    print_error(PictureError("a.jpg is empty"), about="a.jpg")
    assert capsys.readouterr().err == "error: a.jpg: damaged\nerror: a.jpg is empty\n"


@pytest.mark.parametrize(
    "missing",
    [
        MemoryError(),
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"),
        RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried"),
    ],
)
def test_memory_that_is_missing_is_no_internal_error(missing, capsys):
    print_error(missing)
    told = capsys.readouterr().err
    assert told.startswith("error: out of memory\nhint: Give it less at once")
    assert "--dtype" in told
    assert "--gradient-checkpointing" in told


def test_another_error_of_torch_is_internal(capsys):
    print_error(RuntimeError("shapes do not match"))
    assert "internal error: RuntimeError: shapes do not match" in capsys.readouterr().err


def test_table_columns_are_as_wide_as_they_need(capsys):
    print_table(("a", "b"), [("x" * 90, "1"), ("y", "2")], indent=1)
    lines = capsys.readouterr().out.splitlines()
    assert lines == [" a" + " " * 91 + "b", " " + "x" * 90 + "  1", " y" + " " * 91 + "2"]


def test_one_failure_does_not_stop_the_rest(capsys, monkeypatch):
    monkeypatch.delenv("DIFFIR_TRACE", raising=False)
    done = []

    def work(name: str) -> None:
        if name == "bad":
            raise PictureError("no picture")
        done.append(name)

    with pytest.raises(typer.Exit) as leaving:
        for_each(["one", "bad", "two"], work)
    assert leaving.value.exit_code == 1
    assert done == ["one", "two"]
    assert capsys.readouterr().err == "error: bad: no picture\n"


def test_tracing_lets_the_failure_through(monkeypatch):
    monkeypatch.setenv("DIFFIR_TRACE", "1")

    def work(name: str) -> None:
        raise PictureError("no picture")

    with pytest.raises(PictureError, match="no picture"):
        for_each(["one"], work)


@pytest.mark.parametrize(
    ("verbosity", "expected"),
    [
        (0, "warning: careful\n"),
        (1, "warning: careful\nby the way\n"),
        (5, "warning: careful\nby the way\nin detail\n"),
    ],
)
def test_the_log_goes_to_stderr(capsys, verbosity, expected):
    show_log(verbosity)
    logger = logging.getLogger("diffir")
    logger.warning("careful")
    logger.info("by the way")
    logger.debug("in detail")
    assert capsys.readouterr().err == expected
