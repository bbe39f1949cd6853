"""What the published model computes, from its description, on tensors under their published names.

Plain torch on dictionaries: neither diffusers nor diffir takes part. Every function takes the
tensors `w`, a name in front of theirs, and the input.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from torch import Tensor

    Weights = Mapping[str, Tensor]

GROUPS, HEAD = 4, 8


def conv(w: Weights, name: str, x: Tensor, *, stride: int = 1, groups: int = 1) -> Tensor:
    weight = w[f"{name}.weight"]
    bias = w.get(f"{name}.bias")
    return F.conv2d(x, weight, bias, stride, padding=weight.shape[-1] // 2, groups=groups)


def linear(w: Weights, name: str, x: Tensor) -> Tensor:
    return F.linear(x, w[f"{name}.weight"].flatten(1), w.get(f"{name}.bias"))


def group_norm(w: Weights, name: str, x: Tensor, eps: float) -> Tensor:
    return F.group_norm(x, GROUPS, w[f"{name}.weight"], w[f"{name}.bias"], eps)


def layer_norm(w: Weights, name: str, x: Tensor) -> Tensor:
    return F.layer_norm(x, x.shape[-1:], w[f"{name}.weight"], w[f"{name}.bias"])


def attend(query: Tensor, key: Tensor, value: Tensor, heads: int) -> Tensor:
    def split(t: Tensor) -> Tensor:
        return t.reshape(t.shape[0], t.shape[1], heads, -1).transpose(1, 2)

    scores = split(query) @ split(key).transpose(-2, -1)
    scores = scores / math.sqrt(query.shape[-1] // heads)
    mixed = scores.softmax(-1) @ split(value)
    return mixed.transpose(1, 2).flatten(2)


# --- the U-Net -----------------------------------------------------------------------------------


def spade(w: Weights, name: str, x: Tensor, cond: Tensor) -> Tensor:
    hidden = conv(w, f"{name}.mlp_shared.0", cond).relu()
    gamma, beta = conv(w, f"{name}.mlp_gamma", hidden), conv(w, f"{name}.mlp_beta", hidden)
    return group_norm(w, f"{name}.param_free_norm", x, 1e-5) * (1 + gamma) + beta


def res_block(w: Weights, name: str, x: Tensor, time: Tensor, cond: Tensor | None) -> Tensor:
    branch = conv(w, f"{name}.in_layers.2", F.silu(group_norm(w, f"{name}.in_layers.0", x, 1e-5)))
    branch = branch + linear(w, f"{name}.emb_layers.1", F.silu(time))[:, :, None, None]
    branch = F.silu(group_norm(w, f"{name}.out_layers.0", branch, 1e-5))
    branch = conv(w, f"{name}.out_layers.3", branch)
    if cond is not None:
        branch = spade(w, f"{name}.spade", branch, cond)
    shortcut = f"{name}.skip_connection"
    return branch + (conv(w, shortcut, x) if f"{shortcut}.weight" in w else x)


def spatial_transformer(w: Weights, name: str, x: Tensor, context: Tensor) -> Tensor:
    batch, width, rows, columns = x.shape
    heads, block = width // HEAD, f"{name}.transformer_blocks.0"
    tokens = group_norm(w, f"{name}.norm", x, 1e-6).flatten(2).transpose(1, 2)
    tokens = linear(w, f"{name}.proj_in", tokens)
    for number, attention in ((1, "attn1"), (2, "attn2")):
        normed = layer_norm(w, f"{block}.norm{number}", tokens)
        seen = normed if number == 1 else context
        query = linear(w, f"{block}.{attention}.to_q", normed)
        key, value = (linear(w, f"{block}.{attention}.to_{part}", seen) for part in "kv")
        mixed = attend(query, key, value, heads)
        tokens = tokens + linear(w, f"{block}.{attention}.to_out.0", mixed)
    hidden = linear(w, f"{block}.ff.net.0.proj", layer_norm(w, f"{block}.norm3", tokens))
    value, gate = hidden.chunk(2, dim=-1)
    tokens = tokens + linear(w, f"{block}.ff.net.2", value * F.gelu(gate))
    tokens = linear(w, f"{name}.proj_out", tokens)
    return x + tokens.transpose(1, 2).reshape(batch, width, rows, columns)


def time_embedding(w: Weights, name: str, timesteps: Tensor) -> Tensor:
    width = w[f"{name}.0.weight"].shape[1]
    half = width // 2
    angles = timesteps[:, None] * torch.exp(-math.log(10000) * torch.arange(half) / half)
    waves = torch.cat([angles.cos(), angles.sin()], dim=-1)
    return linear(w, f"{name}.2", F.silu(linear(w, f"{name}.0", waves)))


def unet(
    w: Weights, x: Tensor, timesteps: Tensor, conditions: Sequence[Tensor], context: Tensor
) -> Tensor:
    """conditions: the maps, finest first; chosen by their number of columns, as published."""
    by_width = {cond.shape[-1]: cond for cond in conditions}
    time, skips = time_embedding(w, "time_embed", timesteps), []

    def place(name: str, x: Tensor) -> Tensor:
        if f"{name}.in_layers.0.weight" in w:
            prompted = f"{name}.spade.mlp_gamma.weight" in w
            return res_block(w, name, x, time, by_width[x.shape[-1]] if prompted else None)
        if f"{name}.proj_in.weight" in w:
            return spatial_transformer(w, name, x, context)
        if f"{name}.op.weight" in w:
            return conv(w, f"{name}.op", x, stride=2)
        if f"{name}.conv.weight" in w:
            return conv(w, f"{name}.conv", F.interpolate(x, scale_factor=2.0, mode="nearest"))
        return conv(w, name, x) if f"{name}.weight" in w else x

    for number in range(12):
        for part in (0, 1):
            x = place(f"input_blocks.{number}.{part}", x)
        skips.append(x)
    for part in (0, 1, 2):
        x = place(f"middle_block.{part}", x)
    for number in range(12):
        x = torch.cat([x, skips.pop()], dim=1)
        for part in (0, 1, 2):
            x = place(f"output_blocks.{number}.{part}", x)
    return conv(w, "out.2", F.silu(group_norm(w, "out.0", x, 1e-5)))


# --- the autoencoder and its compensator ---------------------------------------------------------


def plain_block(w: Weights, name: str, x: Tensor, shortcut: str = "nin_shortcut") -> Tensor:
    branch = conv(w, f"{name}.conv1", F.silu(group_norm(w, f"{name}.norm1", x, 1e-6)))
    branch = conv(w, f"{name}.conv2", F.silu(group_norm(w, f"{name}.norm2", branch, 1e-6)))
    outside = f"{name}.{shortcut}"
    return branch + (conv(w, outside, x) if f"{outside}.weight" in w else x)


def middle(w: Weights, name: str, x: Tensor) -> Tensor:
    x = plain_block(w, f"{name}.block_1", x)
    normed = group_norm(w, f"{name}.attn_1.norm", x, 1e-6)
    query, key, value = (
        conv(w, f"{name}.attn_1.{part}", normed).flatten(2).transpose(1, 2) for part in "qkv"
    )
    mixed = attend(query, key, value, 1).transpose(1, 2).reshape(x.shape)
    return plain_block(w, f"{name}.block_2", x + conv(w, f"{name}.attn_1.proj_out", mixed))


def encode(w: Weights, image: Tensor) -> tuple[Tensor, dict[int, Tensor]]:
    """Image in [-1,1] to the scaled mean of the latent, and the maps of levels 1 and 2."""
    x, kept = conv(w, "encoder.conv_in", image), {}
    for level in range(4):
        for block in (0, 1):
            x = plain_block(w, f"encoder.down.{level}.block.{block}", x)
        if level in (1, 2):
            kept[level] = x
        if level < 3:
            name = f"encoder.down.{level}.downsample.conv"
            padded = F.pad(x, (0, 1, 0, 1))
            x = F.conv2d(padded, w[f"{name}.weight"], w[f"{name}.bias"], stride=2)
    x = F.silu(group_norm(w, "encoder.norm_out", middle(w, "encoder.mid", x), 1e-6))
    moments = conv(w, "quant_conv", conv(w, "encoder.conv_out", x))
    return 0.18215 * moments.chunk(2, dim=1)[0], kept


def decode(w: Weights, latent: Tensor, kept: Mapping[int, Tensor]) -> Tensor:
    """Scaled latent to image in [-1,1]; kept: maps to merge, none for the plain decoder."""
    x = conv(w, "decoder.conv_in", conv(w, "post_quant_conv", latent / 0.18215))
    x = middle(w, "decoder.mid", x)
    for level in (3, 2, 1, 0):
        for block in (0, 1, 2):
            x = plain_block(w, f"decoder.up.{level}.block.{block}", x)
        if level in kept:
            x = x + fuse(w, f"decoder.fusion_layer_{level}", kept[level], x)
        if level:
            x = F.interpolate(x, scale_factor=2.0, mode="nearest")
            x = conv(w, f"decoder.up.{level}.upsample.conv", x)
    return conv(w, "decoder.conv_out", F.silu(group_norm(w, "decoder.norm_out", x, 1e-6)))


def fuse(w: Weights, name: str, encoder_map: Tensor, decoder_map: Tensor) -> Tensor:
    x = torch.cat([encoder_map, decoder_map], dim=1)
    x = plain_block(w, f"{name}.encode_enc_1", x, "conv_out")
    for block in (0, 1):
        x = rrdb(w, f"{name}.encode_enc_2.{block}", x)
    return plain_block(w, f"{name}.encode_enc_3", x)


def rrdb(w: Weights, name: str, x: Tensor) -> Tensor:
    out = x
    for dense in (1, 2, 3):
        start, inside = out, out
        for number in (1, 2, 3, 4):
            made = F.leaky_relu(conv(w, f"{name}.rdb{dense}.conv{number}", inside), 0.2)
            inside = torch.cat([inside, made], dim=1)
        out = start + 0.2 * conv(w, f"{name}.rdb{dense}.conv5", inside)
    return x + 0.2 * out


# --- the MoE-Prompt module -----------------------------------------------------------------------


def vit_block(w: Weights, name: str, x: Tensor, heads: int) -> Tensor:
    parts = linear(w, f"{name}.attn.qkv", layer_norm(w, f"{name}.norm1", x)).chunk(3, dim=-1)
    x = x + linear(w, f"{name}.attn.proj", attend(*parts, heads))
    hidden = F.gelu(linear(w, f"{name}.mlp.fc1", layer_norm(w, f"{name}.norm2", x)))
    return x + linear(w, f"{name}.mlp.fc2", hidden)


def experts(w: Weights, name: str, x: Tensor, seen: Tensor, task: int, keep: int) -> Tensor:
    """Without the noise: the sum over the kept experts of g_i (x P_i), token by token."""
    prompts = w[f"{name}.prompt_param"]
    logits = linear(w, f"{name}.f_gate.{task}.0", seen)[..., : len(prompts)]
    shares = logits.softmax(-1) + 1e-5
    out = torch.zeros_like(x)
    for picture in range(x.shape[0]):
        for token in range(x.shape[1]):
            share = shares[picture, token]
            for expert in share.argsort(descending=True)[:keep].tolist():
                out[picture, token] += share[expert] * (x[picture, token] @ prompts[expert])
    return out


def single(w: Weights, x: Tensor) -> Tensor:
    """One matrix for all levels, in the experts' place."""
    return x @ w["Prompt_model.prompt_param"]


