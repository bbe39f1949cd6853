"""A degradation small enough to break: rounds pixels to steps that the generator draws."""

from __future__ import annotations

import numpy as np

from diffir.contracts.codec import CodecInfo


class StepsDegradation:
    def degrade(self, picture, rng):
        return picture.with_pixels(self.stepped(picture, rng), codec=self.info())

    def stepped(self, picture, rng):
        step = int(rng.integers(2, 40))
        return (picture.pixels // step * step).astype(np.uint8)

    def info(self):
        return CodecInfo(name="steps", severity=0.5, sources={"name": "user", "severity": "user"})
