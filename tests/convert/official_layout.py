"""Names and shapes of MoE-DiffIR's published checkpoints, built from the tables of its description.

As with `ldm_layout`, nothing here is shared with the maps of names.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import ldm_layout as ldm
from ldm_layout import Shapes, conv, linear, norm, plain_resnet, prefixed

CLIP_BLOCKS = (3, 4, 6, 3)


@dataclass(frozen=True)
class Official:
    """Sizes, as published where nothing is said."""

    sd: ldm.Size = field(default_factory=ldm.Size)
    width: int = 256
    experts: int = 7
    tasks: int = 21
    hidden: int = 128
    enhancer: int = 256
    learned: int = 49
    clip: int = 64
    vit: int = 768
    vit_blocks: int = 12
    growth: int = 32
    text: tuple[int, int] = (1024, 24)


SMALL = Official(
    sd=ldm.Size(widths=(16, 24, 32, 32), context=64, pixels=(8, 16, 24, 24)),
    width=16,
    hidden=8,
    enhancer=8,
    clip=8,
    vit=12,
    vit_blocks=1,
    growth=4,
    text=(64, 2),
)
"""Of the same sizes as `small_checkpoints.recipe`."""


def spade(name: str, channels: int, size: Official) -> Shapes:
    shapes = norm(f"{name}.spade.param_free_norm", channels)
    shapes |= conv(f"{name}.spade.mlp_shared.0", size.hidden, size.width)
    shapes |= conv(f"{name}.spade.mlp_gamma", channels, size.hidden)
    return shapes | conv(f"{name}.spade.mlp_beta", channels, size.hidden)


def spades(size: Official) -> Shapes:
    widths = size.sd.widths
    shapes = spade("middle_block.0", widths[3], size)
    for number in range(12):
        shapes |= spade(f"output_blocks.{number}.0", widths[3 - number // 3], size)
    return shapes


def pyramid(size: Official, *, prompts: str = "moe", prior: bool = False) -> Shapes:
    width = size.width
    shapes = conv("conv_first.0", width, 4)
    for level in (1, 2, 3, 4):
        for block in (0, 1):
            name = f"blocks{level}.{block}"
            shapes |= norm(f"{name}.norm1", width) | norm(f"{name}.norm2", width)
            shapes |= linear(f"{name}.attn.qkv", 3 * width, width)
            shapes |= linear(f"{name}.attn.proj", width, width)
            shapes |= linear(f"{name}.mlp.fc1", 4 * width, width)
            shapes |= linear(f"{name}.mlp.fc2", width, 4 * width)
        shapes |= norm(f"norm{level}", width)
        if level < 4:
            shapes |= conv(f"downsample{level}.op", width, width)
        if prompts != "single":
            shapes |= pool(f"Prompt_model{level}", size, prompts=prompts, prior=prior)
    if prompts == "single":
        shapes["Prompt_model.prompt_param"] = (width, width)
    return shapes


def pool(name: str, size: Official, *, prompts: str, prior: bool) -> Shapes:
    width = size.width
    if prompts == "multiple":
        return {f"{name}.prompt_param": (21, width)} | linear(f"{name}.linear_layer", 21, width)
    shapes: Shapes = {f"{name}.prompt_param": (size.experts, width, width)}
    for task in range(size.tasks):
        shapes |= linear(f"{name}.f_gate.{task}.0", 2 * size.experts, width, bias=False)
    if prior:
        shapes |= linear(f"{name}.attn.to_q", 512, width, bias=False)
        shapes |= linear(f"{name}.attn.to_k", 512, size.vit, bias=False)
        shapes |= linear(f"{name}.attn.to_v", 512, size.vit, bias=False)
        shapes |= linear(f"{name}.attn.to_out.0", width, 512)
    return shapes


def batch_norm(name: str, width: int) -> Shapes:
    statistics = {f"{name}.running_mean": (width,), f"{name}.running_var": (width,)}
    return norm(name, width) | statistics | {f"{name}.num_batches_tracked": ()}


def clip_resnet(size: Official) -> Shapes:
    width = size.clip
    shapes: Shapes = {}
    for number, (into, out) in enumerate(((3, width // 2), (width // 2, width // 2)), start=1):
        shapes |= {f"conv{number}.weight": (out, into, 3, 3)} | batch_norm(f"bn{number}", out)
    shapes |= {"conv3.weight": (width, width // 2, 3, 3)} | batch_norm("bn3", width)
    into = width
    for stage, blocks in enumerate(CLIP_BLOCKS):
        plane = width << stage
        for block in range(blocks):
            name = f"layer{stage + 1}.{block}"
            shapes[f"{name}.conv1.weight"] = (plane, into, 1, 1)
            shapes[f"{name}.conv2.weight"] = (plane, plane, 3, 3)
            shapes[f"{name}.conv3.weight"] = (4 * plane, plane, 1, 1)
            for number, out in ((1, plane), (2, plane), (3, 4 * plane)):
                shapes |= batch_norm(f"{name}.bn{number}", out)
            if block == 0:
                shapes[f"{name}.downsample.0.weight"] = (4 * plane, into, 1, 1)
                shapes |= batch_norm(f"{name}.downsample.1", 4 * plane)
            into = 4 * plane
    shapes["attnpool.positional_embedding"] = (50, into)
    for part in ("k_proj", "q_proj", "v_proj"):
        shapes |= linear(f"attnpool.{part}", into, into)
    return shapes | linear("attnpool.c_proj", 1024, into)


def clip_vit(size: Official, *, control: bool) -> Shapes:
    width = size.vit
    shapes: Shapes = {"class_embedding": (width,), "positional_embedding": (50, width)}
    shapes |= {"proj": (width, 512), "conv1.weight": (width, 3, 32, 32)}
    shapes |= norm("ln_pre", width) | norm("ln_post", width)
    for block in range(size.vit_blocks):
        inside = "transformer.transformer" if control else "transformer"
        name = f"{inside}.resblocks.{block}"
        shapes |= norm(f"{name}.ln_1", width) | norm(f"{name}.ln_2", width)
        shapes[f"{name}.attn.in_proj_weight"] = (3 * width, width)
        shapes[f"{name}.attn.in_proj_bias"] = (3 * width,)
        shapes |= linear(f"{name}.attn.out_proj", width, width)
        shapes |= linear(f"{name}.mlp.c_fc", 4 * width, width)
        shapes |= linear(f"{name}.mlp.c_proj", width, 4 * width)
        if control:
            shapes |= linear(f"transformer.zero_modules.{block}", width, width)
    return shapes


def da_clip(size: Official) -> Shapes:
    shapes: Shapes = {"logit_scale": ()}
    for name in ("visual", "clip.visual"):
        shapes |= prefixed(f"{name}.", clip_vit(size, control=False))
    return shapes | prefixed("visual_control.", clip_vit(size, control=True))


def adapter(size: Official) -> Shapes:
    context = size.sd.context
    shapes = clip_resnet(size) | conv("conv.0", context, 32 * size.clip)
    shapes["prompt_model_semantic.prompt_param"] = (1, size.learned, context)
    shapes |= linear("adapter1.fc.0", context // 4, context, bias=False)
    return shapes | linear("adapter1.fc.2", context, context // 4, bias=False)


def text_tower(size: Official) -> Shapes:
    width, depth = size.text
    shapes: Shapes = {"model.token_embedding.weight": (49408, width)}
    shapes |= {"model.positional_embedding": (77, width), "model.logit_scale": ()}
    shapes["model.text_projection"] = (width, width)
    for block in range(depth):
        name = f"model.transformer.resblocks.{block}"
        shapes |= norm(f"{name}.ln_1", width) | norm(f"{name}.ln_2", width)
        shapes[f"{name}.attn.in_proj_weight"] = (3 * width, width)
        shapes[f"{name}.attn.in_proj_bias"] = (3 * width,)
        shapes |= linear(f"{name}.attn.out_proj", width, width)
        shapes |= linear(f"{name}.mlp.c_fc", 4 * width, width)
        shapes |= linear(f"{name}.mlp.c_proj", width, 4 * width)
    return shapes | norm("model.ln_final", width)


def enhancer(size: Official) -> Shapes:
    width = size.enhancer
    hidden = int(2.66 * width)
    shapes = conv("transformer_encoder.0", width, 4) | conv("transformer_decoder.2", 4, width, 1)
    for name in (
        "transformer_encoder.1",
        "transformer_encoder.2",
        "transformer_decoder.0",
        "transformer_decoder.1",
    ):
        shapes |= norm(f"{name}.norm1.body", width) | norm(f"{name}.norm2.body", width)
        shapes[f"{name}.attn.temperature"] = (1, 1, 1)
        shapes[f"{name}.attn.qkv.weight"] = (3 * width, width, 1, 1)
        shapes[f"{name}.attn.qkv_dwconv.weight"] = (3 * width, 1, 3, 3)
        shapes[f"{name}.attn.project_out.weight"] = (width, width, 1, 1)
        shapes[f"{name}.ffn.project_in.weight"] = (2 * hidden, width, 1, 1)
        shapes[f"{name}.ffn.dwconv.weight"] = (2 * hidden, 1, 3, 3)
        shapes[f"{name}.ffn.project_out.weight"] = (width, hidden, 1, 1)
    return shapes


def diffusion(
    size: Official, *, v2t: bool = True, prior: bool = True, prompts: str = "moe"
) -> Shapes:
    """The whole diffusion checkpoint: (iii) as it is, (ii) without `prior`, (i) without both."""
    shapes = prefixed("model.diffusion_model.", ldm.unet(size.sd) | spades(size))
    shapes |= prefixed("first_stage_model.", ldm.autoencoder(size.sd))
    shapes |= prefixed("cond_stage_model.", adapter(size) if v2t else text_tower(size))
    shapes |= prefixed("structcond_stage_model.", pyramid(size, prompts=prompts, prior=prior))
    if v2t:
        shapes |= enhancer(size)
    if prior:
        shapes |= prefixed("structcond_stage_model.DACLIP_model.", da_clip(size))
    return shapes | {"betas": (1000,), "alphas_cumprod": (1000,), "logvar": (1000,)}


def decoder(size: Official, *, prompts: bool = False) -> Shapes:
    """The decoder checkpoint."""
    shapes = ldm.autoencoder(size.sd)
    for level, width in ((1, size.sd.pixels[1]), (2, size.sd.pixels[2])):
        name = f"decoder.fusion_layer_{level}"
        shapes |= plain_resnet(f"{name}.encode_enc_1", 2 * width, width, shortcut="conv_out")
        shapes |= plain_resnet(f"{name}.encode_enc_3", width, width)
        for block in (0, 1):
            for dense in (1, 2, 3):
                for number in (1, 2, 3, 4, 5):
                    into = width + (number - 1) * size.growth
                    out = width if number == 5 else size.growth
                    inside = f"{name}.encode_enc_2.{block}.rdb{dense}.conv{number}"
                    shapes |= conv(inside, out, into)
        if prompts:
            shapes[f"Prompt_model{level}.prompt_param"] = (7, width, width)
            shapes |= linear(f"Prompt_model{level}.f_gate.0.0", 14, width, bias=False)
    shapes |= {"loss.logvar": (), "loss.perceptual_loss.lin0.model.1.weight": (1, 64, 1, 1)}
    return shapes | conv("loss.discriminator.main.0", 64, 3, 4)
