"""Between Pillow's modes, arrays of samples, and the three channels of a `Picture`.

"Samples" are `(H,W,C)` uint8 or uint16, C of 1 (gray), 2 (gray, alpha), 3 (RGB) or 4 (RGB, alpha).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import numpy as np
from PIL import Image

from diffir.contracts.picture import Picture
from diffir.errors import UnsupportedPictureError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from diffir.contracts.codec import CodecInfo
    from diffir.contracts.picture import AnyPixels, Metadata

_PLAIN = {
    "1": "L",
    "L": "L",
    "LA": "LA",
    "La": "LA",
    "P": "RGB",
    "PA": "RGBA",
    "RGB": "RGB",
    "RGBX": "RGB",
    "RGBA": "RGBA",
    "RGBa": "RGBA",
    "CMYK": "RGB",
    "YCbCr": "RGB",
}
"""Pillow's modes of 8 bits or less, and the mode that each is converted to."""


def samples_of(image: Image.Image, *, name: str) -> AnyPixels:
    """The samples of a loaded Pillow image; palettes and CMYK become RGB, one bit becomes gray.

    A transparent color of the file becomes alpha. Premultiplied alpha becomes straight.

    Raises:
        UnsupportedPictureError: a mode of more than 16 bits, of floats, or of another color space.
    """
    if image.mode.startswith("I;16"):
        return np.asarray(image).astype(np.uint16)[:, :, np.newaxis]
    plain = _PLAIN.get(image.mode)
    if plain is None:
        raise UnsupportedPictureError(
            f"{name} holds samples of Pillow's mode {image.mode!r}; diffir reads gray and RGB of "
            "8 or 16 bits, palettes and CMYK",
            hint="Convert it to a PNG of 8 or 16 bits with the program that made it.",
        )
    if image.has_transparency_data and not plain.endswith("A"):
        plain += "A"
    array = np.array(image if image.mode == plain else image.convert(plain))
    return array if array.ndim == 3 else array[:, :, np.newaxis]


def image_of(samples: NDArray[np.uint8]) -> Image.Image:
    """The Pillow image of `(H,W,C) uint8` samples: mode L, LA, RGB or RGBA."""
    return Image.fromarray(samples[:, :, 0] if samples.shape[2] == 1 else samples)


def picture_of(samples: AnyPixels, *, codec: CodecInfo, metadata: Metadata) -> Picture:
    """The picture of `(H,W,C)` samples; gray is repeated in its three channels."""
    channels = samples.shape[2]
    gray = channels < 3
    pixels = samples[:, :, [0, 0, 0]] if gray else samples[:, :, :3]
    alpha = _contiguous(samples[:, :, -1]) if channels in (2, 4) else None
    return Picture(_contiguous(pixels), alpha=alpha, gray=gray, codec=codec, metadata=metadata)


def _contiguous(array: AnyPixels) -> AnyPixels:
    return cast("AnyPixels", np.ascontiguousarray(array))


def samples_of_picture(picture: Picture, *, gray: bool) -> AnyPixels:
    """The `(H,W,C)` samples of a picture, with one channel of color if `gray`, else three."""
    color = picture.pixels[:, :, :1] if gray else picture.pixels
    if picture.alpha is None:
        return _contiguous(color)
    alpha = picture.alpha[:, :, np.newaxis]
    return cast("AnyPixels", np.concatenate([color, alpha], axis=2))