def multiple(w: Weights, name: str, x: Tensor) -> Tensor:
    """Every vector, by weight, on top of the token."""
    weights = linear(w, f"{name}.linear_layer", x).softmax(-1)
    return x + torch.einsum("btk,kd->btd", weights, w[f"{name}.prompt_param"])


def prior_attention(w: Weights, name: str, x: Tensor, degradation: Tensor) -> Tensor:
    query = linear(w, f"{name}.to_q", x)
    key, value = (linear(w, f"{name}.to_{part}", degradation) for part in "kv")
    return linear(w, f"{name}.to_out.0", attend(query, key, value, 8))


def pyramid(
    w: Weights, latent: Tensor, *, task: int, keep: int, heads: int, degradation: Tensor | None
) -> list[Tensor]:
    x, maps = conv(w, "conv_first.0", latent), []
    for level in (1, 2, 3, 4):
        tokens = x.flatten(2).transpose(1, 2)
        for block in (0, 1):
            tokens = vit_block(w, f"blocks{level}.{block}", tokens, heads)
        # The last level's norm is computed and not used.
        normed = tokens if level == 4 else layer_norm(w, f"norm{level}", tokens)
        name = f"Prompt_model{level}"
        seen = normed
        if degradation is not None:
            seen = prior_attention(w, f"{name}.attn", normed, degradation)
        if "Prompt_model.prompt_param" in w:
            prompts = single(w, normed)
        elif f"{name}.linear_layer.weight" in w:
            prompts = multiple(w, name, normed)
        else:
            prompts = experts(w, name, normed, seen, task, keep)
        maps.append(prompts.transpose(1, 2).reshape(x.shape))
        x = tokens.transpose(1, 2).reshape(x.shape)
        if level < 4:
            x = conv(w, f"downsample{level}.op", x, stride=2)
    return maps


