from __future__ import annotations

import movies
import numpy as np
import pytest

from diffir.codecs.av1 import Av1
from diffir.codecs.av1_sequence import units
from diffir.codecs.ivf import write_ivf
from diffir.codecs.picture_stamp import Stamp, cropped, read_stamp_payload, stamp_payload
from diffir.codecs.quantizer_index import QUANTIZER_TO_INDEX, nearest_quantizer
from diffir.errors import CodecError

PIXELS = np.random.default_rng(0).integers(0, 256, (70, 66, 3), dtype=np.uint8)


def test_key_frames_get_a_finer_quantizer_than_crf_says():
    for crf in (40, 50, 60):
        info = Av1().read_info(Av1().encode(PIXELS, crf))
        assert info.sources["quality"] == "estimate"
        assert 4 * info.quality == pytest.approx(info.quantizer, abs=2)
        assert crf - 12 < info.quality <= crf
        assert info.severity == info.quantizer / 255


def test_crf_zero_is_not_taken_for_the_default():
    assert Av1().read_info(Av1().encode(PIXELS, 0)).quantizer == 0


def test_only_pictures_below_four_pixels_need_a_stamp():
    small, large = Av1().encode(PIXELS[:3, :9], 40), Av1().encode(PIXELS[:5, :9], 40)
    assert [kind for kind, _ in units(small)] == [2, 1, 5, 6]
    assert [kind for kind, _ in units(large)] == [2, 1, 6]


def test_several_temporal_units_are_a_movie(monkeypatch):
    monkeypatch.setenv("SVT_LOG", "-1")
    packets = movies.stream("libsvtav1", count=3, preset="10", **{"svtav1-params": "lp=1"})
    movie = b"".join(packets)
    if not movie.startswith(b"\x12\x00"):
        movie = b"".join(b"\x12\x00" + packet for packet in packets)
    assert Av1().read_info(movie).details["frames"] == 3
    with pytest.raises(CodecError, match="AV1 stream is a movie of several frames"):
        Av1().decode(movie)


def test_ivf_is_read_as_the_bare_stream_is():
    stream = Av1().encode(PIXELS[:2, :9], 40)
    file = write_ivf(b"AV01", (9, 2), [stream])
    assert Av1().recognizes(file)
    np.testing.assert_array_equal(Av1().decode(file), Av1().decode(stream))


def test_the_table_is_inverted_to_the_nearest_entry():
    assert [nearest_quantizer(index) for index in QUANTIZER_TO_INDEX] == list(range(64))


def test_a_stamp_that_does_not_fit_is_refused():
    assert read_stamp_payload(stamp_payload(Stamp(3, 2, 9))) == Stamp(3, 2, 9)
    assert read_stamp_payload(b"somebody else's data of any length") is None
    with pytest.raises(CodecError, match="says that its picture is 0x2"):
        read_stamp_payload(stamp_payload(Stamp(0, 2)))
    with pytest.raises(CodecError, match="picture is 99x2, but decodes to 66x70"):
        cropped(PIXELS, Stamp(99, 2))
