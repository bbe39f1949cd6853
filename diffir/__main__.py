"""`python -m diffir` is the command `diffir`."""

from __future__ import annotations

from diffir.cli.main import main

if __name__ == "__main__":
    main()
