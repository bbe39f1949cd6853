"""Real small networks with random weights, and real programs."""

from __future__ import annotations

import pickle
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from diffir.contracts.picture import Picture
from diffir.errors import (
    CheckpointError,
    CodecError,
    DataError,
    DeviceError,
    MissingDependencyError,
    PictureError,
)
from diffir.evaluate.command_restorer import CommandRestorer
from diffir.evaluate.other_restorers import parse_restorer

spandrel = pytest.importorskip("spandrel")


def _save(network: torch.nn.Module, path: Path) -> Path:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        for parameter in network.parameters():
            torch.nn.init.normal_(parameter, std=0.05)
    save_file({name: t.contiguous() for name, t in network.state_dict().items()}, path)
    return path


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("weights")


@pytest.fixture(scope="module")
def compact(folder: Path) -> Path:
    """Real-ESRGAN's small network, at 1x."""
    from spandrel.architectures.Compact import Compact

    network = Compact(num_in_ch=3, num_out_ch=3, num_feat=8, num_conv=2, upscale=1)
    return _save(network, folder / "compact.safetensors")


@pytest.fixture(scope="module")
def gray(folder: Path) -> Path:
    """DnCNN, of one channel."""
    from spandrel.architectures.DnCNN import DnCNN

    return _save(DnCNN(in_nc=1, out_nc=1, nc=8, nb=10, act_mode="R"), folder / "dncnn.safetensors")


def _picture(scene, *, gray: bool = False) -> Picture:
    return Picture(scene[:, :, :1].repeat(3, 2) if gray else scene, gray=gray)


def _restored(text: str, picture: Picture) -> Picture:
    return next(parse_restorer(text).restore(picture))[None]


class TestWeights:
    def test_what_comes_out_is_the_networks(self, compact: Path, scene) -> None:
        made = _restored(f"compact={compact}", _picture(scene))
        network = spandrel.ModelLoader("cpu").load_from_file(compact)
        image = torch.from_numpy(scene).permute(2, 0, 1)[None].float() / 255
        expected = (network(image)[0].permute(1, 2, 0).numpy() * 255).round()
        assert np.abs(made.pixels.astype(int) - expected).max() <= 1
        assert made.pixels.std() > 1

    def test_a_network_that_asks_for_sizes(self, folder: Path, scene) -> None:
        """DRUNet wants multiples of 8: the picture is padded for it, and cut back."""
        from spandrel.architectures.DRUNet import DRUNet

        network = DRUNet(in_nc=4, out_nc=3, nc=[8, 8, 8, 8], nb=2)
        picture = _picture(scene[:50, :61])
        path = _save(network, folder / "drunet.safetensors")
        assert _restored(f"drunet={path}", picture).pixels.shape == (50, 61, 3)

    def test_another_file_is_another_restorer(self, compact: Path, gray: Path) -> None:
        one, same, other = (parse_restorer(f"x={p}").about for p in (compact, compact, gray))
        assert one == same != other

    def test_large_pictures_are_cut_without_seams(self, compact: Path, monkeypatch) -> None:
        from diffir.evaluate import spandrel_restorer

        rng = np.random.default_rng(0)
        picture = Picture(rng.integers(0, 256, (200, 300, 3), np.uint8))
        whole = _restored(f"it={compact}", picture).pixels.astype(int)
        monkeypatch.setattr(spandrel_restorer, "LARGEST", 128)
        tiled = _restored(f"it={compact}", picture).pixels.astype(int)
        assert np.abs(whole - tiled).mean() < 0.5  # the border of a tile sees no neighbors

    def test_less_memory_makes_smaller_tiles(self, compact: Path, scene) -> None:
        restorer = parse_restorer(f"it={compact}")
        network, sizes = restorer.make._network.model, []

        def refuse(_, inputs):
            sizes.append(inputs[0].shape[-1])
            if inputs[0].shape[-1] > 200:
                raise RuntimeError("DefaultCPUAllocator: can't allocate memory")

        network.register_forward_pre_hook(refuse)
        picture = Picture(np.tile(scene, (3, 3, 1)))
        assert next(restorer.restore(picture))[None].pixels.shape == (288, 384, 3)
        assert sizes[:3] == [384, 384, 256]
        assert min(sizes) <= 192

    def test_no_memory_at_all(self, compact: Path, scene) -> None:
        restorer = parse_restorer(f"it={compact}")

        def refuse(*_):
            raise MemoryError

        restorer.make._network.model.register_forward_pre_hook(refuse)
        with pytest.raises(DeviceError, match="restorer 'it' runs out of memory"):
            next(restorer.restore(_picture(scene)))

    def test_gray_networks_restore_gray(self, gray: Path, scene) -> None:
        made = _restored(f"dncnn={gray}", _picture(scene, gray=True)).pixels
        assert (made == made[:, :, :1]).all()
        with pytest.raises(DataError, match="restorer 'dncnn' knows gray pictures alone"):
            _restored(f"dncnn={gray}", _picture(scene))

    def test_color_networks_restore_gray_too(self, compact: Path, scene) -> None:
        made = _restored(f"it={compact}", _picture(scene, gray=True)).pixels
        assert (made == made[:, :, :1]).all()

    def test_enlarged_pictures_are_made_small_again(self, folder: Path, scene) -> None:
        from spandrel.architectures.Compact import Compact

        network = Compact(num_in_ch=3, num_out_ch=3, num_feat=8, num_conv=2, upscale=2)
        path = _save(network, folder / "compact2x.safetensors")
        with torch.no_grad():  # only what the network adds the enlarged input to
            state = {name: t * 0 for name, t in network.state_dict().items()}
        save_file(state, path)
        made = _restored(f"it={path}", _picture(scene)).pixels
        assert np.abs(made.astype(int) - scene).mean() < 3

    def test_pickled_weights(self, compact: Path, folder: Path, scene) -> None:
        from safetensors.torch import load_file

        path = folder / "compact.pth"
        torch.save({"params": load_file(compact)}, path)
        picture = _picture(scene)
        one, other = (_restored(f"it={p}", picture).pixels for p in (path, compact))
        np.testing.assert_array_equal(one, other)


