"""What this plugin brings."""

from __future__ import annotations

from diffir.host.hookspecs import Register, hookimpl
from diffir_learned.families import FAMILIES


@hookimpl
def register_codecs(register: Register) -> None:
    """The learned codecs of the method."""
    for family in FAMILIES.values():
        register(
            family.name,
            f"diffir_learned.codec:{family.codec}",
            summary=family.summary,
            needs="compressai>=1.2.8",
        )
