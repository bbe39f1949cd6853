"""FID's network: its pooling, its features, and how the user's weights are taken."""

from __future__ import annotations

import hashlib
import pickle
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torchvision.models import inception

from diffir.errors import CheckpointError
from diffir.perceptual import inception as fid_inception
from diffir.perceptual.inception import FidInception, build_network, import_inception


@pytest.fixture
def empty_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("DIFFIR_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture(scope="module")
def original(tmp_path_factory) -> Path:
    """Random weights in the form of the published file: all that torchvision's network has."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = inception.Inception3(num_classes=1008, aux_logits=False, init_weights=False)
    path = tmp_path_factory.mktemp("inception") / "pt_inception.pth"
    torch.save(network.state_dict(), path)
    return path


class TestBlocks:
    """Torchvision's, but for what is pooled."""

    @pytest.mark.parametrize(
        ("ours", "theirs", "arguments"),
        [
            (fid_inception._BlockA, inception.InceptionA, (16, 8)),
            (fid_inception._BlockC, inception.InceptionC, (16, 8)),
            (fid_inception._BlockE, inception.InceptionE, (16,)),
        ],
    )
    def test_means_leave_the_padding_out(self, ours, theirs, arguments) -> None:
        one, other = ours(*arguments).eval(), theirs(*arguments).eval()
        other.load_state_dict(one.state_dict())
        maps = torch.rand(1, 16, 9, 9) + 1
        with torch.inference_mode():
            a, b = one(maps), other(maps)
        assert torch.allclose(a[:, :, 1:-1, 1:-1], b[:, :, 1:-1, 1:-1], atol=1e-6)
        width = one.branch_pool.conv.out_channels
        assert torch.equal(a[:, :-width], b[:, :-width])
        flat = torch.ones(1, 16, 9, 9)
        with torch.inference_mode():
            pooled = one._forward(flat)[-1]
        assert torch.allclose(pooled, pooled[:, :, :1, :1].expand_as(pooled), atol=1e-6)

    def test_the_last_block_takes_the_largest(self) -> None:
        block = fid_inception._LastBlock(16).eval()
        maps = torch.zeros(1, 16, 9, 9)
        maps[:, :, 4, 4] = 9
        with torch.inference_mode():
            pooled = block._forward(maps)[-1]
            expected = block.branch_pool(torch.nn.functional.max_pool2d(maps, 3, 1, 1))
        assert torch.equal(pooled, expected)
        assert isinstance(build_network().Mixed_7c, fid_inception._LastBlock)


class TestImport:
    def test_weights_become_safetensors(self, original: Path, empty_cache: Path) -> None:
        path, checksum = import_inception(original)
        assert path == empty_cache / "metrics" / "inception.safetensors"
        assert checksum == hashlib.sha256(original.read_bytes()).hexdigest()
        kept, given = load_file(path), torch.load(original, weights_only=True)
        assert torch.equal(
            kept["Mixed_7c.branch_pool.conv.weight"], given["Mixed_7c.branch_pool.conv.weight"]
        )
        assert "fc.weight" not in kept
        image = torch.rand(2, 3, 40, 60, generator=torch.Generator().manual_seed(0))
        network = FidInception()
        with torch.inference_mode():
            features = network(image)
        assert features.shape == (2, 2048)
        assert (features >= 0).all()
        assert not torch.equal(features[0], features[1])
        again = FidInception(weights=path)
        with torch.inference_mode():
            assert torch.equal(again(image), features)

    @pytest.mark.usefixtures("empty_cache")
    def test_safetensors_are_taken_too(self, original: Path, tmp_path: Path) -> None:
        given = torch.load(original, weights_only=True)
        del given["Conv2d_1a_3x3.bn.num_batches_tracked"]  # older files have none
        save_file(given, tmp_path / "it.safetensors")
        assert import_inception(tmp_path / "it.safetensors")[0].is_file()

    @pytest.mark.usefixtures("empty_cache")
    def test_missing_weights(self) -> None:
        with pytest.raises(CheckpointError, match="FID needs the weights of its Inception") as told:
            FidInception()
        assert "diffir fetch-metrics --inception FILE" in str(told.value.hint)

    def test_code_in_a_pickle_does_not_run(self, tmp_path: Path) -> None:
        class Evil:
            def __reduce__(self):
                return (Path.touch, (tmp_path / "owned",))

        torch.save({"x": Evil()}, tmp_path / "evil.pth")
        (tmp_path / "plain.pth").write_bytes(pickle.dumps(Evil(), protocol=2))
        for name in ("evil.pth", "plain.pth"):
            with pytest.raises(CheckpointError, match=f"{name} holds no weights that can be read"):
                import_inception(tmp_path / name)
        assert not (tmp_path / "owned").exists()

    def test_other_weights(self, tmp_path: Path) -> None:
        save_file({"Conv2d_1a_3x3.conv.weight": torch.zeros(1)}, tmp_path / "it.safetensors")
        with pytest.raises(CheckpointError, match=r"lacks \d+ tensors of FID's Inception network"):
            import_inception(tmp_path / "it.safetensors")

    def test_no_table_of_tensors(self, tmp_path: Path) -> None:
        torch.save([torch.zeros(1)], tmp_path / "it.pth")
        with pytest.raises(CheckpointError, match=r"it.pth holds a list, expected tensors by"):
            import_inception(tmp_path / "it.pth")

    def test_no_file(self, tmp_path: Path) -> None:
        with pytest.raises(CheckpointError, match=r"absent.pth holds no weights that can be read"):
            import_inception(tmp_path / "absent.pth")
