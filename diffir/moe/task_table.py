"""Which of the method's 21 tasks a picture is of, for the published gates, one per task.

The order is that of the published training: three levels of seven codecs. The published model is
told the task; here it is read from the picture's `CodecInfo`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from diffir.contracts.codec import CodecInfo

LEVELS: dict[str, tuple[float, float, float]] = {
    "jpeg": (10, 15, 20),
    "vvc": (47, 42, 37),
    "hevc": (47, 42, 37),
    "webp": (1, 5, 10),
    "cheng2020-psnr": (1, 2, 3),
    "cheng2020-ssim": (1, 2, 3),
    "generative": (1, 2, 3),
}
"""Qualities on each codec's own scale, in the order of the tasks."""

TASKS = sum(len(levels) for levels in LEVELS.values())


def tasks_of(codec: CodecInfo) -> Sequence[int]:
    """The tasks that a picture may be of: the nearest level of its codec.

    All three levels where the quality is not known; none for another codec, or where nothing is
    known, which the published code does not provide for: its gates are averaged then.
    """
    if codec.name not in LEVELS:
        return ()
    first = 3 * list(LEVELS).index(codec.name)
    if codec.quality is None:
        return range(first, first + 3)
    quality = codec.quality
    distances = [abs(level - quality) for level in LEVELS[codec.name]]
    return (first + distances.index(min(distances)),)
