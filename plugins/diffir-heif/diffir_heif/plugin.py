"""What this plugin brings."""

from __future__ import annotations

from diffir.host.hookspecs import Register, hookimpl


@hookimpl
def register_codecs(register: Register) -> None:
    """HEIC."""
    register(
        "heic",
        "diffir_heif.codec:Heic",
        summary="HEIC, as phones write it (libheif with x265, through pillow-heif)",
        needs="pillow-heif>=1.8",
    )
