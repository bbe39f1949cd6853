"""What the tests of several rooms need: a tiny real model, pictures, weights of metrics."""

from __future__ import annotations

import os
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, settings

from diffir.cli.main import main
from diffir.errors import CheckpointError
from diffir.host.manager import default_host
from diffir.recipes.recipe import parse_recipe

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from diffir.diffusion.model import RestorationModel
    from diffir.recipes.recipe import Recipe

TINY = Path(__file__).parent / "tiny.toml"

# How long an example takes says how busy the machine is, not whether the property holds.
settings.register_profile("unhurried", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("unhurried")

# A folder that is not there: the plugins of whoever runs the tests must not take part in them.
os.environ["DIFFIR_CONFIG"] = str(Path(__file__).parent / "no-configuration")


@pytest.fixture(scope="session")
def tiny_toml() -> Path:
    return TINY


@pytest.fixture(scope="session")
def tiny_recipe() -> Recipe:
    return parse_recipe(TINY.read_text(encoding="utf-8"), origin="tiny.toml")


@pytest.fixture(scope="session")
def build_model(tiny_recipe) -> Callable[[], RestorationModel]:
    """Build the tiny model, always with the same weights, in evaluation mode.

    What starts at zero, or close to it, is given weights that show: gates, attention, heads.
    """

    def build() -> RestorationModel:
        import torch

        from diffir.restore.assemble import assemble

        with torch.random.fork_rng():
            torch.manual_seed(0)
            model = assemble(tiny_recipe, default_host())
            for name, parameter in model.named_parameters():
                if name.endswith(("gate.logits.weight", "to_out.weight", "learned")):
                    torch.nn.init.normal_(parameter, std=0.5)
                elif "head.weight" in name:
                    torch.nn.init.normal_(parameter, std=0.02)
                elif "head.bias" in name:
                    torch.nn.init.zeros_(parameter)
        return model.eval()

    return build


@pytest.fixture(scope="session")
def tiny_weights(build_model, tiny_recipe, tmp_path_factory) -> Path:
    """The tiny model as a weights file."""
    import torch

    from diffir.restore.checkpoint import save_checkpoint

    path = tmp_path_factory.mktemp("model") / "tiny.safetensors"
    save_checkpoint(build_model(), path, recipe=tiny_recipe, dtype=torch.float16)
    return path


@pytest.fixture(scope="session")
def fetched() -> None:
    """Skips where `diffir fetch-metrics` has not been run."""
    from diffir.perceptual.weights import metric_weights

    try:
        for name in ("lpips-alex", "lpips-vgg", "dists"):
            metric_weights(name)
    except CheckpointError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="session")
def photos(tmp_path_factory) -> Path:
    """Three pictures of 96x96."""
    import numpy as np

    from diffir.contracts.picture import Picture
    from diffir.pictures.writing import write
    from diffir.train.synthetic import synthetic_picture

    folder = tmp_path_factory.mktemp("photos")
    for index in range(3):
        pixels = synthetic_picture(96, np.random.default_rng(index))
        write(Picture(pixels), folder / f"{index}.png")
    return folder


@pytest.fixture(scope="session")
def _lpips_folder(tmp_path_factory) -> Path:
    import torch
    from safetensors.torch import save_file

    from diffir.perceptual.networks import AlexNet, Vgg16

    folder = tmp_path_factory.mktemp("cache")
    (folder / "metrics").mkdir()
    generator = torch.Generator().manual_seed(0)
    for name, trunk in (("lpips-alex", AlexNet()), ("lpips-vgg", Vgg16())):
        tensors = {
            f"trunk.{name}": torch.randn(value.shape, generator=generator) * 0.05
            for name, value in trunk.state_dict().items()
        }
        for position, width in enumerate(trunk.channels):
            tensors[f"linear.{position}"] = torch.rand(width, generator=generator)
        save_file(tensors, folder / "metrics" / f"{name}.safetensors")
    channels = 3 + sum(Vgg16.channels)
    mixing = {name: torch.rand(channels, generator=generator) for name in ("alpha", "beta")}
    save_file(mixing, folder / "metrics" / "dists.safetensors")
    return folder


@pytest.fixture
def lpips(_lpips_folder, monkeypatch) -> Path:
    """A cache folder whose LPIPS and DISTS are real networks with random weights."""
    monkeypatch.setenv("DIFFIR_CACHE", str(_lpips_folder))
    return _lpips_folder


@dataclass(frozen=True)
class Outcome:
    code: int
    out: str
    err: str


@pytest.fixture
def diffir(capsys, monkeypatch):
    """Run the command line in this process: diffir("list", "--json").out."""
    monkeypatch.delenv("DIFFIR_TRACE", raising=False)

    def run(*words: object) -> Outcome:
        capsys.readouterr()
        with pytest.raises(SystemExit) as leaving:
            main([str(word) for word in words])
        printed = capsys.readouterr()
        return Outcome(int(leaving.value.code or 0), printed.out, printed.err)

    return run


@pytest.fixture
def small_files() -> Callable[..., AbstractContextManager[None]]:
    """No file grows beyond some bytes: what a full disk is to a writer. Unix alone can say so."""
    resource = pytest.importorskip("resource")

    @contextmanager
    def limited(most: int = 1000) -> Iterator[None]:
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (most, hard))
        try:
            yield
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))

    return limited
