"""HEIC through pillow-heif (libheif with x265); decoded and read by diffir's own codec hevc."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pillow_heif

from diffir.codecs.heic import is_heic
from diffir.codecs.hevc import Hevc
from diffir.codecs.provenance import sourced
from diffir.codecs.still_image import check_request, encode_pixels
from diffir.contracts.codec import CodecSpec, QualityScale
from diffir.errors import CodecError

if TYPE_CHECKING:
    from diffir.contracts.codec import CodecInfo, Pixels, Subsampling

pillow_heif.register_heif_opener()  # the format "HEIF" of Pillow

# x265 without threads of its own: their number would show in the bytes.
X265 = {"x265:pools": "none", "x265:frame-threads": "1"}
INTRA_OFFSET = 3
"""By how much x265 codes intra frames finer than it is asked to."""


class Heic:
    """HEIC, ISO/IEC 23008-12: one HEVC picture in a HEIF file. Quality is libheif's, 0..100.

    libheif asks x265 for a QP of half of what is missing to 100, so `read_info` gets the quality
    back from the slice QP, to within 1. Files are recognized by diffir's own codec `hevc` first,
    whose experts know what HEVC does to pictures; this codec is there to make them.
    """

    spec = CodecSpec(
        name="heic",
        suffixes=(".heic", ".heif"),
        scale=QualityScale("HEIC quality", worst=0, best=100),
        # On crops of LIVE1 24.8, 26.3 and 27.9 dB, near to AVIF at 10, 20 and 30.
        levels=(12, 18, 24),
        license="LGPL-3.0-or-later AND GPL-2.0-or-later",
    )

    def recognizes(self, data: bytes) -> bool:
        """Whether this is a HEIF file whose picture is coded in HEVC."""
        return is_heic(data)

    def encode(
        self, pixels: Pixels, quality: float, *, subsampling: Subsampling | None = None
    ) -> bytes:
        """Compress `(H,W,3) uint8` RGB; `quality` is rounded to a whole number.

        Raises:
            CodecError: quality outside the scale, unknown chroma, or libheif refused.
        """
        chosen = check_request(self.spec, quality, subsampling=subsampling)
        return encode_pixels(
            pixels,
            "HEIF",
            quality=round(quality),
            chroma=chosen.replace(":", ""),
            enc_params=X265,
            tile_size=0,
        )

    def decode(self, data: bytes) -> Pixels:
        """Decompress to `(H,W,3) uint8` RGB, upright: as diffir does without this plugin.

        Raises:
            CodecError: the bytes are damaged, cut short, or not HEIC.
        """
        _check(data)
        return Hevc().decode(data)

    def read_info(self, data: bytes) -> CodecInfo:
        """Slice QP, chroma format and profile; quality is estimated from the QP.

        Raises:
            CodecError: the bytes are damaged, cut short, or not HEIC.
        """
        _check(data)
        info = Hevc().read_info(data)
        quality = None
        if info.quantizer is not None:
            quality = min(100.0, max(0.0, 100 - 2 * (info.quantizer + INTRA_OFFSET)))
        severity = None if quality is None else self.spec.scale.severity(quality)
        named = replace(info, name=self.spec.name, quality=quality, severity=severity)
        return sourced(named, estimates=("quality", "severity"))


def _check(data: bytes) -> None:
    if not is_heic(data):
        raise CodecError(
            f"a HEIC file was expected, these bytes begin with {data[:12]!r}",
            hint="Bare streams and video files of HEVC are the codec hevc's, AVIF files avif's.",
        )
