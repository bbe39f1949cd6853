"""From the quantizer of AV1 and VP9 encoders, 0 to 63, to the stream's `base_q_idx`, 0 to 255.

The table is that of libvpx (`quantizer_to_qindex`), which libaom and SVT-AV1 share.
"""

from __future__ import annotations

QUANTIZER_TO_INDEX = (*range(0, 248, 4), 249, 255)
MAX_INDEX = 255


def nearest_quantizer(index: int) -> int:
    """The quantizer whose `base_q_idx` lies nearest to this one.

    >>> nearest_quantizer(255), nearest_quantizer(100), nearest_quantizer(0)
    (63, 25, 0)
    """
    return min(
        range(len(QUANTIZER_TO_INDEX)), key=lambda entry: abs(QUANTIZER_TO_INDEX[entry] - index)
    )
