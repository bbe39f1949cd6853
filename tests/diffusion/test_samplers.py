from __future__ import annotations

import numpy as np
import pytest
import torch

from diffir.diffusion.samplers import ONE_STEP_AT, Sampler, spaced
from diffir.diffusion.schedule import alpha_bar

MANY_STEPS = ("ddpm", "ddim", "dpm-solver++")
SPACINGS = ("linspace", "trailing", "leading")


def generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


class Denoiser:
    """What is exact for one clean latent; writes down when it was asked, and with what."""

    def __init__(self, clean: torch.Tensor, prediction: str = "v") -> None:
        self.clean, self.prediction = clean, prediction
        self.asked: list[int] = []
        self.prompts: list[object] = []
        self.prepared = 0

    def prepare(self, prompts):
        self.prepared += 1
        return ("prepared", *prompts)

    def __call__(self, x, timesteps, prompts, context):
        self.asked.append(int(timesteps[0]))
        self.prompts.append(prompts)
        signal = alpha_bar(timesteps)[:, None, None, None]
        if self.prediction == "epsilon":
            return (x - signal.sqrt() * self.clean) / (1 - signal).sqrt()
        return (signal.sqrt() * x - self.clean) / (1 - signal).sqrt()


class Gaussian(Denoiser):
    """What is exact where clean latents are normal with variance `spread**2` around 0."""

    def __init__(self, spread: float, prediction: str) -> None:
        super().__init__(torch.zeros(()), prediction)
        self.spread = spread

    def __call__(self, x, timesteps, prompts, context):
        signal = alpha_bar(timesteps)[:, None, None, None].double()
        variance = signal * self.spread**2 + (1 - signal)
        self.clean = (signal.sqrt() * self.spread**2 / variance * x).to(x.dtype)
        return super().__call__(x, timesteps, prompts, context)


def sample(sampler, denoiser, latent, **options):
    return sampler.sample(denoiser, latent, [], latent, **options)


class TestOneStep:
    @pytest.mark.parametrize("prediction", ["v", "epsilon"])
    def test_it_asks_once_and_adds_no_noise(self, prediction):
        clean, latent = torch.randn(2, 2, 4, 3, 5, generator=generator(0))
        denoiser = Denoiser(clean, prediction)
        found = sample(Sampler(prediction=prediction), denoiser, latent)
        torch.testing.assert_close(found, clean, atol=1e-5, rtol=1e-4)
        assert denoiser.asked == [ONE_STEP_AT]

    def test_any_sampler_takes_it_where_one_step_is_asked_for(self):
        latent = torch.randn(1, 4, 3, 5, generator=generator(0))
        found = [
            sample(Sampler(use=use, steps=9, at=300), Denoiser(latent * 0), latent, steps=1)
            for use in ("one-step", *MANY_STEPS)
        ]
        assert all(torch.equal(one, found[0]) for one in found)


class TestTimesteps:
    def test_the_200_steps_of_the_method(self):
        denoiser = Denoiser(torch.zeros(1, 4, 2, 2))
        sample(Sampler(use="ddpm", steps=200), denoiser, denoiser.clean, generator=generator(0))
        assert denoiser.asked == np.linspace(0, 999, 200).round().astype(int)[::-1].tolist()

    @pytest.mark.parametrize("use", MANY_STEPS)
    @pytest.mark.parametrize("spacing", SPACINGS)
    @pytest.mark.parametrize("steps", [2, 3, 50, 1000])
    def test_every_algorithm_takes_the_same(self, use, spacing, steps):
        timesteps = Sampler(use=use, spacing=spacing).scheduler(steps).timesteps.tolist()
        assert timesteps == spaced(steps, spacing)
        assert len(timesteps) == len(set(timesteps)) == steps
        assert timesteps == sorted(timesteps, reverse=True)
        assert set(timesteps) <= set(range(1000))


