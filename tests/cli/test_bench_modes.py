"""`diffir bench` hands over to the commands whose measurements it stands for."""

from __future__ import annotations

import pytest

from diffir.cli.bench_modes import HANDED_OVER


@pytest.mark.parametrize(("mode", "command"), HANDED_OVER.items())
def test_the_options_are_those_of_the_other_command(diffir, mode, command):
    assert diffir("bench", mode, "--help").out == diffir(command, "--help").out


def test_without_such_a_word_it_is_bench(diffir):
    assert "--protocol" in diffir("bench", "--help").out


def test_what_the_other_command_needs_is_asked_for(diffir, tmp_path):
    outcome = diffir("bench", tmp_path, "--transfer")
    assert outcome.code == 2
    assert "Missing option" in outcome.err


def test_a_way_that_there_is_not(diffir, tmp_path):
    words = ("--data", tmp_path, "-o", tmp_path / "out", "--codec", "mpeg2", "--way", "half")
    outcome = diffir("bench-transfer", tmp_path, *words)
    assert outcome.code == 2
    assert "--way must be prompts, full, scratch, got 'half'" in outcome.err
    assert not (tmp_path / "out").exists()