def to_tower(image: Tensor, side: int = 224) -> Tensor:
    """A square image in [-1,1], no larger than the tower's input."""
    return F.interpolate(image, (side, side), mode="bilinear", align_corners=False)


def degradation_tokens(w: Weights, image: Tensor, *, heads: int) -> Tensor:
    """As published: no class token, no places, and a reshape where a transpose is meant."""
    x = F.conv2d(to_tower(image), w["conv1.weight"], stride=32).flatten(2).transpose(1, 2)
    x = layer_norm(w, "ln_pre", x)
    block = "transformer.transformer.resblocks.0"
    normed = layer_norm(w, f"{block}.ln_1", x)
    joined = F.linear(normed, w[f"{block}.attn.in_proj_weight"], w[f"{block}.attn.in_proj_bias"])
    mixed = attend(*joined.chunk(3, dim=-1), heads)
    x = x + linear(w, f"{block}.attn.out_proj", mixed)
    hidden = F.gelu(linear(w, f"{block}.mlp.c_fc", layer_norm(w, f"{block}.ln_2", x)))
    x = x + linear(w, f"{block}.mlp.c_proj", hidden)
    scrambled = x.reshape(x.shape[0], x.shape[2], 7, 7)
    scrambled = scrambled / scrambled.norm(dim=-1, keepdim=True)
    return scrambled.flatten(2).transpose(1, 2)


