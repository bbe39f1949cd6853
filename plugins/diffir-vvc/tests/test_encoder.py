"""An encoder that is missing, hangs, crashes, or writes garbage: each is told, with what to do."""

from __future__ import annotations

import stat

import imageio_ffmpeg
import pytest
from diffir_vvc.encoder import Samples, encode_units

from diffir.codecs.confined_process import Limits
from diffir.errors import CodecError

GRAY = Samples(b"\0\2" * (16 * 16 * 3 // 2), width=16, height=16)


@pytest.fixture
def program(tmp_path):
    """Write a program that stands where ffmpeg should; its last argument is the file to write."""

    def written(script: str) -> str:
        path = tmp_path / "ffmpeg"
        path.write_text(f'#!/bin/sh\nfor out in "$@"; do :; done\n{script}\n', encoding="utf-8")
        path.chmod(path.stat().st_mode | stat.S_IXUSR)
        return str(path)

    return written


def test_one_that_hangs(program):
    with pytest.raises(CodecError, match=r"codec 'vvc': .* did not end within 0.3 s"):
        encode_units(GRAY, 42, program=program("sleep 60"), limits=Limits(seconds=0.3))


def test_one_that_crashes(program):
    with pytest.raises(CodecError, match="ended with exit status 3: out of luck"):
        encode_units(GRAY, 42, program=program("echo out of luck >&2; exit 3"))


@pytest.mark.parametrize("script", ["exit 0", ': > "$out"', 'echo no stream > "$out"'])
def test_one_that_writes_nothing_or_garbage(program, script):
    with pytest.raises(CodecError, match=r"have written one picture of 16x16, its .* no VVC") as e:
        encode_units(GRAY, 42, program=program(script))
    assert "IMAGEIO_FFMPEG_EXE" in e.value.hint


def test_one_that_writes_another_picture(program, tmp_path):
    other = Samples(b"\0\2" * (32 * 24 * 3 // 2), width=32, height=24)
    stream = tmp_path / "other.vvc"
    stream.write_bytes(b"".join(b"\0\0\1" + unit for unit in encode_units(other, 42)))
    with pytest.raises(CodecError, match="picture of 16x16, got 1 of 32x24"):
        encode_units(GRAY, 42, program=program(f'cp "{stream}" "$out"'))


def test_one_that_writes_without_end(program):
    with pytest.raises(CodecError, match="bytes or more, the limit is"):
        encode_units(
            GRAY, 42, program=program('yes > "$out"'), limits=Limits(seconds=20, bytes=10**6)
        )


def test_one_without_libvvenc(program):
    script = "echo \"Unknown encoder 'libvvenc'\" >&2; exit 8"
    with pytest.raises(CodecError, match=r"needs an ffmpeg with libvvenc, .* has none") as caught:
        encode_units(GRAY, 42, program=program(script))
    assert "pip install 'imageio-ffmpeg>=0.8.1'" in caught.value.hint


def test_one_that_is_not_there(tmp_path):
    with pytest.raises(CodecError, match=r"needs the program '.*absent', which is not on the PATH"):
        encode_units(GRAY, 42, program=str(tmp_path / "absent"))


def test_the_user_names_the_program(monkeypatch, program):
    monkeypatch.setenv("IMAGEIO_FFMPEG_EXE", program("echo this one >&2; exit 1"))
    with pytest.raises(CodecError, match="exit status 1: this one"):
        encode_units(GRAY, 42)


def test_no_ffmpeg_for_this_machine(monkeypatch):
    def nothing_found():
        raise RuntimeError("No ffmpeg exe could be found.")

    monkeypatch.setattr(imageio_ffmpeg, "get_ffmpeg_exe", nothing_found)
    with pytest.raises(CodecError, match="needs ffmpeg, which is not there: No ffmpeg") as caught:
        encode_units(GRAY, 42)
    assert "pip install" in caught.value.hint


def test_equal_frames_give_equal_units():
    assert encode_units(GRAY, 42) == encode_units(GRAY, 42)