class TestRefusedWeights:
    def test_code_in_a_pickle_does_not_run(self, folder: Path) -> None:
        class Evil:
            def __reduce__(self):
                return (Path.touch, (folder / "owned",))

        torch.save({"params": Evil()}, folder / "evil.pth")
        with pytest.raises(CheckpointError, match=r"spandrel cannot load evil.pth: .*forbidden"):
            parse_restorer(f"evil={folder / 'evil.pth'}")
        (folder / "plain.ckpt").write_bytes(pickle.dumps(Evil()))
        with pytest.raises(CheckpointError, match=r"spandrel cannot load plain.ckpt"):
            parse_restorer(f"evil={folder / 'plain.ckpt'}")
        assert not (folder / "owned").exists()

    def test_a_network_that_nobody_knows(self, folder: Path) -> None:
        save_file({"mystery.weight": torch.zeros(3)}, folder / "mystery.safetensors")
        with pytest.raises(CheckpointError, match=r"spandrel cannot load mystery.safetensors"):
            parse_restorer(f"it={folder / 'mystery.safetensors'}")

    def test_a_network_of_other_channels(self, folder: Path) -> None:
        from spandrel.architectures.Compact import Compact

        network = Compact(num_in_ch=4, num_out_ch=4, num_feat=8, num_conv=2, upscale=1)
        path = _save(network, folder / "four.safetensors")
        with pytest.raises(
            CheckpointError, match=r"a network of .* from 4 to 4 channels, expected"
        ):
            parse_restorer(f"it={path}")

    def test_no_file(self, tmp_path: Path) -> None:
        with pytest.raises(CheckpointError, match=r"there is no file of weights .*absent.pth"):
            parse_restorer(f"it={tmp_path / 'absent.pth'}")

    def test_scripts(self, tmp_path: Path) -> None:
        (tmp_path / "script.pt").write_bytes(b"x")
        with pytest.raises(CheckpointError, match=r"ends in .*, got script.pt") as raised:
            parse_restorer(f"it={tmp_path / 'script.pt'}")
        assert "renamed to .pth" in str(raised.value.hint)

    def test_a_network_that_breaks_down(self, compact: Path, scene) -> None:
        restorer = parse_restorer(f"it={compact}")

        def refuse(*_):
            raise AssertionError("no")

        restorer.make._network.model.register_forward_pre_hook(refuse)
        with pytest.raises(CheckpointError, match="restorer 'it' failed on 128x96 pixels: no"):
            next(restorer.restore(_picture(scene)))

    def test_without_spandrel(self, compact: Path, monkeypatch) -> None:
        monkeypatch.setitem(sys.modules, "spandrel", None)
        with pytest.raises(MissingDependencyError, match="need the package spandrel") as raised:
            parse_restorer(f"it={compact}")
        assert "diffir-restoration[restorers]" in str(raised.value.hint)

    @pytest.mark.parametrize("text", ["fbcnn.pth", "=fbcnn.pth", "fbcnn=", ""])
    def test_not_a_name_and_a_file(self, text: str) -> None:
        with pytest.raises(DataError, match="expected NAME=FILE or NAME=COMMAND for a restorer"):
            parse_restorer(text)