@pytest.mark.parametrize("use", ["one-step", *MANY_STEPS])
@pytest.mark.parametrize("prediction", ["v", "epsilon"])
class TestManySteps:
    @pytest.mark.parametrize("steps", [2, 7, 50])
    def test_a_perfect_denoiser_leads_to_the_clean_latent(self, use, prediction, steps):
        clean = torch.randn(2, 4, 3, 5, generator=generator(1))
        sampler = Sampler(use=use, prediction=prediction)
        found = sample(
            sampler, Denoiser(clean, prediction), clean * 0, steps=steps, generator=generator(0)
        )
        torch.testing.assert_close(found, clean, rtol=0, atol=2e-3)

    def test_a_seed_is_a_result(self, use, prediction):
        sampler, latent = Sampler(use=use, prediction=prediction, steps=4), torch.zeros(1, 4, 3, 5)

        def draw(seed, **options):
            denoiser = Gaussian(0.8, prediction)
            return sample(sampler, denoiser, latent, generator=generator(seed), **options)

        assert torch.equal(draw(3), draw(3))
        assert (draw(3) - draw(4)).abs().max() > 0.1

    def test_of_the_latent_only_the_shape_matters(self, use, prediction):
        sampler = Sampler(use=use, prediction=prediction, steps=3)
        draws = [
            sample(sampler, Gaussian(0.8, prediction), latent, generator=generator(0))
            for latent in (torch.zeros(1, 4, 3, 5), torch.ones(1, 4, 3, 5))
        ]
        assert torch.equal(*draws)

    def test_prompts_are_prepared_once(self, use, prediction):
        sampler = Sampler(use=use, prediction=prediction, steps=5)
        latent = torch.zeros(1, 4, 2, 2)
        denoiser = Denoiser(latent, prediction)
        sampler.sample(denoiser, latent, ["map"], latent, generator=generator(0))
        assert denoiser.prepared == 1
        assert denoiser.prompts == [("prepared", "map")] * 5


