from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from diffir.contracts.codec import CodecInfo
from diffir.degradations.tasks import METHOD_TASKS
from diffir.moe.pyramid import PyramidRouter
from diffir.moe.pyramid_gate import PyramidGate
from diffir.moe.task_table import LEVELS, TASKS, tasks_of
from diffir.moe.vit_block import VitBlock

SMALL = {"latent_channels": 4, "width": 8, "heads": 2, "field": 4}
PRIOR = {"tower_options": {"embed_dim": 12, "depth": 1, "num_heads": 2}}
JPEG, VVC = CodecInfo(name="jpeg", quality=10.0), CodecInfo(name="vvc", quality=42.0)
BLIND = CodecInfo.unknown()
VARIANTS = ("moe", "single", "multiple", "none")


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.fixture(autouse=True)
def _seeded():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        yield


def router(**options) -> PyramidRouter:
    made = PyramidRouter(**{**SMALL, **options}).eval()
    for name, parameter in made.named_parameters():
        if name.endswith(("gate.weight", "prompt", "pools.0.prompts")) or "pools" in name:
            torch.nn.init.normal_(parameter, std=0.5)  # what starts at zero would show nothing
    return made


def latent(batch=2, height=8, width=8):
    return torch.randn(batch, 4, height, width, generator=generator())


def image(batch=2, height=64, width=64):
    return torch.rand(batch, 3, height, width, generator=generator(1))


class TestRouter:
    @pytest.mark.parametrize("variant", VARIANTS)
    @pytest.mark.parametrize("mode", ["native", "official"])
    @given(height=st.integers(1, 9), width=st.integers(1, 9))
    @settings(max_examples=6)
    def test_one_map_per_level(self, mode, variant, height, width):
        routing = router(mode=mode, variant=variant).route(latent(2, height, width), [JPEG, BLIND])
        sides = [(height, width)]
        for _ in range(3):
            sides.append(tuple(-(-side // 2) for side in sides[-1]))
        assert [tuple(p.shape) for p in routing.prompts] == [(2, 8, *side) for side in sides]
        torch.testing.assert_close(routing.weights.sum(dim=1), torch.ones(2))

    @pytest.mark.parametrize("mode", ["native", "official"])
    def test_in_use_nothing_is_drawn(self, mode):
        made = router(mode=mode, noise_draws=3 if mode == "official" else 0)
        state = torch.random.get_rng_state()
        first, second = (made.route(latent(), [JPEG, VVC]) for _ in range(2))
        assert torch.equal(torch.random.get_rng_state(), state)
        assert all(map(torch.equal, first.prompts, second.prompts))

    @pytest.mark.parametrize("mode", ["native", "official"])
    def test_the_host_waits_for_no_value(self, mode):
        """Meta tensors have shapes and no values: whatever would fetch one raises there."""
        made = router(mode=mode, noise_draws=3 if mode == "official" else 0).to("meta")
        routing = made.route(latent().to("meta"), [JPEG, VVC])
        assert tuple(routing.prompts[0].shape) == (2, 8, 8, 8)
        with pytest.raises(RuntimeError, match="on meta"):
            routing.prompts[0].sum().item()

    def test_training_explores(self):
        made = router().train()
        first, second = (made.route(latent(), [JPEG, VVC]) for _ in range(2))
        assert not torch.equal(first.prompts[0], second.prompts[0])

    def test_native_gates_ask_for_no_label_and_official_ones_do(self):
        def prompts(mode, codec):
            return router(mode=mode).route(latent(1), [codec]).prompts[0]

        torch.manual_seed(0)
        blind = prompts("native", BLIND)
        torch.manual_seed(0)
        assert torch.equal(prompts("native", JPEG), blind)
        made = router(mode="official")
        first, second = (made.route(latent(1), [codec]).prompts[0] for codec in (JPEG, VVC))
        assert not torch.equal(first, second)

    @pytest.mark.parametrize("mode", ["native", "official"])
    def test_the_last_levels_norm(self, mode):
        made, x = router(mode=mode), latent()
        before = made.route(x, [JPEG, VVC])
        torch.nn.init.normal_(made.levels[3].norm.weight)
        after = made.route(x, [JPEG, VVC])
        assert torch.equal(after.prompts[3], before.prompts[3]) is (mode == "official")
        assert torch.equal(after.prompts[2], before.prompts[2])

    def test_prompts_do_not_enter_the_trunk(self):
        made, x = router(), latent()
        before = made.route(x, [JPEG, VVC]).prompts
        with torch.no_grad():
            made.pools[0].prompts.mul_(2)
        after = made.route(x, [JPEG, VVC]).prompts
        torch.testing.assert_close(after[0], 2 * before[0])
        assert all(map(torch.equal, after[1:], before[1:]))

    def test_one_matrix_serves_all_levels_in_the_ablation_that_has_one(self):
        assert len(router(variant="single").pools) == 1
        assert len(router(variant="multiple").pools) == 4

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"mode": "old"}, "mode must be native or official, got 'old'"),
            ({"variant": "two"}, "variant must be one of moe, single, multiple, none, got 'two'"),
            ({"top_k": 8}, r"top_k must be in 1\.\.7 .the number of experts., got 8"),
            ({"heads": 3}, "width 8 is not a multiple of its 3 heads"),
        ],
    )
    def test_what_cannot_be(self, options, message):
        with pytest.raises(ValueError, match=message):
            router(**options)


