"""What this plugin brings."""

from __future__ import annotations

from diffir.host.hookspecs import Register, hookimpl


@hookimpl
def register_codecs(register: Register) -> None:
    """H.266/VVC."""
    register(
        "vvc",
        "diffir_vvc.codec:Vvc",
        summary="H.266/VVC intra (libvvenc of imageio-ffmpeg, decoded by PyAV)",
        needs="imageio-ffmpeg>=0.8.1",
    )
