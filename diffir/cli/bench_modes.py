"""`diffir bench --ablation` and `diffir bench --transfer`: other measurements under one roof."""

from __future__ import annotations

from typing import Any

from typer.core import TyperCommand

HANDED_OVER = {"--ablation": "ablate", "--transfer": "bench-transfer"}
"""A word among those of `bench`, and the command that has the measurement's own options."""


class BenchModes(TyperCommand):
    """`bench`, which hands over where one of `HANDED_OVER` stands among its words."""

    def make_context(
        self, info_name: str | None, args: list[str], parent: Any = None, **extra: Any
    ) -> Any:
        """As click's, which runs whatever command the context is of."""
        mode = next((word for word in HANDED_OVER if word in args), None)
        if mode is None or parent is None:
            return super().make_context(info_name, args, parent=parent, **extra)
        name = HANDED_OVER[mode]
        words = [word for word in args if word != mode]
        command = parent.command.get_command(parent, name)
        return command.make_context(name, words, parent=parent, **extra)
