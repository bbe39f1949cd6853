"""From the rows of a feature cache through the part of a model where prompts act."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import torch

from diffir.diffusion.schedule import clean_from

if TYPE_CHECKING:
    from torch import Tensor

    from diffir.contracts.interfaces import Decoded
    from diffir.diffusion.model import RestorationModel
    from diffir.train.feature_cache import Rows


def predict_rows(model: RestorationModel, rows: Rows) -> Tensor:
    """What a model that samples from noise predicts, from what the cache knows."""
    if rows.seen is None:
        routing = model.route(rows.encoded, rows.codecs)
    else:
        look = cast("Any", model.router)  # one with a tower of its own, which need not be asked
        routing = look.route_seen(rows.encoded.latent, rows.seen, rows.codecs)
    return model.denoiser.climb(rows.descent, routing.prompts, rows.context)


def decode_rows(model: RestorationModel, rows: Rows) -> Decoded:
    """From what the cache knows to both estimates: the part of the model where prompts act."""
    latent = rows.encoded.latent
    routing = model.route(rows.encoded, rows.codecs)
    v = model.denoiser.climb(rows.descent, routing.prompts, rows.context)
    timesteps = torch.full((len(latent),), model.sampler.at, device=latent.device)
    clean = clean_from(model.sampler.prediction, latent, v, timesteps)
    return model.decoder.decode(clean, rows.encoded, routing)
