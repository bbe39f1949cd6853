from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from diffir.codecs.avc import Avc
from diffir.codecs.intra_frame import decode_intra, encode_intra, padded
from diffir.codecs.nal_records import avc_units, hevc_units
from diffir.codecs.nal_units import (
    escape,
    join_annex_b,
    split_annex_b,
    split_length_prefixed,
    unescape,
)
from diffir.errors import CodecError

PIXELS = np.arange(7 * 5 * 3, dtype=np.uint8).reshape(7, 5, 3)


def test_padding_repeats_the_edges():
    larger = padded(PIXELS, multiple=4, least=9)
    assert larger.shape == (12, 12, 3)
    np.testing.assert_array_equal(larger[:7, :5], PIXELS)
    assert (larger[7:, :5] == PIXELS[-1]).all()
    assert (larger[:7, 5:] == PIXELS[:, -1:]).all()


def test_what_ffmpeg_refuses_is_a_codec_error():
    with pytest.raises(CodecError, match="libx264 refused 5x7"):
        encode_intra(PIXELS, "libx264", options={}, subsampling="4:2:0")
    with pytest.raises(CodecError, match="no-such-encoder refused 5x7"):
        encode_intra(PIXELS, "no-such-encoder", options={}, subsampling="4:2:0")
    with pytest.raises(CodecError, match="pcm_s16le is not a video encoder"):
        encode_intra(PIXELS, "pcm_s16le", options={}, subsampling="4:2:0")
    with pytest.raises(CodecError, match="pcm_s16le is not a video decoder"):
        decode_intra([b"1234"], "pcm_s16le")
    with pytest.raises(CodecError, match="h264 could not decode the bytes"):
        decode_intra([b"1234"], "h264")
    with pytest.raises(CodecError, match="found no complete picture"):
        decode_intra([], "h264")
    one = Avc().encode(PIXELS, 30)
    with pytest.raises(CodecError, match="is a movie of several frames"):
        decode_intra([one, one], "h264")


@given(st.binary(max_size=64) | st.lists(st.sampled_from(b"\0\0\0\1\2\3\4")).map(bytes))
def test_emulation_prevention_round_trips(unit):
    escaped = escape(unit)
    assert unescape(escaped) == unit
    assert not any(code in escaped for code in (b"\0\0\0", b"\0\0\1", b"\0\0\2"))


@given(st.lists(st.binary(min_size=1, max_size=20).map(lambda unit: escape(unit + b"\x80"))))
def test_byte_streams_and_samples_hold_the_same_units(units):
    assert split_annex_b(join_annex_b(units)) == units
    sample = b"".join(len(unit).to_bytes(4, "big") + unit for unit in units)
    assert split_length_prefixed(sample) == units


def test_samples_and_records_that_are_cut_short_are_refused():
    with pytest.raises(CodecError, match="9 bytes was announced, 2 are left"):
        split_length_prefixed(b"\0\0\0\x09ab")
    for read in (avc_units, hevc_units):
        with pytest.raises(CodecError, match="the bitstream ends early"):
            read(b"\1\2\3", [])


def test_files_whose_record_is_a_byte_stream_are_read():
    for read in (avc_units, hevc_units):
        assert read(b"\0\0\1set", [b"\0\0\0\1unit"]) == [b"set", b"unit"]
        assert read(b"", [b"\0\0\1unit"]) == [b"unit"]
