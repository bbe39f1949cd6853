"""Trains two short stages, saving after each step, and prints each step.

python short_run.py DATA OUTPUT RECIPE
"""

from __future__ import annotations

import sys
from pathlib import Path

from diffir.host.manager import default_host
from diffir.recipes.recipe import load_recipe
from diffir.train.loop import Settings, Trainer


def main() -> None:
    data, output, recipe = sys.argv[1:]
    host = default_host()
    settings = Settings(
        data=Path(data),
        output=Path(output),
        stages=("prior", "rich"),
        steps=3,
        batch=2,
        crop=32,
        workers=0,
        cpu=True,
        save_minutes=0,
    )
    for now in Trainer(load_recipe(recipe, host), host, settings).run():
        sys.stdout.write(f"{now.stage} {now.step}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
