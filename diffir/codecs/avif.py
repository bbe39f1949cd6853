"""AVIF through Pillow (libavif with libaom)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from diffir.codecs.av1_headers import Av1Header, read_av1
from diffir.codecs.heif_items import HeifImage, read_heif_image
from diffir.codecs.iso_boxes import read_brands
from diffir.codecs.provenance import sourced
from diffir.codecs.still_image import check_request, decode_pixels, encode_pixels
from diffir.contracts.codec import CodecInfo, CodecSpec, QualityScale
from diffir.errors import CodecError

if TYPE_CHECKING:
    from diffir.contracts.codec import Pixels, Subsampling

_QUANTIZERS = (0, 32, 60, 92, 120, 148, 172, 196, 216, 236, 255)
"""`base_q_idx` that libavif 1.4 with libaom writes at quality 100, 90, ... 0; measured."""


class Avif:
    """AVIF: one AV1 key frame in a HEIF file. Quality is libavif's 0..100, in whole numbers."""

    spec = CodecSpec(
        name="avif",
        suffixes=(".avif", ".avifs"),
        scale=QualityScale("AVIF quality", worst=0, best=100),
        levels=(10, 20, 30),
        license="BSD-2-Clause",
    )

    def recognizes(self, data: bytes) -> bool:
        """Whether the brands say AVIF, or a general HEIF file's primary picture is AV1."""
        brands = read_brands(data)
        if not {"avif", "avis"}.isdisjoint(brands):
            return True
        if {"mif1", "msf1"}.isdisjoint(brands):
            return False
        try:
            return read_heif_image(data).kind == "av01"
        except CodecError:
            return False

    def encode(
        self, pixels: Pixels, quality: float, *, subsampling: Subsampling | None = None
    ) -> bytes:
        """Compress `(H,W,3) uint8` RGB, up to 65535 pixels a side."""
        chroma = check_request(self.spec, quality, subsampling=subsampling)
        # The bytes differ between one thread and several, and Pillow's own choice follows the
        # machine's cores; any number from two up gives the same bytes.
        return encode_pixels(
            pixels, "AVIF", quality=round(quality), subsampling=chroma, max_threads=2
        )

    def decode(self, data: bytes) -> Pixels:
        """Decompress the primary picture to `(H,W,3) uint8` RGB; alpha is dropped."""
        return decode_pixels(data, "AVIF")

    def read_info(self, data: bytes) -> CodecInfo:
        """Read the base quantizer and the color format; quality is estimated from the quantizer.

        Severity is the quantizer's share of 255. `lossless` is true of RGB or gray samples coded
        exactly; exact YCbCr samples (`details["exact_samples"]`) are rounded colors already.
        """
        image = read_heif_image(data)
        if image.kind != "av01":
            raise CodecError(
                f"the primary picture of the file is {image.kind!r}, expected 'av01'",
                hint="Other codecs use the same container: HEIC files are the hevc codec's.",
            )
        header = read_av1(image.bitstream)
        width, height = image.width or header.width, image.height or header.height
        exact_colors = header.subsampling == "4:0:0" or header.matrix == 0
        return sourced(
            CodecInfo(
                name="avif",
                quality=libavif_quality(header),
                severity=header.base_q_idx / 255,
                quantizer=header.base_q_idx,
                subsampling=header.subsampling,
                bits_per_pixel=len(data) * 8 / (width * height),
                lossless=header.lossless and exact_colors,
                progressive="a1lx" in image.properties,
                details=_details(image, header, brands=read_brands(data)),
            ),
            estimates=("quality",),
        )


def libavif_quality(header: Av1Header) -> float:
    """The quality at which libavif chooses the header's quantizer.

    Up to version 1.1 it divides the 64 steps of libaom's own scale evenly; since, libaom is tuned
    for still pictures, which switches quantizer matrices on and bends the scale.
    """
    if header.quantizer_matrices:
        return round(float(np.interp(header.base_q_idx, _QUANTIZERS, range(100, -1, -10))), 1)
    return round(100 * (1 - header.base_q_idx / 255), 1)


def _details(
    image: HeifImage, header: Av1Header, *, brands: tuple[str, ...]
) -> dict[str, str | int | float | bool]:
    details: dict[str, str | int | float | bool] = {
        "brand": brands[0] if brands else "",
        "bit_depth": header.bit_depth,
        "profile": header.profile,
        "full_range": header.full_range,
        "matrix": header.matrix,
        "quantizer_matrices": header.quantizer_matrices,
        "exact_samples": header.lossless,
        "animated": "avis" in brands,
        "auxiliary": image.auxiliary,
        "tiles": image.tiles,
    }
    for kind in ("colr", "irot", "imir", "clap"):
        details[kind] = kind in image.properties
    if any(header.quantizer_deltas):
        details["quantizer_deltas"] = ",".join(map(str, header.quantizer_deltas))
    return details
