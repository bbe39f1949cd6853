"""Speed and memory, as ratios within one run wherever a ratio can be had.

    pytest tests/benchmarks --benchmark-only -o addopts="" -s

The limit on two CPU cores: a 512x512 picture takes 312 k multiply-adds per pixel, 164 GFLOP in all,
and the cores reach about 250 GFLOP/s in 3x3 convolutions of these widths: 0.66 s.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image
from twenty_plugins import install_plugins

import diffir

if TYPE_CHECKING:
    from pathlib import Path

RESTORE = [sys.executable, "-m", "diffir", "restore"]


def noisy_photo(path: Path, width: int, height: int) -> Path:
    """A JPEG of quality 10 with smooth and busy parts."""
    rng = np.random.default_rng(0)
    coarse = rng.integers(0, 256, (max(2, height // 16), max(2, width // 16), 3), dtype=np.uint8)
    picture = Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)
    picture.save(path, quality=10)
    return path


def seconds_and_peak(command: list[str]) -> tuple[float, int]:
    """Wall seconds of a process, and its peak memory in bytes."""
    started = time.perf_counter()
    child = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    assert child.returncode == 0
    return time.perf_counter() - started, usage.ru_maxrss * 1024


@pytest.fixture(scope="module")
def restorer() -> diffir.Restorer:
    return diffir.load("moe-diffir-tiny", device="cpu")


def test_warm_512(benchmark, restorer, tmp_path) -> None:
    picture = diffir.read(noisy_photo(tmp_path / "a.jpg", 512, 512))
    benchmark.pedantic(restorer, (picture,), rounds=5, warmup_rounds=1)
    assert benchmark.stats.stats.median <= 1.5


def test_the_faithful_end_against_the_default(benchmark, restorer, tmp_path) -> None:
    picture = diffir.read(noisy_photo(tmp_path / "a.jpg", 512, 512))
    faithful = diffir.load("moe-diffir-tiny", device="cpu", fidelity=1)
    ratios = []

    def once() -> None:
        started = time.perf_counter()
        restorer(picture)
        between = time.perf_counter()
        faithful(picture)
        ratios.append((time.perf_counter() - between) / (between - started))

    benchmark.pedantic(once, rounds=5, warmup_rounds=1)
    ratio = float(np.median(ratios))
    benchmark.extra_info["fidelity 1 over the default"] = round(ratio, 2)
    assert ratio <= 8


def test_whole_process_against_import_torch(benchmark, tmp_path) -> None:
    source = noisy_photo(tmp_path / "a.jpg", 512, 512)
    ours, torch = [], []

    def once() -> None:
        command = [*RESTORE, str(source), "-o", str(tmp_path / "a.png"), "--overwrite"]
        ours.append(seconds_and_peak(command)[0])
        torch.append(seconds_and_peak([sys.executable, "-c", "import torch"])[0])

    benchmark.pedantic(once, rounds=5, warmup_rounds=1)
    ratio = float(np.median(np.array(ours) / np.array(torch)))
    benchmark.extra_info["ratio to import torch"] = round(ratio, 2)
    assert ratio <= 5


def test_24_megapixels(benchmark, restorer, tmp_path) -> None:
    small = diffir.read(noisy_photo(tmp_path / "1.jpg", 1024, 1024))
    large_path = noisy_photo(tmp_path / "24.jpg", 6000, 4000)
    per_megapixel = {}

    def once() -> None:
        for name, picture in (("1", small), ("24", diffir.read(large_path))):
            started = time.perf_counter()
            restorer(picture)
            pixels = picture.width * picture.height
            per_megapixel[name] = (time.perf_counter() - started) / pixels * 1e6

    restorer(small)
    benchmark.pedantic(once, rounds=1)
    command = [*RESTORE, str(large_path), "-o", str(tmp_path / "24.png")]
    peak = seconds_and_peak(command)[1]
    ratio = per_megapixel["24"] / per_megapixel["1"]
    benchmark.extra_info["seconds per megapixel, 24 MP over 1 MP"] = round(ratio, 3)
    benchmark.extra_info["peak GB"] = round(peak / 1e9, 2)
    assert ratio <= 1.15
    assert peak <= 2e9


def test_help(benchmark) -> None:
    command = [sys.executable, "-m", "diffir", "--help"]
    benchmark.pedantic(lambda: seconds_and_peak(command), rounds=7, warmup_rounds=1)
    assert benchmark.stats.stats.median < 0.3


def test_help_with_twenty_plugins(benchmark, tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(install_plugins(tmp_path)))
    command = [sys.executable, "-m", "diffir", "--help"]
    benchmark.pedantic(lambda: seconds_and_peak(command), rounds=7, warmup_rounds=1)
    assert benchmark.stats.stats.median < 0.3
