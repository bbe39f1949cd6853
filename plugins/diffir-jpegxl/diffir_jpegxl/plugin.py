"""What this plugin brings."""

from __future__ import annotations

from diffir.host.hookspecs import Register, hookimpl


@hookimpl
def register_codecs(register: Register) -> None:
    """JPEG XL."""
    register(
        "jpegxl",
        "diffir_jpegxl.codec:JpegXl",
        summary="JPEG XL (libjxl, through pillow-jxl-plugin)",
        needs="pillow-jxl-plugin>=1.3",
    )
