"""`--consistent`: a restored picture that its own file could have come from.

picture.origin --Origin.coefficients--> coefficients -.
restored, upright --turned back as stored--> projection.project --> consistent, upright
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from diffir.errors import CodecError
from diffir.pictures.orientation import turn_back
from diffir.restore.projection import project

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from diffir.contracts.picture import Picture


@dataclass(frozen=True)
class Consistency:
    """What came of it.

    kept: share of the file's coefficients, in [0,1], that the picture has when it is compressed
        again with the file's tables and chroma format; None where the option does not apply.
    reason: why it does not.
    """

    kept: float | None
    reason: str | None = None


def why_not(picture: Picture) -> str | None:
    """Why a picture cannot be kept consistent with its file, as far as is known without decoding.

    None where it can.
    """
    if picture.origin is None:
        return "no codec recognized the file"
    if not hasattr(picture.origin.codec, "coefficients"):
        return f"codec '{picture.origin.codec.spec.name}' does not give coefficients"
    if picture.pixels.dtype != np.uint8:
        return "the picture has 16 bits a sample"
    return None


def make_consistent(restored: Picture) -> tuple[Picture, Consistency]:
    """The nearest picture that compresses to the coefficients of its origin.

    A gray picture is compared by luma alone: that is what is compressed of it again. Where the
    origin does not give coefficients, the picture comes back as it is, and the reason with it.
    """
    reason = why_not(restored)
    if reason is not None or restored.origin is None:
        return restored, Consistency(None, reason)
    try:
        coefficients = restored.origin.coefficients()
    except CodecError as error:
        return restored, Consistency(None, error.message)
    pixels = restored.pixels.astype(np.uint8)  # a copy: inputs are not touched
    stored: NDArray[np.uint8] = turn_back(pixels, restored.origin.orientation).view(np.uint8)
    if stored.shape[:2] != (coefficients.height, coefficients.width):
        size = f"{coefficients.width}x{coefficients.height}"
        return restored, Consistency(None, f"the file holds other pixels: {size} of them")
    kept = project(stored, coefficients, gray=restored.gray)
    return restored.with_pixels(pixels), Consistency(kept.share)
