from __future__ import annotations

import re

import pytest

from diffir.host.codec_probe import probe_codec, try_codec

PLUGIN = """
import os, time
from dataclasses import replace
from diffir.host.hookspecs import hookimpl

@hookimpl
def register_codecs(register):
    for name in ("crash", "hang", "raise", "grow", "good"):
        register(name, f"{__name__}:make_{name}", summary="")
    register("lost", "no_such_package:Codec", summary="", needs="lost>=1")

def codec(name, spoil=lambda pixels: pixels):
    from diffir.codecs.jpeg import Jpeg

    class Spoiled(Jpeg):
        spec = replace(Jpeg.spec, name=name)

        def decode(self, data):
            return spoil(super().decode(data))

    return Spoiled()

def make_crash():
    return codec("crash", lambda pixels: os.abort())

def make_hang():
    return codec("hang", lambda pixels: time.sleep(600))

def make_raise():
    return codec("raise", lambda pixels: 1 / 0)

def make_grow():
    return codec("grow", lambda pixels: pixels.repeat(2, axis=0))

def make_good():
    return codec("good")
"""


@pytest.fixture(autouse=True)
def plugin(tmp_path, monkeypatch):
    path = tmp_path / "spoiled.py"
    path.write_text(PLUGIN)
    monkeypatch.setenv("DIFFIR_PLUGIN_FILES", str(path))


def test_one_that_works():
    assert probe_codec("good").error is None


def test_one_that_crashes_the_process():
    found = probe_codec("crash")
    assert "codec 'crash' ended its process with exit status -6" in found.error
    assert "reinstall" in found.hint


def test_one_that_hangs():
    found = probe_codec("hang", seconds=3)
    assert found.error == "codec 'hang' did not encode 64x64 pixels within 3 s"
    assert "upgrade" in found.hint


@pytest.mark.parametrize(
    ("name", "error", "hint"),
    [
        ("raise", "codec 'raise' raised ZeroDivisionError", "tell its author"),
        ("grow", r"decoded 64x64 pixels to an array of shape \(128, 64, 3\)", "plugins check"),
        ("lost", "codec 'lost' of plugin 'spoiled' cannot be imported", "pip install 'lost>=1'"),
    ],
)
def test_others_that_fail(name, error, hint):
    found = try_codec(name)
    assert re.search(error, found.error)
    assert hint in found.hint
    assert found.missing == (name == "lost")
