"""The empty caption against torch's own transformer layers."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from diffir.errors import CheckpointError
from diffir.weights.empty_caption import END, OF_FIRST, START, empty_caption, quick_gelu

WIDTH, PLACES, DEPTH = 128, 77, 3


@pytest.fixture(scope="module")
def tower():
    """Layers of torch, a table of tokens and places, a last norm."""
    torch.manual_seed(0)
    layers = [
        nn.TransformerEncoderLayer(
            WIDTH, WIDTH // 64, 4 * WIDTH, 0.0, "gelu", batch_first=True, norm_first=True
        ).eval()
        for _ in range(DEPTH)
    ]
    for parameter in nn.ModuleList(layers).parameters():
        nn.init.normal_(parameter, std=0.1)
    norm = nn.LayerNorm(WIDTH)
    nn.init.normal_(norm.weight)
    return torch.randn(END + 1, WIDTH), torch.randn(PLACES, WIDTH), layers, norm


@pytest.fixture(scope="module")
def expected(tower):
    tokens, places, layers, norm = tower
    text = torch.tensor([START, END] + [0] * (PLACES - 2))
    x, mask = (tokens[text] + places)[None], nn.Transformer.generate_square_subsequent_mask(PLACES)
    with torch.no_grad():
        for layer in layers[:-1]:
            x = layer(x, src_mask=mask, is_causal=True)
        return norm(x)


def openclip(tower) -> dict[str, torch.Tensor]:
    tokens, places, layers, norm = tower
    named = {"model.token_embedding.weight": tokens, "model.positional_embedding": places}
    named |= {f"model.ln_final.{n}": t for n, t in norm.state_dict().items()}
    pairs = {"self_attn": "attn", "linear1": "mlp.c_fc", "linear2": "mlp.c_proj"}
    pairs |= {"norm1": "ln_1", "norm2": "ln_2"}
    for index, layer in enumerate(layers):
        for name, tensor in layer.state_dict().items():
            head, _, rest = name.partition(".")
            named[f"model.transformer.resblocks.{index}.{pairs[head]}.{rest}"] = tensor
    return named


def transformers(tower) -> dict[str, torch.Tensor]:
    tokens, places, layers, norm = tower
    embeddings = "text_model.embeddings"
    named = {f"{embeddings}.token_embedding.weight": tokens}
    named[f"{embeddings}.position_embedding.weight"] = places
    named |= {f"text_model.final_layer_norm.{n}": t for n, t in norm.state_dict().items()}
    for index, layer in enumerate(layers[:-1]):  # as diffusers stores Stable Diffusion 2
        prefix, state = f"text_model.encoder.layers.{index}", layer.state_dict()
        for leaf in ("weight", "bias"):
            for part, tensor in zip(
                "qkv", state[f"self_attn.in_proj_{leaf}"].chunk(3), strict=True
            ):
                named[f"{prefix}.self_attn.{part}_proj.{leaf}"] = tensor
            named[f"{prefix}.self_attn.out_proj.{leaf}"] = state[f"self_attn.out_proj.{leaf}"]
            for number in (1, 2):
                named[f"{prefix}.layer_norm{number}.{leaf}"] = state[f"norm{number}.{leaf}"]
                named[f"{prefix}.mlp.fc{number}.{leaf}"] = state[f"linear{number}.{leaf}"]
    return named


@pytest.mark.parametrize("naming", [openclip, transformers])
def test_is_what_torchs_layers_make_of_it(tower, expected, naming):
    found = empty_caption(naming(tower))
    assert found.shape == (1, PLACES, WIDTH)
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)


def test_half_precision_is_computed_in_float32(tower, expected):
    half = {name: tensor.half() for name, tensor in openclip(tower).items()}
    assert empty_caption(half).dtype == torch.float32
    torch.testing.assert_close(empty_caption(half), expected, rtol=0.05, atol=0.05)


def test_stable_diffusion_1_pads_with_the_end_and_has_a_quicker_gelu():
    torch.manual_seed(0)
    layer = nn.TransformerEncoderLayer(
        OF_FIRST, OF_FIRST // 64, OF_FIRST, 0.0, quick_gelu, batch_first=True, norm_first=True
    ).eval()
    norm, places = nn.LayerNorm(OF_FIRST), torch.randn(8, OF_FIRST)
    tokens = torch.randn(END + 1, OF_FIRST)
    named = transformers((tokens, places, [layer, layer], norm))
    text = torch.tensor([START] + [END] * 7)
    mask = nn.Transformer.generate_square_subsequent_mask(8)
    with torch.no_grad():
        expected = norm(layer((tokens[text] + places)[None], src_mask=mask, is_causal=True))
    torch.testing.assert_close(empty_caption(named), expected, rtol=1e-5, atol=1e-5)


def test_another_tower(tower):
    with pytest.raises(CheckpointError, match="not the tensors of Stable Diffusion's text tower"):
        empty_caption({"visual.conv1.weight": torch.ones(1)})
    named = openclip(tower)
    del named["model.transformer.resblocks.0.ln_2.bias"]
    with pytest.raises(CheckpointError, match="text tower: 'ln_2"):
        empty_caption(named)