class TestGaussianPrior:
    """Where clean latents are normal, the whole path has a closed form."""

    SPREAD = 0.6

    @pytest.mark.parametrize("prediction", ["v", "epsilon"])
    @pytest.mark.parametrize("spacing", SPACINGS)
    @pytest.mark.parametrize("steps", [6, 37, 200])
    def test_ddim_is_the_published_recursion(self, prediction, spacing, steps):
        latent = torch.zeros(1, 4, 2, 3)
        sampler = Sampler(use="ddim", prediction=prediction, spacing=spacing, steps=steps)
        found = sample(sampler, Gaussian(self.SPREAD, prediction), latent, generator=generator(0))
        x = torch.randn(latent.shape, generator=generator(0)).double()
        signals = [float(alpha_bar(torch.tensor([t]))[0]) for t in spaced(steps, spacing)]
        for now, then in zip(signals, [*signals[1:], 1.0], strict=True):
            clean = now**0.5 * self.SPREAD**2 / (now * self.SPREAD**2 + 1 - now) * x
            noise = (x - now**0.5 * clean) / (1 - now) ** 0.5
            x = then**0.5 * clean + (1 - then) ** 0.5 * noise  # Song et al., equation 12
        torch.testing.assert_close(found.double(), x, rtol=1e-3, atol=1e-4)

    @pytest.mark.parametrize("prediction", ["v", "epsilon"])
    @pytest.mark.parametrize("steps", [6, 37, 200])
    def test_ddpm_draws_from_the_published_posterior(self, prediction, steps):
        latent, source = torch.zeros(1, 4, 2, 3), generator(0)
        sampler = Sampler(use="ddpm", prediction=prediction, steps=steps)
        found = sample(sampler, Gaussian(self.SPREAD, prediction), latent, generator=generator(0))
        x = torch.randn(latent.shape, generator=source).double()
        signals = [float(alpha_bar(torch.tensor([t]))[0]) for t in spaced(steps, "linspace")]
        for now, then in zip(signals, [*signals[1:], 1.0], strict=True):
            clean = now**0.5 * self.SPREAD**2 / (now * self.SPREAD**2 + 1 - now) * x
            kept = now / then  # alpha of a step over several timesteps
            mean = then**0.5 * (1 - kept) * clean + kept**0.5 * (1 - then) * x
            x = mean / (1 - now)  # Ho et al., equation 7
            if then < 1:
                variance = (1 - then) / (1 - now) * (1 - kept)
                x = x + variance**0.5 * torch.randn(latent.shape, generator=source).double()
        torch.testing.assert_close(found.double(), x, rtol=1e-3, atol=1e-4)

    @pytest.mark.parametrize("use", ["ddim", "dpm-solver++"])
    def test_with_many_steps_noise_is_scaled_to_the_prior(self, use):
        # The exact path is x_t / sqrt(variance_t) = const: 0.6 of the noise at the end.
        latent = torch.zeros(1, 4, 2, 3)
        sampler = Sampler(use=use, prediction="epsilon", steps=999)
        found = sample(sampler, Gaussian(self.SPREAD, "epsilon"), latent, generator=generator(0))
        noise = torch.randn(latent.shape, generator=generator(0))
        torch.testing.assert_close(found, self.SPREAD * noise, rtol=0.02, atol=1e-3)

    def test_the_second_order_is_nearer_with_few_steps(self):
        latent, noise = torch.zeros(1, 4, 2, 3), torch.randn(1, 4, 2, 3, generator=generator(0))

        def error(use):
            sampler = Sampler(use=use, prediction="epsilon", steps=20, spacing="trailing")
            denoiser = Gaussian(self.SPREAD, "epsilon")
            found = sample(sampler, denoiser, latent, generator=generator(0))
            return float((found - self.SPREAD * noise).abs().max())

        assert error("dpm-solver++") < 0.6 * error("ddim")

    def test_ancestral_samples_have_the_variance_of_the_prior(self):
        latent = torch.zeros(1, 4, 64, 64)
        sampler = Sampler(use="ddpm", prediction="epsilon", steps=1000)
        found = sample(sampler, Gaussian(self.SPREAD, "epsilon"), latent, generator=generator(0))
        assert float(found.std()) == pytest.approx(self.SPREAD, rel=0.01)

    def test_ddim_of_all_1000_steps_is_that_of_diffusers(self):
        from diffusers import DDIMScheduler

        scheduler = DDIMScheduler(
            beta_schedule="scaled_linear", beta_start=0.00085, beta_end=0.012, clip_sample=False
        )
        scheduler.set_timesteps(1000)
        denoiser, latent = Gaussian(self.SPREAD, "epsilon"), torch.zeros(1, 4, 2, 3)
        x = torch.randn(latent.shape, generator=generator(0))
        for timestep in scheduler.timesteps:
            x = scheduler.step(denoiser(x, timestep[None], (), None), timestep, x).prev_sample
        sampler = Sampler(use="ddim", prediction="epsilon", steps=1000)
        found = sample(sampler, denoiser, latent, generator=generator(0))
        torch.testing.assert_close(found, x, rtol=1e-3, atol=1e-3)


def test_half_precision_keeps_the_path_in_float32():
    latent = torch.zeros(1, 4, 3, 5, dtype=torch.bfloat16)
    sampler = Sampler(use="dpm-solver++", prediction="epsilon", steps=20)
    found = sample(sampler, Gaussian(0.6, "epsilon"), latent, generator=generator(0))
    exact = sample(sampler, Gaussian(0.6, "epsilon"), latent.float(), generator=generator(0))
    assert found.dtype == torch.bfloat16
    torch.testing.assert_close(found.float(), exact, rtol=0, atol=0.03)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"use": "euler"}, "use must be one of one-step, ddpm, ddim, dpm-solver.., got 'euler'"),
        ({"prediction": "x0"}, "prediction must be one of v, epsilon, got 'x0'"),
        ({"spacing": "even"}, "spacing must be one of linspace, trailing, leading, got 'even'"),
        ({"steps": 0}, r"steps must be in 1\.\.1000 and at in 0\.\.999, got 0 and 400"),
        ({"at": 1000}, "got 1 and 1000"),
    ],
)
def test_what_cannot_be_is_refused(options, message):
    with pytest.raises(ValueError, match=message):
        Sampler(**options)
