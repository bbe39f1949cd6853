"""A degradation in one file: a thumbnail that somebody enlarged again, pixel by pixel.

diffir --plugin examples/own_degradation_plugin.py degrade examples/photo.jpg \
    --task thumbnail -o worse.png
"""

from __future__ import annotations

from diffir.contracts.codec import CodecInfo
from diffir.host.hookspecs import hookimpl


@hookimpl
def register_degradations(register):
    """Its name is a task of `degrade` and `bench` at once."""
    register("thumbnail", f"{__name__}:Thumbnail", summary="Shrunk, and enlarged by repetition")


class Thumbnail:
    """Works on numpy arrays alone, in data-loader workers too."""

    def degrade(self, picture, rng):
        """Keep every second, third or fourth pixel; all chance comes from `rng`."""
        step = int(rng.integers(2, 5))
        small = picture.pixels[::step, ::step]  # (h,w,3), uint8 or uint16
        large = small.repeat(step, axis=0).repeat(step, axis=1)
        cut = large[: picture.height, : picture.width]
        # No codec made it: a router must look at the pixels.
        return picture.with_pixels(cut, codec=CodecInfo.unknown())
