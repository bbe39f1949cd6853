"""The published checkpoints of MoE-DiffIR, name by name, into the model of `moe-diffir-sd21`.

    diffusion checkpoint              ours
    model.diffusion_model.*           denoiser.unet.*, denoiser.injections.*
    first_stage_model.*               encoder.*, decoder.*
    cond_stage_model.*                conditioner.*
    transformer_encoder, _decoder     conditioner.enhancer.*
    structcond_stage_model.*          router.*
      .DACLIP_model.visual_control      router.prior.tower.*

    decoder checkpoint                ours
    encoder, decoder, quant convs     encoder.*, decoder.*      before those of first_stage_model
    decoder.fusion_layer_*            decoder.fusions.*

The names are those of the modules that the published code defines; loading there ignores what does
not fit, here everything is told.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from diffir.convert.clip_towers import vit_tower_name
from diffir.convert.compensator import compensator_name
from diffir.convert.enhancer import enhancer_name
from diffir.convert.injections import injection_name
from diffir.convert.prompt_pyramid import pyramid_name
from diffir.convert.visual_to_text import conditioner_name
from diffir.weights.ldm_autoencoder import autoencoder_name
from diffir.weights.ldm_unet import unet_name
from diffir.weights.placing import Dropped

if TYPE_CHECKING:
    from collections.abc import Callable

    Rename = Callable[[str], str | Dropped | None]

UNET, AUTOENCODER = "model.diffusion_model.", "first_stage_model."
CONTEXT, PYRAMID = "cond_stage_model.", "structcond_stage_model."
TOWER = f"{PYRAMID}DACLIP_model."
CAPTION = "conditioner.tokens"
"""Where a model without the adapter keeps what it is told in place of text."""

SCHEDULE = Dropped("the noise schedule; the sampler has its own")
LOSS = Dropped("losses of training")
AVERAGE = Dropped("a moving average of training; the method uses none")
DUPLICATE = Dropped("a second copy of another tensor")
OTHER_TOWER = Dropped("DA-CLIP's other towers; the method uses the image controller alone")
UNUSED_PROMPTS = Dropped("prompts of the decoder; the published test leaves them out")

_SCHEDULE_NAMES = {
    "betas",
    "alphas_cumprod",
    "alphas_cumprod_prev",
    "sqrt_alphas_cumprod",
    "sqrt_one_minus_alphas_cumprod",
    "log_one_minus_alphas_cumprod",
    "sqrt_recip_alphas_cumprod",
    "sqrt_recipm1_alphas_cumprod",
    "posterior_variance",
    "posterior_log_variance_clipped",
    "posterior_mean_coef1",
    "posterior_mean_coef2",
    "lvlb_weights",
    "logvar",
    "scale_factor",
}


def diffusion_name(name: str) -> str | Dropped | None:
    """Name in our model, from the published diffusion checkpoint's, gates whole."""
    if name in _SCHEDULE_NAMES:
        return SCHEDULE
    for prefix, rename in _BELOW:
        if name.startswith(prefix):
            return rename(name.removeprefix(prefix))
    target = enhancer_name(name)
    return target and f"conditioner.enhancer.{target}"


def decoder_name(name: str) -> str | Dropped | None:
    """Name in our model, from the published decoder checkpoint's."""
    if name.startswith("loss."):
        return LOSS
    if name.startswith("Prompt_model"):
        return UNUSED_PROMPTS
    target = compensator_name(name)
    return f"decoder.{target}" if target else _of_autoencoder(name)


def autoencoder_place(name: str) -> str:
    """Name in our model, from diffusers': each half keeps its own outermost convolution."""
    half = "decoder" if name.startswith(("decoder.", "post_quant_conv.")) else "encoder"
    return f"{half}.{name}"


def _of_unet(name: str) -> str | None:
    if target := injection_name(name):
        return f"denoiser.injections.{target}"
    target = unet_name(name)
    return target and f"denoiser.unet.{target}"


def _of_autoencoder(name: str) -> str | Dropped | None:
    if name.startswith("loss."):
        return LOSS
    target = autoencoder_name(name)
    return target and autoencoder_place(target)


def _of_context(name: str) -> str | Dropped | None:
    return _below("conditioner", conditioner_name(name))


def _of_tower(name: str) -> str | Dropped | None:
    if name.startswith("visual_control."):
        return _below("router.prior.tower", vit_tower_name(name.removeprefix("visual_control.")))
    return DUPLICATE if name.startswith("visual.") else OTHER_TOWER


def _of_pyramid(name: str) -> str | None:
    target = pyramid_name(name)
    return target and f"router.{target}"


def _below(place: str, target: str | Dropped | None) -> str | Dropped | None:
    return f"{place}.{target}" if isinstance(target, str) else target


_BELOW: tuple[tuple[str, Rename], ...] = (
    (UNET, _of_unet),
    (AUTOENCODER, _of_autoencoder),
    (CONTEXT, _of_context),
    (TOWER, _of_tower),
    (PYRAMID, _of_pyramid),
    ("model_ema.", lambda _: AVERAGE),
    ("loss.", lambda _: LOSS),
)
"""Prefixes, the longer of two that begin alike first."""
