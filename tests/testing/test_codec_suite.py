"""Each check of the codec suite catches a codec that is broken in one place, with what to fix."""

from __future__ import annotations

import random
from dataclasses import replace

import numpy as np
import pytest
from steps_codec import HEAD, MAGIC, Steps

from diffir.contracts.codec import QualityScale
from diffir.testing import CodecSuite, run_suite
from diffir.testing.suite import check_names

SET_UP: list[str] = []


@pytest.fixture(autouse=True, scope="module")
def _set_up():
    SET_UP.append("in the main process only")


class TestSteps(CodecSuite):
    @pytest.fixture
    def codec(self):
        return Steps()


class SuffixWithoutDot(Steps):
    spec = replace(Steps.spec, suffixes=("stp",))


class LevelsLightestFirst(Steps):
    spec = replace(Steps.spec, levels=(90, 50, 20))


class EvenSizesOnly(Steps):
    def decode(self, data):
        pixels = super().decode(data)
        return pixels[: len(pixels) // 2 * 2 or 1]


class Floats(Steps):
    def decode(self, data):
        return super().decode(data).astype(np.float32)


class Mirrored(Steps):
    def decode(self, data):
        return super().decode(data)[:, ::-1]


class ReturnsALists(Steps):
    def decode(self, data):
        return super().decode(data).tolist()


class BlueCast(Steps):
    def decode(self, data):
        pixels = super().decode(data)
        pixels[:, :, 2] //= 2
        return pixels


class Scribbles(Steps):
    def encode(self, pixels, quality, *, subsampling=None):
        data = super().encode(pixels, quality, subsampling=subsampling)
        pixels[0, 0] ^= 1
        return data


class Counts(Steps):
    calls = 0

    def encode(self, pixels, quality, *, subsampling=None):
        Counts.calls += 1
        data = super().encode(pixels, quality, subsampling=subsampling)
        return data + bytes([Counts.calls % 256])


class Flickers(Steps):
    calls = 0

    def decode(self, data):
        Flickers.calls += 1
        return super().decode(data) ^ np.uint8(Flickers.calls % 2)


class QualityReversed(Steps):
    def step(self, quality):
        return 1 + round(quality) // 4


class Padded(Steps):
    def encode(self, pixels, quality, *, subsampling=None):
        data = super().encode(pixels, quality, subsampling=subsampling)
        return data + bytes(500 * (100 - round(quality)))

    def decode(self, data):
        return super().decode(data.rstrip(b"\0"))


class Bytes(Steps):
    def read_info(self, data):
        info = super().read_info(data)
        return replace(info, bits_per_pixel=info.bits_per_pixel / 8)


class NoSources(Steps):
    def read_info(self, data):
        return replace(super().read_info(data), sources={})


class OtherName(Steps):
    def read_info(self, data):
        return replace(super().read_info(data), name="stairs")


class QualityInSteps(Steps):
    def read_info(self, data):
        return replace(super().read_info(data), quality=500)


class SeverityIsQuality(Steps):
    def read_info(self, data):
        info = super().read_info(data)
        return replace(info, severity=info.quality / 100)


class SeverityInPercent(Steps):
    def read_info(self, data):
        info = super().read_info(data)
        return replace(info, severity=100 * info.severity)


class Shy(Steps):
    def recognizes(self, data):
        return False


class Greedy(Steps):
    def recognizes(self, data):
        return data[:4] != b"else"


class EmptyIsBlack(Steps):
    def decode(self, data):
        return super().decode(data) if data else np.zeros((1, 1, 3), np.uint8)


class EmptyIsAnIndexError(Steps):
    def recognizes(self, data):
        return data[0] == MAGIC[0] and super().recognizes(data)


class HeaderUnchecked(Steps):
    def head(self, data):
        return HEAD.unpack_from(data)[1:]  # struct.error where the header is cut short


class ChromaUnchecked(Steps):
    def head(self, data):
        if not self.recognizes(data) or len(data) < HEAD.size:
            return super().head(data)
        return HEAD.unpack_from(data)[1:]  # IndexError, ZeroDivisionError where it is damaged


class AnyQuality(Steps):
    def encode(self, pixels, quality, *, subsampling=None):
        within = np.nan_to_num(np.clip(quality, 1, 100))
        return super().encode(pixels, float(within or 1), subsampling=subsampling)


class RefusesWithValueError(Steps):
    def encode(self, pixels, quality, *, subsampling=None):
        if not self.spec.scale.contains(quality):
            raise ValueError("quality")
        return super().encode(pixels, quality, subsampling=subsampling)


class AnySubsampling(Steps):
    def encode(self, pixels, quality, *, subsampling=None):
        return super().encode(pixels, quality)


class LastSubsamplingIsDefault(Steps):
    def encode(self, pixels, quality, *, subsampling=None):
        return super().encode(pixels, quality, subsampling=subsampling or "4:4:4")


class HasALambda(Steps):
    def __init__(self):
        self.transform = lambda pixels: pixels


class ForgetsItsSettings(Steps):
    def __init__(self, tail=b"x"):
        self.tail = tail

    def __reduce__(self):
        return (type(self), (b"",))

    def encode(self, pixels, quality, *, subsampling=None):
        return super().encode(pixels, quality, subsampling=subsampling) + self.tail


class MainProcessOnly(Steps):
    def encode(self, pixels, quality, *, subsampling=None):
        if not SET_UP:
            raise RuntimeError("the encoder was not set up")
        return super().encode(pixels, quality, subsampling=subsampling)


class WritesItsProcess(Steps):
    def encode(self, pixels, quality, *, subsampling=None):
        data = super().encode(pixels, quality, subsampling=subsampling)
        return data + (b"x" if SET_UP else b"")


class Seeds(Steps):
    def encode(self, pixels, quality, *, subsampling=None):
        np.random.seed(0)
        return super().encode(pixels, quality, subsampling=subsampling)


class Draws(Steps):
    def decode(self, data):
        random.random()
        return super().decode(data)


class Chats(Steps):
    def read_info(self, data):
        print("reading", len(data))  # noqa: T201
        return super().read_info(data)


class MinimalScale(Steps):
    spec = replace(Steps.spec, scale=QualityScale("", worst=1, best=100), license=" ")


BROKEN = [
    (SuffixWithoutDot, "test_spec_is_complete", "suffixes with a dot, .*Correct these"),
    (MinimalScale, "test_spec_is_complete", "scale with a label .*; license, as an SPDX"),
    (LevelsLightestFirst, "test_spec_is_complete", "levels with the heaviest compression first"),
    (EvenSizesOnly, "test_any_size_comes_back", r"\(3, 5, 3\) .*, got \(2, 5, 3\) uint8.* Pad"),
    (Floats, "test_any_size_comes_back", "got .* float32, C-contiguous. .*settles dtype"),
    (Mirrored, "test_any_size_comes_back", "uint8, not C-contiguous"),
    (ReturnsALists, "test_any_size_comes_back", "got list"),
    (BlueCast, "test_gray_stays_gray", "at most 4 apart, got .* on average. Check the color"),
    (Scribbles, "test_input_is_left_alone", "input of encode unchanged, got other .*copy"),
    (Counts, "test_equal_pixels_give_equal_bytes", "equal bytes, got other .*one thread"),
    (Flickers, "test_equal_bytes_give_equal_pixels", "equal pixels, got other .*no state"),
    (QualityReversed, "test_lighter_levels_distort_less", "falls over .*Check the direction"),
    (Padded, "test_heavier_levels_take_fewer_bytes", r"byte counts that rise .*\[\d+, .*Order"),
    (Bytes, "test_bits_per_pixel_are_right", r"8 \* \d+ / \(67 \* 58\), got .*without the padding"),
    (NoSources, "test_info_tells_name_and_severity", r"sources of .*, got \{\}. Name a source"),
    (OtherName, "test_info_tells_name_and_severity", "the name 'steps' .*, got 'stairs'. Set"),
    (QualityInSteps, "test_info_tells_name_and_severity", "a quality on .*, got 500. Report"),
    (SeverityIsQuality, "test_info_tells_name_and_severity", "that do not rise .*severity"),
    (SeverityInPercent, "test_info_tells_name_and_severity", r"in \[0,1\], got .*heaviest"),
    (Shy, "test_recognizes_its_own_bytes", r"False for the levels \(?\[20, 50, 90\]. Compare"),
    (Greedy, "test_recognizes_no_other_bytes", "True for no bytes, zeros, .*jpeg, webp.*Ask"),
    (EmptyIsBlack, "test_empty_bytes_are_refused", "CodecError, got a result of type ndarray"),
    (EmptyIsAnIndexError, "test_empty_bytes_are_refused", "got IndexError: .*Raise diffir"),
    (HeaderUnchecked, "test_truncated_bytes_are_survived", "the first 1 of .*got error: .*Catch"),
    (ChromaUnchecked, "test_damaged_bytes_are_survived", "a wrong byte 9 .*, got IndexError"),
    (AnyQuality, "test_quality_off_the_scale_is_refused", "quality 0 on a scale from 1 to 100"),
    (RefusesWithValueError, "test_quality_off_the_scale_is_refused", "got ValueError: quality"),
    (AnySubsampling, "test_unknown_subsampling_is_refused", "'4:1:1' to raise .*type bytes"),
    (AnySubsampling, "test_each_subsampling_works", "'4:4:4', or None, got '4:2:0'. Pass"),
    (LastSubsamplingIsDefault, "test_each_subsampling_works", "None to encode as 4:2:0"),
    (HasALambda, "test_pickles", "HasALambda to go through pickle, got .*lambdas"),
    (ForgetsItsSettings, "test_pickles", "the pickled codec to write the same .*attributes"),
    (MainProcessOnly, "test_works_in_a_worker_process", "RuntimeError: the encoder was not set up"),
    (WritesItsProcess, "test_works_in_a_worker_process", "from a worker process, got other bytes"),
    (Seeds, "test_leaves_global_random_state_alone", "another state of numpy.random. Use a"),
    (Draws, "test_leaves_global_random_state_alone", "another state of random. Use a generator"),
    (Chats, "test_prints_nothing", r"to print nothing, got 'reading \d+\\n'. Remove the print"),
]


@pytest.mark.parametrize(("broken", "check", "message"), BROKEN)
def test_a_broken_codec_is_caught(broken, check, message):
    with pytest.raises(AssertionError, match=f"(?s)^expected .*?{message}"):
        getattr(CodecSuite(), check)(broken())


def test_no_check_is_without_a_codec_that_fails_it():
    assert {check for _, check, _ in BROKEN} == set(check_names(CodecSuite))


def test_native_chatter_is_heard():
    import os

    class Native(Steps):
        def decode(self, data):
            os.write(2, b"[lib] decoding\n")
            return super().decode(data)

    with pytest.raises(AssertionError, match=r"got '\[lib\] decoding"):
        CodecSuite().test_prints_nothing(Native())


def test_what_a_codec_raises_is_a_result():
    class Fails(Steps):
        def encode(self, pixels, quality, *, subsampling=None):
            raise KeyError("tables")

    by_name = {result.name: result for result in run_suite(CodecSuite, Fails())}
    result = by_name["test_any_size_comes_back"]
    assert not result.passed
    assert result.message == "expected no exception, got KeyError: 'tables'"
    assert by_name["test_spec_is_complete"].passed