# --- the visual-to-text adapter ------------------------------------------------------------------


def restormer_block(w: Weights, name: str, x: Tensor) -> Tensor:
    def norm(which: str, x: Tensor) -> Tensor:
        rows = layer_norm(w, f"{name}.{which}.body", x.permute(0, 2, 3, 1))
        return rows.permute(0, 3, 1, 2)

    wide = conv(w, f"{name}.attn.qkv", norm("norm1", x))
    wide = conv(w, f"{name}.attn.qkv_dwconv", wide, groups=wide.shape[1])
    query, key, value = (part.flatten(2) for part in wide.chunk(3, dim=1))
    query, key = (t / t.norm(dim=-1, keepdim=True) for t in (query, key))
    weights = (query @ key.transpose(1, 2) * w[f"{name}.attn.temperature"]).softmax(-1)
    x = x + conv(w, f"{name}.attn.project_out", (weights @ value).reshape(x.shape))
    wide = conv(w, f"{name}.ffn.project_in", norm("norm2", x))
    gate, value = conv(w, f"{name}.ffn.dwconv", wide, groups=wide.shape[1]).chunk(2, dim=1)
    return x + conv(w, f"{name}.ffn.project_out", F.gelu(gate) * value)


def enhance(w: Weights, latent: Tensor) -> Tensor:
    x = conv(w, "transformer_encoder.0", latent)
    for half, number in (("encoder", 1), ("encoder", 2), ("decoder", 0), ("decoder", 1)):
        x = restormer_block(w, f"transformer_{half}.{number}", x)
    return latent + conv(w, "transformer_decoder.2", x)


def batch_norm(w: Weights, name: str, x: Tensor) -> Tensor:
    mean, variance = w[f"{name}.running_mean"], w[f"{name}.running_var"]
    return F.batch_norm(x, mean, variance, w[f"{name}.weight"], w[f"{name}.bias"])


def clip_resnet(w: Weights, x: Tensor) -> Tensor:
    x = batch_norm(w, "bn1", conv(w, "conv1", x, stride=2)).relu()
    x = batch_norm(w, "bn2", conv(w, "conv2", x)).relu()
    x = F.avg_pool2d(batch_norm(w, "bn3", conv(w, "conv3", x)).relu(), 2)
    for stage, blocks in enumerate((3, 4, 6, 3), start=1):
        for block in range(blocks):
            name, shrink = f"layer{stage}.{block}", stage > 1 and block == 0
            branch = batch_norm(w, f"{name}.bn1", conv(w, f"{name}.conv1", x)).relu()
            branch = batch_norm(w, f"{name}.bn2", conv(w, f"{name}.conv2", branch)).relu()
            branch = F.avg_pool2d(branch, 2) if shrink else branch
            branch = batch_norm(w, f"{name}.bn3", conv(w, f"{name}.conv3", branch))
            if block == 0:
                x = conv(w, f"{name}.downsample.0", F.avg_pool2d(x, 2) if shrink else x)
                x = batch_norm(w, f"{name}.downsample.1", x)
            x = (x + branch).relu()
    return x


def adapt(w: Weights, features: Tensor) -> Tensor:
    tokens = conv(w, "conv.0", features).flatten(2).transpose(1, 2)
    learned = w["prompt_model_semantic.prompt_param"].expand(len(tokens), -1, -1)
    tokens = torch.cat([tokens, learned], dim=1)
    hidden = linear(w, "adapter1.fc.0", tokens).relu()
    return tokens + linear(w, "adapter1.fc.2", hidden).relu()


def below(w: Weights, prefix: str) -> dict[str, Tensor]:
    return {n.removeprefix(prefix): t for n, t in w.items() if n.startswith(prefix)}
