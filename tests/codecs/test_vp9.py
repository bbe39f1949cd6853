from __future__ import annotations

import movies
import numpy as np
import pytest

from diffir.codecs.ivf import read_ivf, write_ivf
from diffir.codecs.quantizer_index import QUANTIZER_TO_INDEX
from diffir.codecs.vp9 import Vp9
from diffir.codecs.vp9_headers import read_vp9
from diffir.errors import CodecError

PIXELS = np.random.default_rng(0).integers(0, 256, (35, 50, 3), dtype=np.uint8)


@pytest.mark.parametrize("quality", [0, 1, 31, 40, 48, 55, 62, 63])
def test_the_quantizer_comes_back(quality):
    info = Vp9().read_info(Vp9().encode(PIXELS, quality))
    assert (info.quality, info.quantizer) == (quality, QUANTIZER_TO_INDEX[quality])
    assert info.severity == info.quantizer / 255


@pytest.mark.parametrize(
    ("pixel_format", "profile", "subsampling", "depth"),
    [
        ("yuv420p", 0, "4:2:0", 8),
        ("yuv422p", 1, "4:2:2", 8),
        ("yuv440p", 1, "4:4:0", 8),
        ("yuv444p", 1, "4:4:4", 8),
        ("gbrp", 1, "4:4:4", 8),
    ],
)
def test_other_streams_of_libvpx_are_read(pixel_format, profile, subsampling, depth):
    (frame,) = movies.stream("libvpx-vp9", pixel_format=pixel_format, **{"error-resilient": "1"})
    header = read_vp9(frame)
    assert (header.width, header.height) == (64, 48)
    facts = (header.profile, header.subsampling, header.bit_depth)
    assert facts == (profile, subsampling, depth)
    assert Vp9().recognizes(frame)
    assert Vp9().decode(frame).shape == (48, 64, 3)


def test_lossless_is_seen():
    (frame,) = movies.stream("libvpx-vp9", lossless="1")
    assert Vp9().read_info(frame).lossless
    assert not Vp9().read_info(Vp9().encode(PIXELS, 1)).lossless


def test_high_profiles_and_a_display_size_are_read():
    # frame marker, profile 2, key frame shown, sync code, 12 bits, BT.709
    text = "10" + "01" + "0" + "0" + "1" + "0" + format(0x498342, "024b") + "1" + "010" + "0"
    text += format(63, "016b") + format(47, "016b") + "1" + "0" * 32
    text += "00" + "00" + "0" * 9 + "11" + "1" + "0" * 7 + "0" * 5
    text += format(77, "08b") + "1" + "0011" + "1" + "0" + "0"
    frame = int(text.ljust(320, "0"), 2).to_bytes(40, "big")
    header = read_vp9(frame)
    assert (header.width, header.height, header.bit_depth, header.base_q_idx) == (64, 48, 12, 77)
    third = text.replace("1001", "10110", 1)  # profile 3 has a reserved bit, and names its chroma
    third = third.replace("10100" + format(63, "016b"), "10100110" + format(63, "016b"), 1)
    header = read_vp9(int(third.ljust(320, "0"), 2).to_bytes(40, "big"))
    assert (header.profile, header.width, header.base_q_idx) == (3, 64, 77)
    assert header.subsampling == "4:2:0"


def test_what_is_no_key_frame_is_refused():
    with pytest.raises(CodecError, match="begins with the bits 10"):
        Vp9().decode(b"GIF89a")
    frames = movies.stream("libvpx-vp9", count=3, **{"lag-in-frames": "0"})
    with pytest.raises(CodecError, match="first VP9 frame is not a key frame"):
        Vp9().decode(frames[1])
    broken = bytes([frames[0][0], 0]) + frames[0][2:]
    with pytest.raises(CodecError, match="sync code, it is missing"):
        Vp9().read_info(broken)


def test_ivf_round_trips_and_refuses_damage():
    frames = [b"one", b"", b"three"]
    file = write_ivf(b"VP90", (70000, 2), frames)
    assert read_ivf(file) == frames
    with pytest.raises(CodecError, match="header is missing or cut short"):
        read_ivf(b"DKIF")
    with pytest.raises(CodecError, match="5 bytes was announced, 3 are left"):
        read_ivf(file[:-2])
    with pytest.raises(CodecError, match="holds no frame"):
        read_ivf(file[:32])
