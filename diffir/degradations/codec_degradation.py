"""Any codec as a degradation: encode, decode, and read back how it was done."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

import numpy as np

from diffir.contracts.picture import Origin
from diffir.errors import CodecError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from diffir.contracts.codec import Codec, Pixels, Subsampling
    from diffir.contracts.picture import Picture


@dataclass(frozen=True)
class Between:
    """Whole-numbered levels from `low` to `high`, ends included, each as likely as the others.

    Whole, because that is what encoders take: IJG quality, QP, CRF.
    """

    low: int
    high: int


class CodecDegradation:
    """Compress a picture at a level that is drawn for each picture.

    Args:
        codec: the codec; it is pickled with this object, so data-loader workers can have both.
        levels: qualities on the codec's own scale, each as likely as the others; or `Between`.
        subsampling: "4:2:0" or "4:4:4"; `None` takes the codec's usual one; "random" draws one
            of those that the codec offers.

    Raises:
        CodecError: no level, a level off the codec's scale, or chroma that it does not offer.
    """

    def __init__(
        self,
        codec: Codec,
        levels: Sequence[float] | Between,
        *,
        subsampling: Subsampling | Literal["random"] | None = None,
    ) -> None:
        self.codec = codec
        self.levels = levels if isinstance(levels, Between) else tuple(levels)
        self.subsampling = subsampling
        self._check_levels()
        self._check_subsampling()

    def degrade(self, picture: Picture, rng: np.random.Generator) -> Picture:
        """Encode and decode the pixels; alpha and metadata are left alone.

        Args:
            picture: 8 bits a channel. Where it is gray, its three channels stay equal.
            rng: draws the level, and the chroma format where that is "random".

        Returns:
            A picture of the same size; `codec` is what `read_info` reads from the bytes, with the
            bits per pixel where the bytes do not tell the size.

        Raises:
            CodecError: the picture has 16 bits a channel, or the codec refused it or changed its
                size.
        """
        data = self.compress(picture, rng)
        pixels = self.codec.decode(data)
        if pixels.shape != picture.pixels.shape:
            raise CodecError(
                f"codec '{self.codec.spec.name}' made {pixels.shape[1]}x{pixels.shape[0]} pixels "
                f"of a picture of {picture.width}x{picture.height}",
                hint="What an encoder pads, its decoder must crop: diffir plugins check.",
            )
        if picture.gray:
            pixels = _one_gray(pixels)
        info = self.codec.read_info(data)
        if info.bits_per_pixel is None:
            info = replace(
                info,
                bits_per_pixel=8 * len(data) / (picture.height * picture.width),
                sources={**info.sources, "bits_per_pixel": "bitstream"},
            )
        degraded = picture.with_pixels(pixels, codec=info)
        return replace(degraded, origin=Origin(self.codec, data))

    def compress(self, picture: Picture, rng: np.random.Generator) -> bytes:
        """The bytes that `degrade` decodes, for those who want the compressed file itself.

        Raises:
            CodecError: as `degrade`.
        """
        if picture.pixels.dtype != np.uint8:
            raise CodecError(
                f"codec '{self.codec.spec.name}' compresses 8 bits a channel, "
                f"got {picture.pixels.dtype} pixels",
                hint="Convert the picture to 8 bits first: (pixels / 257).round().astype('uint8').",
            )
        pixels = np.ascontiguousarray(picture.pixels, dtype=np.uint8)
        level = self._draw_level(rng)
        return self.codec.encode(pixels, level, subsampling=self._draw_subsampling(rng))

    def _draw_level(self, rng: np.random.Generator) -> float:
        if isinstance(self.levels, Between):
            return float(rng.integers(self.levels.low, self.levels.high, endpoint=True))
        return float(self.levels[rng.integers(len(self.levels))])

    def _draw_subsampling(self, rng: np.random.Generator) -> Subsampling | None:
        if self.subsampling == "random":
            offered = self.codec.spec.subsamplings
            return offered[rng.integers(len(offered))]
        return self.subsampling

    def _check_levels(self) -> None:
        spec = self.codec.spec
        hint = f"{spec.scale.label} runs from {spec.scale.worst:g} (worst) to {spec.scale.best:g}."
        if isinstance(self.levels, Between):
            if self.levels.low > self.levels.high:
                raise CodecError(f"expected low <= high, got {self.levels}", hint=hint)
            asked: tuple[float, ...] = (self.levels.low, self.levels.high)
        else:
            asked = self.levels
        if not asked:
            raise CodecError(f"codec '{spec.name}' needs one level or more, got none", hint=hint)
        outside = [f"{level:g}" for level in asked if not spec.scale.contains(level)]
        if outside:
            raise CodecError(
                f"codec '{spec.name}' has no level {', '.join(outside)}",
                hint=hint,
            )

    def _check_subsampling(self) -> None:
        offered = self.codec.spec.subsamplings
        if self.subsampling not in (None, "random", *offered):
            raise CodecError(
                f"codec '{self.codec.spec.name}' has no chroma format '{self.subsampling}'",
                hint=f"It offers {', '.join(offered)}, or 'random'.",
            )


def _one_gray(pixels: Pixels) -> Pixels:
    # Conversion to YCbCr and back may leave the channels of a gray picture one step apart.
    gray = pixels.mean(axis=2, keepdims=True).round().astype(np.uint8)
    return np.repeat(gray, 3, axis=2)
