"""Names of the prompt injections: SPADE inside Stable Diffusion's residual blocks.

middle_block.0.spade            mid_0           of the U-Net's 13 blocks that have one
output_blocks.{3i+j}.0.spade    up_i_j
  .param_free_norm                .norm         it has weights, in spite of its name
  .mlp_shared.0                   .shared
  .mlp_gamma, .mlp_beta           .gamma, .beta
"""

from __future__ import annotations

from diffir.weights.ldm_unet import resnet_name

_LAYERS = {
    "param_free_norm": "norm",
    "mlp_shared.0": "shared",
    "mlp_gamma": "gamma",
    "mlp_beta": "beta",
}


def injection_name(name: str) -> str | None:
    """Name below `denoiser.injections`, from that below `model.diffusion_model`.

    `None` where it is not of an injection.
    """
    block, found, inside = name.partition(".spade.")
    layer, _, leaf = inside.rpartition(".")
    place = resnet_name(block) if found else None
    if place is None or layer not in _LAYERS:
        return None
    way, *numbers = place.replace("_blocks.", ".").replace("_block.", ".").split(".")
    site = "_".join([way, *(number for number in numbers if number.isdigit())])
    return f"{site}.{_LAYERS[layer]}.{leaf}"
