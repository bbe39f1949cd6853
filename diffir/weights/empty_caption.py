"""The tokens of an empty caption: what Stable Diffusion is told where nobody describes the picture.

They are the same for every picture, so the text tower (354 million parameters in Stable Diffusion
2) runs once, here, when a model is made, and its 77 tokens are kept in place of it.

    start, end, padding ... -> embeddings -> causal transformer -> all blocks but the last -> norm

A tower is given by its tensors, in the names of OpenCLIP (files as they were first published) or
of transformers (folders of diffusers, which leave the last block out already).
Radford et al., 2021; Cherti et al., 2023.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F

from diffir.errors import CheckpointError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from torch import Tensor

START, END, PADDING = 49406, 49407, 0
OF_FIRST = 768
"""Width of Stable Diffusion 1's tower, OpenAI's CLIP: it pads with END, and its GELU is quicker."""
HEAD = 64
"""Channels of an attention head."""

_OPENCLIP = "model.transformer.resblocks.{}."
_TRANSFORMERS = "text_model.encoder.layers.{}."
_TO_OPENCLIP = {
    "text_model.embeddings.token_embedding.weight": "model.token_embedding.weight",
    "text_model.embeddings.position_embedding.weight": "model.positional_embedding",
    "text_model.final_layer_norm.weight": "model.ln_final.weight",
    "text_model.final_layer_norm.bias": "model.ln_final.bias",
}
_LAYERS = {
    "layer_norm1": "ln_1",
    "layer_norm2": "ln_2",
    "self_attn.out_proj": "attn.out_proj",
    "mlp.fc1": "mlp.c_fc",
    "mlp.fc2": "mlp.c_proj",
}


@torch.no_grad()
def empty_caption(tower: Mapping[str, Tensor]) -> Tensor:
    """The tokens `(1,77,D)` of an empty caption, in float32.

    Args:
        tower: tensors of Stable Diffusion's text tower, of 1 or 2, in one of the two namings.

    Raises:
        CheckpointError: the tensors are not those of such a tower.
    """
    whole = "model.token_embedding.weight" in tower
    names = tower if whole else _as_openclip(tower)
    try:
        places = names["model.positional_embedding"]
        first = places.shape[1] == OF_FIRST
        text = torch.full((len(places),), END if first else PADDING)
        text[0], text[1] = START, END
        x = names["model.token_embedding.weight"][text].float() + places.float()
        for index in range(_depth(names) - int(whole)):
            layer = {name: t.float() for name, t in _of_block(names, index).items()}
            x = _block(x, layer, quick_gelu if first else F.gelu)
        scale, shift = (names[f"model.ln_final.{part}"].float() for part in ("weight", "bias"))
    except (KeyError, IndexError, RuntimeError) as error:
        raise CheckpointError(
            f"these are not the tensors of Stable Diffusion's text tower: {error}",
            hint="Give a base with its text_encoder, or the whole published file.",
        ) from error
    return F.layer_norm(x, x.shape[-1:], scale, shift)[None]


def _depth(names: Mapping[str, Tensor]) -> int:
    index = 0
    while _OPENCLIP.format(index) + "ln_1.weight" in names:
        index += 1
    return index


def _of_block(names: Mapping[str, Tensor], index: int) -> dict[str, Tensor]:
    prefix = _OPENCLIP.format(index)
    return {n.removeprefix(prefix): t for n, t in names.items() if n.startswith(prefix)}


def quick_gelu(x: Tensor) -> Tensor:
    """As OpenAI's CLIP was trained: Hendrycks & Gimpel 2016, equation 2.3."""
    return x * torch.sigmoid(1.702 * x)


def _block(
    x: Tensor, layer: Mapping[str, Tensor], activation: Callable[[Tensor], Tensor]
) -> Tensor:
    """A pre-norm transformer block over tokens `(L,D)`; each sees itself and those before it."""
    width = x.shape[-1:]
    normed = F.layer_norm(x, width, layer["ln_1.weight"], layer["ln_1.bias"])
    joined = F.linear(normed, layer["attn.in_proj_weight"], layer["attn.in_proj_bias"])
    query, key, value = (
        part.reshape(len(part), -1, HEAD).transpose(0, 1) for part in joined.chunk(3, dim=-1)
    )
    mixed = F.scaled_dot_product_attention(query, key, value, is_causal=True)
    mixed = mixed.transpose(0, 1).flatten(1)
    x = x + F.linear(mixed, layer["attn.out_proj.weight"], layer["attn.out_proj.bias"])
    normed = F.layer_norm(x, width, layer["ln_2.weight"], layer["ln_2.bias"])
    hidden = activation(F.linear(normed, layer["mlp.c_fc.weight"], layer["mlp.c_fc.bias"]))
    return x + F.linear(hidden, layer["mlp.c_proj.weight"], layer["mlp.c_proj.bias"])


def _as_openclip(tower: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Names of transformers to those of OpenCLIP, which keeps query, key and value in one."""
    names = {new: tower[old] for old, new in _TO_OPENCLIP.items() if old in tower}
    index = 0
    while (layer := _TRANSFORMERS.format(index)) + "layer_norm1.weight" in tower:
        block = _OPENCLIP.format(index)
        for leaf in ("weight", "bias"):
            for old, new in _LAYERS.items():
                names[f"{block}{new}.{leaf}"] = tower[f"{layer}{old}.{leaf}"]
            parts = [tower[f"{layer}self_attn.{part}_proj.{leaf}"] for part in "qkv"]
            names[f"{block}attn.in_proj_{leaf}"] = torch.cat(parts)
        index += 1
    return names