class TestDegradationPrior:
    def test_the_image_reaches_the_gates_and_not_the_experts(self):
        made = router(prior=PRIOR)
        without, one, other = (
            made.route(latent(), [JPEG, VVC]),
            made.route_image(image(), latent(), [JPEG, VVC]),
            made.route_image(1 - image(), latent(), [JPEG, VVC]),
        )
        assert not torch.equal(one.weights, other.weights)
        assert not torch.equal(one.weights, without.weights)
        flat = router(prior=PRIOR, variant="none")
        plain = flat.route(latent(), [JPEG, VVC]).prompts
        seen = flat.route_image(image(), latent(), [JPEG, VVC]).prompts
        assert all(map(torch.equal, plain, seen))

    def test_the_tower_is_frozen_and_stays_in_evaluation_mode(self):
        made = router(prior=PRIOR).train()
        assert not made.prior.training
        assert not any(p.requires_grad for p in made.prior.parameters())
        learned = {id(p) for p in made.learned_parameters()}
        names = {name for name, p in made.named_parameters() if id(p) not in learned}
        assert names == {f"prior.{name}" for name, _ in made.prior.named_parameters()}

    @pytest.mark.parametrize("mode", ["native", "official"])
    def test_tokens(self, mode):
        made = router(prior=PRIOR, mode=mode).prior
        tokens = made(image(2, 96, 64))
        assert tokens.shape == (2, 49, 12)
        if mode == "native":
            torch.testing.assert_close(tokens.norm(dim=-1), torch.ones(2, 49))

    def test_official_tokens_are_scrambled_as_published(self):
        made = router(prior=PRIOR, mode="official").prior
        seen = made.tower.blocks(made.tower.norm_pre(made.tower.patch_embed(_resized(image()))))
        published = seen.reshape(2, 12, 7, 7)
        published = published / published.norm(dim=-1, keepdim=True)
        expected = published.permute(0, 2, 3, 1).reshape(2, 49, 12)  # "b c h w -> b (h w) c"
        torch.testing.assert_close(made(image()), expected)


def _resized(pixels):
    return 2 * F.interpolate(pixels, (224, 224), mode="bilinear", antialias=True) - 1


