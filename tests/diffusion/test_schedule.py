from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from diffir.diffusion.schedule import (
    ONE_STEP_AT,
    TIMESTEPS,
    add_noise,
    alpha_bar,
    sample_ddpm,
    sample_one_step,
)


@pytest.fixture(scope="module")
def scheduler():
    from diffusers import DDPMScheduler

    return DDPMScheduler(
        beta_schedule="scaled_linear",
        beta_start=0.00085,
        beta_end=0.012,
        prediction_type="v_prediction",
    )


class Recorder:
    """A denoiser that predicts v of one clean latent, and writes down when it was asked."""

    def __init__(self, clean: torch.Tensor) -> None:
        self.clean = clean
        self.asked: list[int] = []

    def __call__(self, x, timesteps, prompts, context):
        self.asked.append(int(timesteps[0]))
        signal = alpha_bar(timesteps)[:, None, None, None]
        return (signal.sqrt() * x - self.clean) / (1 - signal).sqrt()


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
    torch.testing.assert_close((1 - signal).sqrt() * noisy + signal.sqrt() * v, noise)


def test_noise_and_v_are_those_of_diffusers(scheduler):
    clean, noise = torch.randn(2, 3, 4, 3, 5, generator=generator(0))
    steps = torch.tensor([0, 400, 999])
    noisy, v = add_noise(clean, noise, steps)
    torch.testing.assert_close(noisy, scheduler.add_noise(clean, noise, steps))
    torch.testing.assert_close(v, scheduler.get_velocity(clean, noise, steps))


def test_one_step_asks_once_and_adds_no_noise():
    latent = torch.randn(2, 4, 3, 5, generator=generator(0))
    seen = []

    def predict_clean(x, timesteps, prompts, context):
        seen.append((x, timesteps.tolist()))
        return x

    assert sample_one_step(predict_clean, latent, [], latent) is latent
    assert seen == [(latent, [ONE_STEP_AT, ONE_STEP_AT])]


class TestManySteps:
    def test_the_200_steps_of_the_method(self):
        latent = torch.zeros(1, 4, 2, 2)
        recorder = Recorder(latent)
        sample_ddpm(recorder, latent, [], latent, steps=200, generator=generator(0))
        assert recorder.asked == np.linspace(0, 999, 200).round().astype(int)[::-1].tolist()

    @pytest.mark.parametrize("steps", [2, 7, 50])
    def test_a_perfect_denoiser_leads_to_the_clean_latent(self, steps):
        clean = torch.randn(2, 4, 3, 5, generator=generator(1))
        sampled = sample_ddpm(
            Recorder(clean), torch.zeros_like(clean), [], clean, steps=steps, generator=generator(0)
        )
        torch.testing.assert_close(sampled, clean, rtol=0, atol=1e-3)

    def test_a_seed_is_a_result(self):
        latent = torch.zeros(1, 4, 3, 5)

        def sample(seed):
            def denoiser(x, timesteps, prompts, context):
                return 0.1 * x

            return sample_ddpm(denoiser, latent, [], latent, steps=4, generator=generator(seed))

        assert torch.equal(sample(3), sample(3))
        assert (sample(3) - sample(4)).abs().max() > 0.1

    def test_only_the_shape_of_the_latent_matters(self):
        samples = [
            sample_ddpm(Recorder(latent * 0), latent, [], latent, steps=3, generator=generator(0))
            for latent in (torch.zeros(1, 4, 3, 5), torch.ones(1, 4, 3, 5))
        ]
        assert torch.equal(*samples)
