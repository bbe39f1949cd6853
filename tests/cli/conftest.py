from __future__ import annotations

from dataclasses import dataclass

import pytest

from diffir.cli.main import main


@dataclass(frozen=True)
class Outcome:
    code: int
    out: str
    err: str


@pytest.fixture
def diffir(capsys, monkeypatch):
    """Run the command line in this process: diffir("list", "--json").out."""
    monkeypatch.delenv("DIFFIR_TRACE", raising=False)

    def run(*words: object) -> Outcome:
        capsys.readouterr()
        with pytest.raises(SystemExit) as leaving:
            main([str(word) for word in words])
        printed = capsys.readouterr()
        return Outcome(int(leaving.value.code or 0), printed.out, printed.err)

    return run
