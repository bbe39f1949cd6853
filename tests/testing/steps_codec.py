"""A codec small enough to break: pixels in coarse steps, deflated. Workers can import it."""

from __future__ import annotations

import struct
import zlib

import numpy as np

from diffir.contracts.codec import CodecInfo, CodecSpec, QualityScale
from diffir.errors import CodecError

HEAD = struct.Struct(">4sHHBB")
MAGIC = b"STPS"


class Steps:
    spec = CodecSpec(
        "steps", (".stp",), QualityScale("q", worst=1, best=100), (20, 50, 90), "Apache-2.0"
    )

    def recognizes(self, data):
        return data.startswith(MAGIC)

    def encode(self, pixels, quality, *, subsampling=None):
        if not self.spec.scale.contains(quality):
            raise CodecError(f"quality must be in 1..100, got {quality}")
        chosen = subsampling or self.spec.subsamplings[0]
        if chosen not in self.spec.subsamplings:
            raise CodecError(f"no subsampling {chosen}")
        height, width = pixels.shape[:2]
        chroma = self.spec.subsamplings.index(chosen)
        coarse = zlib.compress((pixels // self.step(quality)).tobytes())
        return HEAD.pack(MAGIC, height, width, round(quality), chroma) + coarse

    def decode(self, data):
        height, width, quality, _ = self.head(data)
        try:
            raw = zlib.decompress(data[HEAD.size :])
        except zlib.error as error:
            raise CodecError(f"damaged: {error}") from error
        if len(raw) != height * width * 3:
            raise CodecError(f"{height * width * 3} samples were expected, got {len(raw)}")
        step = self.step(quality)
        steps = np.frombuffer(raw, np.uint8).reshape(height, width, 3).astype(int)
        return np.clip(steps * step + step // 2, 0, 255).astype(np.uint8)

    def read_info(self, data):
        height, width, quality, chroma = self.head(data)
        facts = {
            "name": self.spec.name,
            "quality": quality,
            "severity": self.spec.scale.severity(quality),
            "subsampling": self.spec.subsamplings[chroma],
            "bits_per_pixel": 8 * len(data) / (height * width),
        }
        return CodecInfo(**facts, sources=dict.fromkeys(facts, "bitstream"))

    def head(self, data):
        if not self.recognizes(data) or len(data) < HEAD.size:
            raise CodecError(f"a header was expected, got {data[:4]!r}")
        _, height, width, quality, chroma = HEAD.unpack_from(data)
        if not (height and width and 1 <= quality <= 100 and chroma < len(self.spec.subsamplings)):
            raise CodecError("a damaged header")
        return height, width, quality, chroma

    def step(self, quality):
        return 1 + (100 - round(quality)) // 4