def _program(tmp_path: Path, body: str) -> str:
    path = tmp_path / "restore.py"
    path.write_text(f"import sys\nfrom PIL import Image\nsource, target = sys.argv[1:]\n{body}\n")
    return f"mine={sys.executable} {path} {{input}} {{output}}"


class TestCommand:
    def test_the_picture_goes_there_and_back(self, tmp_path: Path, scene) -> None:
        body = "Image.open(source).transpose(Image.Transpose.FLIP_LEFT_RIGHT).save(target)"
        made = _restored(_program(tmp_path, body), _picture(scene))
        np.testing.assert_array_equal(made.pixels, scene[:, ::-1])

    def test_a_script_beside_the_user(self, tmp_path: Path, scene, monkeypatch) -> None:
        """It runs in a folder of its own, and the command names a file of this one."""
        copy = "import shutil, sys; shutil.copy(sys.argv[1], sys.argv[2])"
        (tmp_path / "mine.py").write_text(copy)
        monkeypatch.chdir(tmp_path)
        made = _restored(f"mine={sys.executable} mine.py {{input}} {{output}}", _picture(scene))
        assert (made.pixels == scene).all()

    def test_gray_goes_as_gray(self, tmp_path: Path, scene) -> None:
        body = "image = Image.open(source); assert image.mode == 'L'; image.save(target)"
        picture = _picture(scene, gray=True)
        made = _restored(_program(tmp_path, body), picture)
        np.testing.assert_array_equal(made.pixels, picture.pixels)

    @pytest.mark.parametrize(
        ("body", "message"),
        [
            ("sys.exit('no weights')", "exit status 1: no weights"),
            ("pass", "ended well, but wrote nothing"),
        ],
    )
    def test_failures(self, body: str, message: str, tmp_path: Path, scene) -> None:
        with pytest.raises(CodecError, match=rf"restorer 'mine': .*{message}") as raised:
            _restored(_program(tmp_path, body), _picture(scene))
        assert "--time-limit" in str(raised.value.hint)

    def test_a_hang(self, scene) -> None:
        slow = CommandRestorer("slow", "sh -c 'sleep 60 # {input} {output}'", seconds=0.3)
        with pytest.raises(CodecError, match=r"restorer 'slow': .* did not end within 0.3 s"):
            slow(_picture(scene))

    def test_no_picture(self, tmp_path: Path, scene) -> None:
        with pytest.raises(PictureError, match="restorer 'mine' wrote no picture"):
            _restored(_program(tmp_path, "open(target, 'w').write('sorry')"), _picture(scene))

    def test_no_program(self, scene) -> None:
        with pytest.raises(CodecError, match="restorer 'it' needs the program 'no-such-program'"):
            _restored("it=no-such-program {input} {output}", _picture(scene))

    def test_other_placeholders(self) -> None:
        with pytest.raises(CodecError, match=r"must have the placeholders {input} {output}, it"):
            parse_restorer("it=program {in} {out}")
