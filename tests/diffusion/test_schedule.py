from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from diffir.diffusion.samplers import ONE_STEP_AT
from diffir.diffusion.schedule import TIMESTEPS, add_noise, alpha_bar, clean_from


@pytest.fixture(scope="module")
def scheduler():
    from diffusers import DDPMScheduler

    return DDPMScheduler(
        beta_schedule="scaled_linear",
        beta_start=0.00085,
        beta_end=0.012,
        prediction_type="v_prediction",
    )


def generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_alpha_bar_is_that_of_stable_diffusion(scheduler):
    ours = alpha_bar(torch.arange(TIMESTEPS))
    torch.testing.assert_close(ours, scheduler.alphas_cumprod, rtol=1e-4, atol=0)
    assert (ours.diff() < 0).all()


def test_one_step_stands_where_signal_is_half():
    assert 0.45 < float(alpha_bar(torch.tensor([ONE_STEP_AT]))[0].sqrt()) < 0.75


@given(
    seed=st.integers(0, 2**31),
    timesteps=st.lists(st.integers(0, TIMESTEPS - 1), min_size=1, max_size=4),
)
@settings(max_examples=20, deadline=None)
def test_the_exact_v_leads_back_to_the_clean_latent(seed, timesteps):
    clean, noise = torch.randn(2, len(timesteps), 4, 3, 5, generator=generator(seed))
    steps = torch.tensor(timesteps)
    noisy, v = add_noise(clean, noise, steps)
    signal = alpha_bar(steps)[:, None, None, None]
    torch.testing.assert_close(signal.sqrt() * noisy - (1 - signal).sqrt() * v, clean)
    torch.testing.assert_close(clean_from("v", noisy, v, steps), clean)
    torch.testing.assert_close((1 - signal).sqrt() * noisy + signal.sqrt() * v, noise)


def test_noise_and_v_are_those_of_diffusers(scheduler):
    clean, noise = torch.randn(2, 3, 4, 3, 5, generator=generator(0))
    steps = torch.tensor([0, 400, 999])
    noisy, v = add_noise(clean, noise, steps)
    torch.testing.assert_close(noisy, scheduler.add_noise(clean, noise, steps))
    torch.testing.assert_close(v, scheduler.get_velocity(clean, noise, steps))


@pytest.mark.parametrize("timestep", [0, 400, 999])
def test_the_exact_noise_leads_back_to_the_clean_latent(timestep):
    clean, noise = torch.randn(2, 2, 4, 3, 5, generator=generator(0))
    steps = torch.tensor([timestep, timestep])
    noisy, target = add_noise(clean, noise, steps, "epsilon")
    assert target is noise
    found = clean_from("epsilon", noisy, noise, steps)
    torch.testing.assert_close(found, clean, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("prediction", ["v", "epsilon"])
def test_half_precision_loses_no_noise(prediction) -> None:
    """1 - a is .00085 at the first step, and 0 where a was rounded to bfloat16."""
    steps = torch.arange(8)
    clean, noise = torch.randn(8, 4, 4, 4), torch.randn(8, 4, 4, 4)
    exact = add_noise(clean.bfloat16().float(), noise.bfloat16().float(), steps, prediction)
    for found, right in zip(
        add_noise(clean.bfloat16(), noise.bfloat16(), steps, prediction), exact, strict=True
    ):
        torch.testing.assert_close(found.float(), right, rtol=1e-5, atol=1e-5)
    noisy = add_noise(clean, noise, steps)[0].bfloat16()
    assert clean_from("v", noisy, noise, steps).dtype == torch.bfloat16
