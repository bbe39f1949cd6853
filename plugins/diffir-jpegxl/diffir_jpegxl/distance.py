"""From libjxl's quantizer back to the distance and the quality that its encoder was asked for.

libjxl turns quality into a Butteraugli distance (`JxlEncoderDistanceFromQuality`), halves pictures
of large distances and asks for a smaller one then, and divides a constant by the distance to get
`global_scale`. Measured with libjxl 0.11 at effort 6: exact but for rounding. At other efforts, and
for other encoders, an estimate.
"""

from __future__ import annotations

import math

# 0.78 (the quantizer for distance 1) * 2**16 (steps of global_scale) / 10 (twice the median of the
# quantization field).
SCALE_AT_DISTANCE_1 = 0.78 * 65536 / 10
KNEE = 30.0
"""The quality at which the map to distances changes from a parabola to a line."""


def distance_of(global_scale: int, *, upsampling: int) -> float:
    """The distance that was asked for; `upsampling` is 1, or 2 where the picture was halved."""
    # In the middle of the step that rounding down leaves.
    coded = SCALE_AT_DISTANCE_1 / (global_scale + 0.5)
    return 4 * coded - 1 if upsampling == 2 else coded


def quality_of(distance: float) -> float:
    """The quality, 1 to 100 to one decimal, for which libjxl takes that distance."""
    line = 100 - (distance - 0.1) / 0.09
    if line >= KNEE:
        return round(min(100.0, line), 1)
    # 53/3000 q^2 - 23/20 q + 25 = distance, the smaller root.
    root = math.sqrt(max(0.0, (23 / 20) ** 2 - 4 * (53 / 3000) * (25 - distance)))
    return round(max(1.0, (23 / 20 - root) / (2 * 53 / 3000)), 1)
