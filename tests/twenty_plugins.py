"""Twenty installed plugins, in a folder that a process finds by PYTHONPATH."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

COUNT = 20

MODULE = '''
from __future__ import annotations

from diffir.host.hookspecs import Register, hookimpl

diffir_api = 1


@hookimpl
def register_codecs(register: Register) -> None:
    register("{name}", "{name}_package.codec:Codec", summary="one of twenty")


@hookimpl
def register_commands(app) -> None:
    @app.command("{name}")
    def greet(times: int = 1) -> None:
        """Say hello."""
'''


def install_plugins(site: Path) -> Path:
    """Make the distributions `twenty-0` to `twenty-19`; the folder, for PYTHONPATH."""
    for index in range(COUNT):
        name = f"twenty{index}"
        (site / f"{name}_plugin.py").write_text(MODULE.format(name=name))
        info = site / f"{name}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text(f"[diffir.plugins]\n{name} = {name}_plugin\n")
    return site
