"""Samplers: from a denoiser to the clean latent, in one evaluation or in many.

    one-step       from the degraded latent, at a timestep that claims it is half signal
    ddpm           ancestral sampling from pure noise (Ho et al., 2020): the method's, 200 steps
    ddim           deterministic (Song et al., 2021): the same path without noise
    dpm-solver++   second order, multistep (Lu et al., 2022): 20 to 50 steps serve

The arithmetic of a step is that of diffusers' schedulers. The timesteps are ours, always explicit:
diffusers' DDIM subtracts a constant stride, which is wrong where strides alternate, as the method's
do. DDIM is the first-order solver of the DPM family and is run as that.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, get_args

import torch

from diffir.diffusion.schedule import BETA_END, BETA_START, TIMESTEPS, Prediction, clean_from

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from diffir.diffusion.backbone import Denoiser

Algorithm = Literal["one-step", "ddpm", "ddim", "dpm-solver++"]
Spacing = Literal["linspace", "trailing", "leading"]
ONE_STEP_AT = 400
"""Timestep that the one-step sampler claims for the degraded latent: half signal, half error."""


@dataclass(frozen=True)
class Sampler:
    """How the clean latent is sampled.

    use: the algorithm of more than one step; "one-step" takes DDPM when it is asked for more.
    steps: evaluations, unless `sample` is told otherwise. prediction: what the denoiser predicts.
    spacing: how the timesteps lie in 0..999, see `spaced`. at: the one step's timestep.

    Raises:
        ValueError: a name that is not known, or a number outside its range.
    """

    use: Algorithm = "one-step"
    steps: int = 1
    prediction: Prediction = "v"
    spacing: Spacing = "linspace"
    at: int = ONE_STEP_AT

    def __post_init__(self) -> None:
        for name, kind in (("use", Algorithm), ("prediction", Prediction), ("spacing", Spacing)):
            if getattr(self, name) not in get_args(kind):
                known = ", ".join(get_args(kind))
                raise ValueError(
                    f"sampler: {name} must be one of {known}, got '{getattr(self, name)}'"
                )
        if not 1 <= self.steps <= TIMESTEPS or not 0 <= self.at < TIMESTEPS:
            raise ValueError(
                f"sampler: steps must be in 1..{TIMESTEPS} and at in 0..{TIMESTEPS - 1}, "
                f"got {self.steps} and {self.at}"
            )

    def sample(
        self,
        denoiser: Denoiser,
        latent: Tensor,
        prompts: Sequence[Tensor],
        context: Tensor,
        *,
        steps: int | None = None,
        generator: torch.Generator | None = None,
    ) -> Tensor:
        """The clean latent.

        Args:
            denoiser: see `diffir.diffusion.backbone.Denoiser`.
            latent: the degraded one, `(B,C,h,w)`. Where sampling starts from noise it gives shape,
                dtype and device alone; its values enter through the prompts.
            prompts: one map per U-Net level.
            context: `(B,L,D)`.
            steps: evaluations, in place of the sampler's own; 1 is always the one step from the
                degraded latent.
            generator: source of the noise, on the CPU, so that a seed means the same on every
                device.
        """
        steps = self.steps if steps is None else steps
        if steps == 1:
            return self.one_step(denoiser, latent, prompts, context)
        scheduler = self.scheduler(steps)
        prepared = denoiser.prepare(prompts)  # what prompts do does not depend on the timestep
        # The path is kept in float32: fifty sums of half precision would show.
        x = torch.randn(latent.shape, generator=generator, dtype=torch.float32).to(latent.device)
        for timestep in scheduler.timesteps:
            batch = timestep.to(latent.device).expand(latent.shape[0])
            output = denoiser(x.to(latent.dtype), batch, prepared, context).float()
            options = {"generator": generator} if self.use in ("ddpm", "one-step") else {}
            x = scheduler.step(output, timestep, x, **options).prev_sample
        return x.to(latent.dtype)

    def one_step(
        self, denoiser: Denoiser, latent: Tensor, prompts: Sequence[Tensor], context: Tensor
    ) -> Tensor:
        """The clean latent in one evaluation, starting from the degraded latent, without noise."""
        timesteps = torch.full((latent.shape[0],), self.at, device=latent.device)
        output = denoiser(latent, timesteps, prompts, context)
        return clean_from(self.prediction, latent, output, timesteps)

    def scheduler(self, steps: int) -> Any:
        """The scheduler of this algorithm, at these many explicit timesteps."""
        import diffusers

        shared = {
            "beta_schedule": "scaled_linear",
            "beta_start": BETA_START,
            "beta_end": BETA_END,
            "prediction_type": "epsilon" if self.prediction == "epsilon" else "v_prediction",
        }
        if self.use in ("ddpm", "one-step"):
            scheduler = diffusers.DDPMScheduler(
                **shared, variance_type="fixed_small", clip_sample=False
            )
        else:
            scheduler = diffusers.DPMSolverMultistepScheduler(
                **shared, solver_order=1 if self.use == "ddim" else 2, final_sigmas_type="zero"
            )
        with warnings.catch_warnings():  # it makes arrays of tensors in a way that NumPy dislikes
            warnings.simplefilter("ignore", DeprecationWarning)
            scheduler.set_timesteps(timesteps=spaced(steps, self.spacing))
        return scheduler


def spaced(steps: int, spacing: Spacing) -> list[int]:
    """Timesteps from noise to signal.

    "linspace" has both ends, 999 and 0: at 200 steps the published respacing. "trailing" has 999,
    "leading" ends at 1, as Stable Diffusion's own samplers do (Lin et al., 2024, table 2).

    >>> spaced(5, "linspace"), spaced(5, "trailing"), spaced(5, "leading")
    ([999, 749, 500, 250, 0], [999, 799, 599, 399, 199], [801, 601, 401, 201, 1])
    """
    last = TIMESTEPS - 1
    if spacing == "linspace":
        rising = [round(index * last / max(1, steps - 1)) for index in range(steps)]
    elif spacing == "trailing":
        rising = [round((index + 1) * TIMESTEPS / steps) - 1 for index in range(steps)]
    else:
        stride = TIMESTEPS // steps
        rising = [index * stride + min(1, stride - 1) for index in range(steps)]
    return rising[::-1]
