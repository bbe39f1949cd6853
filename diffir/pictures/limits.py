"""How large a picture may claim to be: checked before any memory is taken for its pixels.

A file of a few hundred bytes can claim a width and a height whose pixels fill any memory.
"""

from __future__ import annotations

import math
import os

from diffir.errors import UnsupportedPictureError

DEFAULT_MAX_MEGAPIXELS = 512.0
VARIABLE = "DIFFIR_MAX_MEGAPIXELS"


def max_megapixels() -> float:
    """The limit in megapixels (10^6 pixels): `DIFFIR_MAX_MEGAPIXELS`, or 512.

    Raises:
        UnsupportedPictureError: the variable is set to something else than a positive number.
    """
    text = os.environ.get(VARIABLE, "")
    if not text:
        return DEFAULT_MAX_MEGAPIXELS
    try:
        limit = float(text)
    except ValueError:
        limit = math.nan
    if not limit > 0:
        raise UnsupportedPictureError(
            f"{VARIABLE} must be a positive number, got {text!r}",
            hint=f"Unset it to take the default of {DEFAULT_MAX_MEGAPIXELS:g} megapixels.",
        )
    return limit


def check_size(width: int, height: int, *, name: str) -> None:
    """Refuse a picture that claims more pixels than the limit, or none.

    Raises:
        UnsupportedPictureError: the claimed size is beyond the limit, or empty.
    """
    if width < 1 or height < 1:
        raise UnsupportedPictureError(
            f"{name} claims a size of {width}x{height} pixels, which is no picture",
            hint="The file is damaged: get it again from where it came.",
        )
    megapixels, limit = width * height / 1e6, max_megapixels()
    if megapixels > limit:
        raise UnsupportedPictureError(
            f"{name} claims {width}x{height} pixels ({megapixels:,.0f} megapixels); "
            f"the limit is {limit:g} megapixels",
            hint=f"If the file is yours and memory suffices, set {VARIABLE}={megapixels:.0f} "
            "or more.",
        )
