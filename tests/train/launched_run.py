"""Trains one short stage; started by `accelerate launch`, or alone.

python launched_run.py DATA OUTPUT RECIPE STAGE BATCH [LAST]

It saves after each step; after step LAST, it ends as one that is killed does.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from diffir.host.manager import default_host
from diffir.recipes.recipe import load_recipe
from diffir.train.loop import Settings, Trainer


def main() -> None:
    data, output, recipe, stage, batch, *last = sys.argv[1:]
    host = default_host()
    settings = Settings(
        data=Path(data),
        output=Path(output),
        stages=(stage,),
        steps=3,
        batch=int(batch),
        crop=64,
        workers=0,
        cpu=True,
        save_minutes=0,
    )
    for now in Trainer(load_recipe(recipe, host), host, settings).run():
        sys.stdout.write(f"step {now.step}\n")
        sys.stdout.flush()
        if last and now.step == int(last[0]):
            os._exit(0)


if __name__ == "__main__":
    main()
