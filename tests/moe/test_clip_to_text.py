from __future__ import annotations

import pytest
import timm
import torch
import torch.nn.functional as F
from torch import nn

from diffir.moe.clip_input import clip_input
from diffir.moe.clip_to_text import ClipToText
from diffir.moe.empty_text import EmptyText
from diffir.moe.enhancer import Enhancer

NARROW = {"width_factor": 0.125}


@pytest.fixture(autouse=True)
def _seeded():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        yield


def image(batch=2, height=64, width=96):
    return torch.rand(batch, 3, height, width, generator=torch.Generator().manual_seed(0))


def latent(batch=2, height=8, width=12):
    return torch.randn(batch, 4, height, width, generator=torch.Generator().manual_seed(1))


def conditioner(**options) -> ClipToText:
    made = ClipToText(**{"width": 8, "tower_options": NARROW, **options})
    return made.eval()


class Bottleneck(nn.Module):
    """OpenAI's, with its names."""

    def __init__(self, channels_in: int, channels: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels_in, channels, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)
        self.stride = stride
        self.conv3 = nn.Conv2d(channels, 4 * channels, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(4 * channels)
        self.downsample = None
        if stride > 1 or channels_in != 4 * channels:
            pieces = {
                "pool": nn.AvgPool2d(stride),
                "0": nn.Conv2d(channels_in, 4 * channels, 1, bias=False),
                "1": nn.BatchNorm2d(4 * channels),
            }
            self.downsample = nn.Sequential()
            for name, piece in pieces.items():
                self.downsample.add_module(name, piece)

    def forward(self, x):
        branch = self.bn1(self.conv1(x)).relu()
        branch = self.bn2(self.conv2(branch)).relu()
        branch = self.bn3(self.conv3(F.avg_pool2d(branch, self.stride)))
        return (branch + (x if self.downsample is None else self.downsample(x))).relu()


class Trunk(nn.Module):
    """OpenAI's RN50 without its attention pooling, with its names, at any width."""

    def __init__(self, width: int) -> None:
        super().__init__()
        stem = [3, width // 2, width // 2, width]
        for index in (1, 2, 3):
            stride = 2 if index == 1 else 1
            conv = nn.Conv2d(stem[index - 1], stem[index], 3, stride, padding=1, bias=False)
            setattr(self, f"conv{index}", conv)
            setattr(self, f"bn{index}", nn.BatchNorm2d(stem[index]))
        before = width
        for level, count in enumerate((3, 4, 6, 3)):
            channels = width << level
            blocks = []
            for index in range(count):
                stride = 2 if index == 0 and level > 0 else 1
                blocks.append(Bottleneck(before, channels, stride))
                before = 4 * channels
            setattr(self, f"layer{level + 1}", nn.Sequential(*blocks))

    def forward(self, x):
        for index in (1, 2, 3):
            x = getattr(self, f"bn{index}")(getattr(self, f"conv{index}")(x)).relu()
        x = F.avg_pool2d(x, 2)
        for level in range(1, 5):
            x = getattr(self, f"layer{level}")(x)
        return x


def openai_name(name: str) -> str:
    """Timm's name of a tensor to OpenAI's."""
    words = name.split(".")
    if words[0] == "stem":  # stem.conv2.bn.weight
        return f"{'conv' if words[2] == 'conv' else 'bn'}{words[1][-1]}.{words[3]}"
    layer = f"layer{int(words[1]) + 1}.{words[2]}"
    if words[3] == "shortcut":  # stages.0.0.shortcut.conv.bn.weight
        return f"{layer}.downsample.{'0' if words[5] == 'conv' else '1'}.{words[6]}"
    number = words[3][len("conv")]  # stages.0.0.conv2_kxk.bn.weight
    return f"{layer}.{'conv' if words[4] == 'conv' else 'bn'}{number}.{words[5]}"


class TestTrunk:
    def test_its_keys_and_shapes_are_those_of_openai(self):
        with torch.device("meta"):
            trunk = timm.create_model("resnet50_clip", pretrained=False)
            trunk.head = nn.Identity()
            theirs = Trunk(64)
        ours = {openai_name(name): value.shape for name, value in trunk.state_dict().items()}
        assert ours == {name: value.shape for name, value in theirs.state_dict().items()}

    def test_it_computes_what_openais_does(self):
        tower, theirs = conditioner().tower, Trunk(8).eval()
        for module in tower.modules():
            if isinstance(module, nn.BatchNorm2d):
                nn.init.uniform_(module.running_mean, -0.2, 0.2)
                nn.init.uniform_(module.running_var, 0.5, 2)
                nn.init.uniform_(module.weight, 0.5, 1.5)
        theirs.load_state_dict({openai_name(n): v for n, v in tower.state_dict().items()})
        x = torch.randn(1, 3, 224, 224)
        found = tower.forward_features(x)
        assert found.shape == (1, 256, 7, 7)
        torch.testing.assert_close(found, theirs(x), rtol=1e-4, atol=1e-4)


class TestInput:
    @pytest.mark.parametrize("size", [(64, 64), (37, 211), (300, 20), (448, 448)])
    def test_the_centre_in_its_proportions(self, size):
        assert clip_input(image(1, *size), side=224, normalize=True).shape == (1, 3, 224, 224)

    def test_the_published_code_resizes_without_a_filter(self):
        pixels = image(1, 448, 448)
        native, published = (
            clip_input(pixels, side=224, normalize=normalize) for normalize in (True, False)
        )
        every_second = F.interpolate(pixels, (224, 224), mode="bilinear")
        torch.testing.assert_close(published, 2 * every_second - 1)
        assert native.std() < 0.9 * every_second.std() / 0.27  # a filter takes what is finest

    def test_normalized_as_clip_or_as_published(self):
        gray = torch.full((1, 3, 32, 32), 0.5)
        assert clip_input(gray, side=8, normalize=False).abs().max() < 1e-6
        red = clip_input(gray, side=8, normalize=True)[0, 0]
        torch.testing.assert_close(red, torch.full((8, 8), (0.5 - 0.48145466) / 0.26862954))


class TestConditioner:
    def test_49_tokens_seen_and_49_learned(self):
        made = conditioner()
        tokens = made.condition(image(), latent())
        assert tokens.shape == (2, 98, 8)
        nn.init.constant_(made.learned, 3.0)
        changed = made.condition(image(), latent())
        assert torch.equal(changed[:, :49], tokens[:, :49])
        assert not torch.equal(changed[:, 49:], tokens[:, 49:])

    def test_the_adapter(self):
        made = conditioner()
        seen = made.tower.forward_features(clip_input(image(), side=224, normalize=True))
        t = torch.cat(
            [made.conv(seen).flatten(2).transpose(1, 2), made.learned.expand(2, -1, -1)], dim=1
        )
        hidden = (t @ made.down.weight.T).relu()
        torch.testing.assert_close(
            made.condition(image(), latent()), t + (hidden @ made.up.weight.T).relu()
        )

    def test_what_is_frozen_keeps_still(self):
        made = conditioner(enhancer={"latent_channels": 4, "width": 6}).train()
        made.borrow(lambda latent: latent[:, :3].sigmoid())
        before = {name: value.clone() for name, value in made.tower.state_dict().items()}
        made.condition(image(), latent()).square().mean().backward()
        assert all(torch.equal(v, before[n]) for n, v in made.tower.state_dict().items())
        named = dict(made.named_parameters())
        reached = {name for name, p in named.items() if p.grad is not None}
        assert reached == {"conv.weight", "conv.bias", "learned", "down.weight", "up.weight"}
        assert {id(p) for p in made.learned_parameters()} == {id(named[name]) for name in reached}
        assert made.training
        assert not made.tower.training
        assert not made.enhancer.training

    def test_with_an_enhancer_it_looks_at_the_decoded_latent(self):
        made, asked = conditioner(enhancer={"latent_channels": 4, "width": 6}), []

        def decode(cleaner):
            asked.append(cleaner)
            return cleaner[:, :3].repeat_interleave(8, 2).repeat_interleave(8, 3)

        made.borrow(decode)
        one = made.condition(image(), latent())
        assert torch.equal(made.condition(1 - image(), latent()), one)
        assert not torch.equal(made.condition(image(), -latent()), one)
        torch.testing.assert_close(asked[0], made.enhancer(latent()))

    @pytest.mark.parametrize(("size", "seen"), [((32, 40), (32, 40)), ((64, 96), (32, 48))])
    def test_of_a_large_latent_a_smaller_one_is_decoded(self, size, seen):
        made, asked = conditioner(enhancer={"latent_channels": 4, "width": 6}), []
        made.borrow(lambda cleaner: asked.append(cleaner.shape) or cleaner[:, :3])
        made.condition(image(1), latent(1, *size))
        assert asked == [(1, 4, *seen)]

    def test_an_enhancer_without_a_decoder(self):
        made = conditioner(enhancer={"latent_channels": 4, "width": 6})
        with pytest.raises(RuntimeError, match="latent needs a decoder: call borrow first"):
            made.condition(image(), latent())


def test_nothing_is_said_of_any_picture():
    made = EmptyText(width=6)
    nn.init.normal_(made.tokens)
    tokens = made.condition(image(3), latent(3))
    assert tokens.shape == (3, 77, 6)
    assert torch.equal(tokens[0], tokens[2])
    assert set(made.state_dict()) == {"tokens"}
    assert not list(made.parameters())


class TestEnhancer:
    def test_an_enhancer_that_ends_in_zero_changes_nothing(self):
        made = Enhancer(latent_channels=4, width=6)
        nn.init.zeros_(made.conv_out.weight)
        nn.init.zeros_(made.conv_out.bias)
        assert torch.equal(made(latent()), latent())

    def test_the_published_shapes(self):
        with torch.device("meta"):
            made = Enhancer(latent_channels=4, width=256)
        shapes = {name: tuple(value.shape) for name, value in made.state_dict().items()}
        block = {name.removeprefix("blocks.3."): s for name, s in shapes.items() if "s.3." in name}
        assert block == {
            "norm1.weight": (256,),
            "norm1.bias": (256,),
            "norm2.weight": (256,),
            "norm2.bias": (256,),
            "attention.temperature": (1, 1, 1),
            "attention.qkv.weight": (768, 256, 1, 1),
            "attention.qkv_depthwise.weight": (768, 1, 3, 3),
            "attention.proj.weight": (256, 256, 1, 1),
            "feed_forward.expand.weight": (1360, 256, 1, 1),
            "feed_forward.depthwise.weight": (1360, 1, 3, 3),
            "feed_forward.proj.weight": (256, 680, 1, 1),
        }
