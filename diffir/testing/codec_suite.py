"""The conformance suite of codecs: what `diffir.contracts.codec` says, as checks."""

from __future__ import annotations

import itertools
import math
import re
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from diffir.testing.codec_verdicts import (
    foreign_bytes,
    require_codec_error,
    require_pixels,
    require_survival,
    survives,
)
from diffir.testing.fresh_process import call_in_fresh_process, pickled
from diffir.testing.info_facts import require_facts
from diffir.testing.sample_pictures import ODD_SIZES, gray_scene, scene
from diffir.testing.side_effects import random_state_required, silence_required
from diffir.testing.suite import Suite, require

if TYPE_CHECKING:
    from diffir.contracts.codec import Codec

NAME = re.compile(r"[a-z0-9]+([-_.][a-z0-9]+)*")
HEIGHT, WIDTH = 67, 58
"""Of the picture that most checks compress: neither even nor a multiple of any block."""


class CodecSuite(Suite):
    """Checks one codec. The fixture `codec` returns the object.

    gray_tolerance: how far the channels of a gray picture may come apart, the mean over pixels, in
    steps of 255, at the lightest level.
    monotone_tolerance: by which share a lighter level may have a larger mean squared error, or a
    heavier level more bytes, on one small picture.
    """

    gray_tolerance: ClassVar[float] = 4.0
    monotone_tolerance: ClassVar[float] = 0.05

    def test_spec_is_complete(self, codec: Codec) -> None:
        """Name, suffixes, scale, levels, license and chroma formats are there and agree."""
        spec = codec.spec
        scale = spec.scale
        severities = [scale.severity(level) for level in spec.levels]
        rules = {
            "name in lower case, without spaces": NAME.fullmatch(spec.name),
            "suffixes with a dot, in lower case": spec.suffixes
            and all(re.fullmatch(r"\.[a-z0-9]+", suffix) for suffix in spec.read_suffixes),
            "scale with a label and two different ends": scale.label and scale.worst != scale.best,
            "levels on the scale": spec.levels and all(map(scale.contains, spec.levels)),
            "levels with the heaviest compression first": severities
            == sorted(set(severities), reverse=True),
            "license, as an SPDX expression": spec.license.strip(),
            "subsamplings, the default first": spec.subsamplings,
        }
        wrong = [rule for rule, holds in rules.items() if not holds]
        require(
            not wrong, expected="; ".join(wrong), got=spec, fix="Correct these fields of `spec`."
        )

    def test_any_size_comes_back(self, codec: Codec) -> None:
        """From 1x1 up, odd sides too: `(H,W,3) uint8`, C-contiguous, at every level."""
        sizes = zip(ODD_SIZES, itertools.cycle(codec.spec.levels))
        for (height, width), level in sizes:
            decoded = codec.decode(codec.encode(scene(height, width), level))
            require_pixels(decoded, (height, width), fix="Pad inside encode, crop in decode.")

    def test_gray_stays_gray(self, codec: Codec) -> None:
        """A picture with three equal channels comes back without a color cast."""
        pixels = gray_scene(HEIGHT, WIDTH)
        decoded = codec.decode(codec.encode(pixels, codec.spec.levels[-1]))
        apart = float(np.mean(decoded.max(axis=2).astype(float) - decoded.min(axis=2)))
        require(
            apart <= self.gray_tolerance,
            expected=f"channels of a gray picture at most {self.gray_tolerance:g} apart",
            got=f"{apart:.1f} on average",
            fix="Check the color matrix and range, and that they are the same both ways.",
        )

    def test_input_is_left_alone(self, codec: Codec) -> None:
        """Encoding does not write into the array that it gets."""
        pixels = scene(HEIGHT, WIDTH)
        codec.encode(pixels, codec.spec.levels[0])
        require(
            np.array_equal(pixels, scene(HEIGHT, WIDTH)),
            expected="the input of encode unchanged",
            got="other pixels",
            fix="Work on a copy: pixels.copy().",
        )

    def test_equal_pixels_give_equal_bytes(self, codec: Codec) -> None:
        """Encoding is a function of pixels and quality, whatever was encoded in between."""
        first, level = _sample(codec), codec.spec.levels[0]
        codec.encode(gray_scene(20, 30), codec.spec.levels[-1])
        require(
            codec.encode(scene(HEIGHT, WIDTH), level) == first,
            expected="equal pixels and quality to give equal bytes",
            got="other bytes at the second call",
            fix="Encode in one thread, write no dates, and keep no state between calls.",
        )

    def test_equal_bytes_give_equal_pixels(self, codec: Codec) -> None:
        """Decoding is a function of the bytes."""
        data = _sample(codec)
        require(
            np.array_equal(codec.decode(data), codec.decode(data)),
            expected="equal bytes to decode to equal pixels",
            got="other pixels at the second call",
            fix="Decode in one thread, draw no random numbers, and keep no state between calls.",
        )

    def test_lighter_levels_distort_less(self, codec: Codec) -> None:
        """Over `spec.levels`, the mean squared error falls."""
        pixels = scene(96, 96)
        errors = [
            float(np.mean((codec.decode(codec.encode(pixels, level)) - pixels.astype(float)) ** 2))
            for level in codec.spec.levels
        ]
        slack = 1 + self.monotone_tolerance
        falls = all(light <= heavy * slack for heavy, light in itertools.pairwise(errors))
        require(
            falls and (len(errors) == 1 or errors[-1] < errors[0]),
            expected=f"a mean squared error that falls over the levels {codec.spec.levels}",
            got=", ".join(f"{error:.1f}" for error in errors),
            fix="Check the direction of spec.scale, and that quality reaches the encoder.",
        )

    def test_heavier_levels_take_fewer_bytes(self, codec: Codec) -> None:
        """Over `spec.levels`, the number of bytes rises."""
        sizes = [len(codec.encode(scene(96, 96), level)) for level in codec.spec.levels]
        slack = 1 + self.monotone_tolerance
        require(
            all(heavy <= light * slack for heavy, light in itertools.pairwise(sizes)),
            expected=f"byte counts that rise over the levels {codec.spec.levels}",
            got=sizes,
            fix="Order spec.levels by compression, the heaviest first.",
        )

    def test_bits_per_pixel_are_right(self, codec: Codec) -> None:
        """`read_info` reports the bits of all bytes over the pixels of the picture."""
        data = _sample(codec)
        right = 8 * len(data) / (HEIGHT * WIDTH)
        reported = codec.read_info(data).bits_per_pixel
        require(
            reported is not None and math.isclose(reported, right, rel_tol=1e-3),
            expected=f"bits_per_pixel of {right:.4f}: 8 * {len(data)} / ({HEIGHT} * {WIDTH})",
            got=reported,
            fix="Divide by the size that went in, without the padding.",
        )

    def test_info_tells_name_and_severity(self, codec: Codec) -> None:
        """`read_info` names the codec, each fact's source, and a severity that follows quality."""
        infos = [codec.read_info(codec.encode(scene(96, 96), level)) for level in codec.spec.levels]
        for info in infos:
            require_facts(info, of="read_info's result")
            require(
                info.name == codec.spec.name,
                expected=f"the name {codec.spec.name!r} in read_info's result",
                got=repr(info.name),
                fix="Set CodecInfo.name to spec.name.",
            )
            require(
                info.quality is None or codec.spec.scale.contains(info.quality),
                expected=f"a quality on {codec.spec.scale}, or None",
                got=info.quality,
                fix="Report it on the scale of `encode`, and leave None what the bytes hide.",
            )
        severities = [info.severity for info in infos if info.severity is not None]
        require(
            severities == sorted(severities, reverse=True),
            expected=f"severities that do not rise over the levels {codec.spec.levels}",
            got=severities,
            fix="Take the severity from spec.scale.severity(quality).",
        )

    def test_recognizes_its_own_bytes(self, codec: Codec) -> None:
        """At every level."""
        strangers = [
            level
            for level in codec.spec.levels
            if not codec.recognizes(codec.encode(scene(17, 16), level))
        ]
        require(
            not strangers,
            expected="recognizes to be true for what encode wrote",
            got=f"False for the levels {strangers}",
            fix="Compare with the magic number that encode writes.",
        )

    def test_recognizes_no_other_bytes(self, codec: Codec) -> None:
        """Neither nothing, nor noise, nor what the other codecs that are there write."""
        claimed = [name for name, data in foreign_bytes(codec.spec) if codec.recognizes(data)]
        require(
            not claimed,
            expected="recognizes to be false for the bytes of others",
            got=f"True for {', '.join(claimed)}",
            fix="Ask for more of the format's own syntax than its first byte.",
        )

    def test_empty_bytes_are_refused(self, codec: Codec) -> None:
        """With CodecError, by `decode` and by `read_info`."""
        require_codec_error(lambda: codec.decode(b""), "decode of no bytes")
        require_codec_error(lambda: codec.read_info(b""), "read_info of no bytes")

    def test_truncated_bytes_are_survived(self, codec: Codec) -> None:
        """Cut anywhere, bytes are refused with CodecError or decode to a picture."""
        data = _sample(codec)
        shares = (len(data) * percent // 100 for percent in (5, 30, 60, 90, 98))
        for length in (1, 4, 9, *shares):
            require_survival(codec, data[:length], f"the first {length} of {len(data)} bytes")

    def test_damaged_bytes_are_survived(self, codec: Codec) -> None:
        """Noise, and files with wrong bytes, are refused with CodecError or decode to a picture."""
        data = np.frombuffer(_sample(codec), np.uint8)
        rng = np.random.default_rng(0)
        require_survival(codec, rng.bytes(500), "500 bytes of noise")
        for place in range(min(24, data.size)):  # one byte of the header after the other
            damaged = data.copy()
            damaged[place] ^= 0xFF
            require_survival(codec, damaged.tobytes(), f"a file with a wrong byte {place}")
        for count in (1, 4, 16):
            damaged = data.copy()
            damaged[rng.integers(0, data.size, count)] ^= 0x55
            require_survival(codec, damaged.tobytes(), f"a file with {count} wrong bytes")

    def test_quality_off_the_scale_is_refused(self, codec: Codec) -> None:
        """With CodecError, beyond both ends, and where it is no number."""
        scale = codec.spec.scale
        step = math.copysign(1, scale.best - scale.worst)
        for quality in (scale.worst - step, scale.best + step, math.nan):
            require_codec_error(
                lambda value=quality: codec.encode(scene(17, 16), value),  # type: ignore[misc]
                f"encode with quality {quality:g} on a scale from {scale.worst:g} to "
                f"{scale.best:g}",
            )

    def test_unknown_subsampling_is_refused(self, codec: Codec) -> None:
        """With CodecError."""
        require_codec_error(
            lambda: codec.encode(
                scene(17, 16),
                codec.spec.levels[0],
                subsampling="4:1:1",  # type: ignore[arg-type]
            ),
            "encode with subsampling '4:1:1'",
        )

    def test_each_subsampling_works(self, codec: Codec) -> None:
        """What `spec.subsamplings` declares is encoded and reported; the first is the default."""
        pixels, level = scene(33, 47), codec.spec.levels[0]
        for subsampling in codec.spec.subsamplings:
            data = codec.encode(pixels, level, subsampling=subsampling)
            require_pixels(codec.decode(data), (33, 47), fix=f"Look at {subsampling}.")
            reported = codec.read_info(data).subsampling
            require(
                reported in (None, subsampling),
                expected=f"read_info to report subsampling {subsampling!r}, or None",
                got=repr(reported),
                fix="Pass subsampling to the encoder, or drop it from spec.subsamplings.",
            )
        default = codec.spec.subsamplings[0]
        require(
            codec.encode(pixels, level) == codec.encode(pixels, level, subsampling=default),
            expected=f"subsampling=None to encode as {default}, the first of spec.subsamplings",
            got="other bytes",
            fix="Write: subsampling or self.spec.subsamplings[0].",
        )

    def test_pickles(self, codec: Codec) -> None:
        """A copy that went through pickle writes the same bytes."""
        copy = pickled(codec)
        require(
            copy.encode(scene(HEIGHT, WIDTH), codec.spec.levels[0]) == _sample(codec),
            expected="the pickled codec to write the same bytes",
            got="other bytes",
            fix="Keep every setting in attributes that pickle takes along.",
        )

    def test_works_in_a_worker_process(self, codec: Codec) -> None:
        """A new process, as a data loader starts it, gets the same bytes."""
        arguments = (scene(HEIGHT, WIDTH), codec.spec.levels[0])
        answer = call_in_fresh_process(codec, "encode", *arguments)
        require(
            answer.result == _sample(codec),
            expected="the same bytes from a worker process",
            got="other bytes",
            fix="Do not rely on settings that only the main process has made.",
        )

    def test_leaves_global_random_state_alone(self, codec: Codec) -> None:
        """Neither draws from nor seeds the generators of random, numpy and torch."""
        fix = "Use a generator of your own with a fixed seed."
        with random_state_required("encode, decode and read_info", fix=fix):
            _work(codec)

    def test_prints_nothing(self, codec: Codec) -> None:
        """Neither to stdout nor to stderr, on good bytes and on damaged ones."""
        with silence_required("encode, decode and read_info"):
            data = _work(codec)
            for part in (data[: len(data) // 2], b"no picture"):
                survives(lambda part=part: codec.decode(part))  # type: ignore[misc]


def _sample(codec: Codec) -> bytes:
    return codec.encode(scene(HEIGHT, WIDTH), codec.spec.levels[0])


def _work(codec: Codec) -> bytes:
    data = _sample(codec)
    codec.decode(data)
    codec.read_info(data)
    return data
