"""A plugin in one file: GIF as a codec, whose quality is the number of colors.

diffir --plugin examples/own_codec_plugin.py degrade examples/photo.jpg --task gif-16 -o photo.gif
"""

from __future__ import annotations

import io

from diffir.contracts.codec import CodecInfo, CodecSpec, QualityScale
from diffir.errors import CodecError
from diffir.host.hookspecs import hookimpl


@hookimpl
def register_codecs(register):
    """Name the class by an import string; it is imported when it is first used."""
    register("gif", f"{__name__}:Gif", summary="GIF (a palette, through Pillow)")


class Gif:
    """Satisfies `diffir.contracts.codec.Codec` by its methods alone: it inherits nothing."""

    scale = QualityScale("colors", worst=2, best=256)
    spec = CodecSpec("gif", (".gif",), scale, (8, 16, 64), "MIT-CMU", subsamplings=("4:4:4",))

    def recognizes(self, data):
        """By magic numbers."""
        return data.startswith((b"GIF87a", b"GIF89a"))

    def encode(self, pixels, quality, *, subsampling=None):
        """Compress `(H,W,3) uint8` RGB."""
        from PIL import Image

        if not self.scale.contains(quality) or subsampling not in (None, "4:4:4"):
            raise CodecError(f"GIF has 2 to 256 colors in 4:4:4, got {quality} in {subsampling}")
        file = io.BytesIO()
        Image.fromarray(pixels).quantize(round(quality)).save(file, "GIF")
        return file.getvalue()

    def decode(self, data):
        """Decompress to `(H,W,3) uint8` RGB."""
        import numpy as np
        from PIL import Image

        try:
            return np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))
        except OSError as error:
            raise CodecError(f"a GIF picture was expected: {error}") from error

    def read_info(self, data):
        """Read the palette's size and the picture's, decoding no pixels."""
        if not self.recognizes(data) or len(data) < 13:
            raise CodecError(f"a GIF header was expected, got {data[:6]!r}")
        width, height = (int.from_bytes(data[i : i + 2], "little") for i in (6, 8))
        colors = 2 ** ((data[10] & 7) + 1)  # the palette's size is stored as a power of two
        facts = {"quality": colors, "severity": self.scale.severity(colors)}
        facts |= {"subsampling": "4:4:4", "bits_per_pixel": len(data) * 8 / (width * height)}
        return CodecInfo("gif", **facts, sources=dict.fromkeys(["name", *facts], "bitstream"))