class TestGate:
    def gate(self, **options):
        made = PyramidGate(6, **{"experts": 7, "top_k": 3, **options}).eval()
        torch.nn.init.normal_(made.weight)
        return made

    def test_equation_3(self):
        made, seen = self.gate(), torch.randn(2, 3, 4, 6)
        gates = made(seen, [(), ()])
        shares = (seen @ made.weight[:7].T).softmax(dim=-1) + 1e-5
        kept = shares >= shares.topk(3).values[..., -1:]
        torch.testing.assert_close(gates, torch.where(kept, shares, 0.0))
        assert (gates > 0).sum(dim=-1).unique().tolist() == [3]

    def test_at_first_the_noise_has_the_published_spread(self):
        made = PyramidGate(6, experts=7, top_k=3).train()
        gates = made(torch.randn(64, 8, 8, 6), [()] * 64)
        ordered = gates.sort(dim=-1, descending=True).values.mean(dim=(0, 1, 2))
        torch.testing.assert_close(ordered[:3], torch.tensor([0.31, 0.20, 0.15]), atol=0.01, rtol=0)

    def test_renormalized(self):
        gates = self.gate(renormalize=True)(torch.randn(1, 2, 2, 6), [()])
        torch.testing.assert_close(gates.sum(dim=-1), torch.ones(1, 2, 2))

    def test_a_gate_per_task_and_their_mean(self):
        made, seen = self.gate(tasks=4), torch.randn(3, 2, 2, 6)
        logits = made._logits(seen, [(2,), (0, 1), ()])
        torch.testing.assert_close(logits[0], seen[0] @ made.weight[2].T)
        torch.testing.assert_close(logits[1], seen[1] @ made.weight[:2].mean(dim=0).T)
        torch.testing.assert_close(logits[2], seen[2] @ made.weight.mean(dim=0).T)

    def test_noise_in_use_is_averaged_and_repeats(self):
        seen = torch.randn(1, 2, 2, 6)
        made = self.gate(noise_draws=300)
        gates = made(seen, [()])
        assert torch.equal(made(seen, [()]), gates)
        assert (gates > 0).sum() > 3 * 4  # other experts were chosen in other draws
        batch = made(seen.repeat(2, 1, 1, 1), [(), ()])
        torch.testing.assert_close(batch[1], gates[0])

    def test_few_draws_come_near_many(self):
        seen = torch.randn(1, 2, 2, 6)
        made = self.gate(noise_draws=2000)
        exact = made(seen, [()])
        made.noise_draws = 16
        assert (made(seen, [()]) - exact).abs().mean() < 0.05


class TestBlock:
    def test_dense_attention_is_that_of_torch(self):
        block = VitBlock(8, heads=2, field=8)
        theirs = torch.nn.TransformerEncoderLayer(
            8, 2, 32, dropout=0.0, activation="gelu", norm_first=True, batch_first=True
        )
        names = {
            "self_attn.in_proj_weight": "qkv.weight",
            "self_attn.in_proj_bias": "qkv.bias",
            "self_attn.out_proj.weight": "proj.weight",
            "self_attn.out_proj.bias": "proj.bias",
            "linear1.weight": "fc1.weight",
            "linear1.bias": "fc1.bias",
            "linear2.weight": "fc2.weight",
            "linear2.bias": "fc2.bias",
        }
        own = block.state_dict()
        theirs.load_state_dict({n: own[names.get(n, n)] for n in theirs.state_dict()})
        tokens = torch.randn(2, 5, 7, 8)
        expected = theirs(tokens.flatten(1, 2)).reshape(tokens.shape)
        torch.testing.assert_close(block(tokens), expected)

    @given(height=st.integers(1, 11), width=st.integers(1, 11))
    @settings(max_examples=10)
    def test_a_token_attends_within_its_field(self, height, width):
        block = VitBlock(8, heads=2, field=4)
        tokens = torch.randn(1, height, width, 8, requires_grad=True)
        block(tokens)[0, 0, 0].sum().backward()
        reached = tokens.grad[0].abs().sum(dim=-1) > 0
        rows, columns = (-(-side // (-(-side // 4))) for side in (height, width))
        expected = torch.zeros(height, width, dtype=torch.bool)
        expected[:rows, :columns] = True
        assert torch.equal(reached, expected)
        assert max(rows, columns) <= 4


class TestTasks:
    def test_the_order_is_the_methods(self):
        names = [f"{codec}-{level:g}" for codec, levels in LEVELS.items() for level in levels]
        assert tuple(names) == METHOD_TASKS
        assert TASKS == 21

    @pytest.mark.parametrize(
        ("codec", "expected"),
        [
            (JPEG, [0]),
            (CodecInfo(name="jpeg", quality=90.0), [2]),
            (VVC, [4]),
            (CodecInfo(name="hevc", quality=40.0), [7]),
            (CodecInfo(name="generative", quality=3.0), [20]),
            (CodecInfo(name="webp"), [9, 10, 11]),
            (CodecInfo(name="avif", quality=30.0), []),
            (BLIND, []),
        ],
    )
    def test_the_nearest_level(self, codec, expected):
        assert list(tasks_of(codec)) == expected
