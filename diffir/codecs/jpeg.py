"""JPEG through Pillow (libjpeg-turbo), baseline, Huffman tables of the standard."""

from __future__ import annotations

from typing import TYPE_CHECKING

from diffir.codecs.ijg_quality import nearest_quality
from diffir.codecs.jpeg_headers import read_jpeg
from diffir.codecs.jpeg_traces import find_lattice
from diffir.codecs.provenance import sourced
from diffir.codecs.still_image import check_request, decode_pixels, encode_pixels
from diffir.contracts.codec import CodecInfo, CodecSpec, QualityScale

if TYPE_CHECKING:
    from diffir.contracts.codec import Pixels, Subsampling
    from diffir.contracts.coefficients import Coefficients


class Jpeg:
    """JPEG, ITU-T T.81 in a JFIF file. Quality is the IJG's 1..100, rounded to whole numbers."""

    spec = CodecSpec(
        name="jpeg",
        suffixes=(".jpg", ".jpeg", ".jpe", ".jfif"),
        scale=QualityScale("IJG quality", worst=1, best=100),
        levels=(10, 15, 20),
        license="IJG AND BSD-3-Clause",
    )

    def recognizes(self, data: bytes) -> bool:
        """Whether the bytes begin with a JPEG start-of-image marker and another marker."""
        return data.startswith(b"\xff\xd8\xff")

    def encode(
        self, pixels: Pixels, quality: float, *, subsampling: Subsampling | None = None
    ) -> bytes:
        """Compress `(H,W,3) uint8` RGB, up to 65500 pixels a side."""
        chroma = check_request(self.spec, quality, subsampling=subsampling)
        return encode_pixels(pixels, "JPEG", quality=round(quality), subsampling=chroma)

    def decode(self, data: bytes) -> Pixels:
        """Decompress to `(H,W,3) uint8` RGB."""
        return decode_pixels(data, "JPEG")

    def coefficients(self, data: bytes) -> Coefficients:
        """Read the quantized coefficients, exactly.

        Raises:
            CodecError: damaged, or of a kind that is not read: arithmetic coding, 12 bits, CMYK ...
        """
        from diffir.codecs.jpeg_coefficients import read_coefficients

        return read_coefficients(data)

    def read_info(self, data: bytes) -> CodecInfo:
        """Read tables, chroma format and process; quality is exact where the tables are the IJG's.

        Otherwise it is the nearest, an estimate, and `details["quality_distance"]` says how far
        off the tables are: the mean absolute difference of their steps.
        """
        header = read_jpeg(data)
        tables = header.used_tables
        quality, distance = nearest_quality(tables) if tables else (None, 0.0)
        details: dict[str, str | int | float | bool] = {
            "precision": header.precision,
            "components": len(header.components),
            "arithmetic": header.arithmetic,
            "sampling": ",".join(f"{c.across}x{c.down}" for c in header.components),
        }
        if header.adobe_transform is not None:
            details["adobe_transform"] = header.adobe_transform
        if distance:
            details["quality_distance"] = round(distance, 3)
        return sourced(
            CodecInfo(
                name="jpeg",
                quality=quality,
                severity=None if quality is None else self.spec.scale.severity(quality),
                tables=tables or None,
                subsampling=header.subsampling,
                bits_per_pixel=len(data) * 8 / (header.width * header.height),
                lossless=header.lossless,
                progressive=header.progressive,
                details=details,
            ),
            estimates=("quality", "severity") if distance else (),
        )

    def find_traces(self, pixels: Pixels) -> CodecInfo | None:
        """The quality that a picture once had as a JPEG, by the lattice of its coefficients."""
        found = find_lattice(pixels)
        if found is None:
            return None
        info = CodecInfo(
            name="jpeg",
            quality=found.quality,
            severity=self.spec.scale.severity(found.quality),
            grid=(found.row, found.column) if found.row or found.column else None,
            details={"quality_distance": round(found.distance, 3)} if found.distance else {},
        )
        return sourced(info, otherwise="pixels")
