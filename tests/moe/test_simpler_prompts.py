from __future__ import annotations

import pytest
import torch

from diffir.contracts.codec import CodecInfo
from diffir.errors import RecipeError
from diffir.host.manager import default_host
from diffir.moe.plain_contexts import LearnedTokens, NoContext
from diffir.moe.simpler_prompts import (
    MIXTURES,
    MultiplePrompts,
    SinglePrompt,
    map_prompts,
    token_prompts,
)
from diffir.recipes.derive import derive
from diffir.recipes.recipe import load_recipe
from diffir.restore.assemble import assemble
from diffir.restore.checkpoint import find_weights, load_checkpoint

HOST = default_host()
JPEG = CodecInfo(name="jpeg", severity=0.8)
WEBP = CodecInfo(name="webp", severity=0.1)


@pytest.mark.parametrize("mixture", MIXTURES)
def test_every_mixture_changes_tokens_alike(mixture):
    made = token_prompts(mixture, 6, experts=5, top_k=2, extensible=True).eval()
    tokens = torch.randn(2, 3, 4, 6)
    changed, shares = made(tokens, tokens)
    assert changed.shape == tokens.shape
    assert shares.shape[:-1] == tokens.shape[:-1]
    if mixture != "moe":
        torch.testing.assert_close(shares.sum(dim=-1), torch.ones(2, 3, 4))


@pytest.mark.parametrize("mixture", MIXTURES)
def test_every_mixture_changes_maps_alike(mixture):
    made = map_prompts(6, mixture=mixture, degradation_width=3, experts=5, top_k=2).eval()
    x = torch.randn(2, 6, 4, 5)
    assert made(x, torch.randn(2, 3)).shape == x.shape
    assert made(x, None) is x


def test_a_single_prompt_is_one_matrix():
    made, tokens = SinglePrompt(4), torch.randn(3, 4)
    with torch.no_grad():
        made.prompt.copy_(torch.randn(4, 4))
    torch.testing.assert_close(made(tokens, tokens)[0], tokens @ made.prompt)


def test_multiple_prompts_are_added_softly():
    made, tokens, seen = MultiplePrompts(4, 2, 3), torch.randn(5, 4), torch.randn(5, 2)
    with torch.no_grad():
        made.prompts.copy_(torch.randn(3, 4))
    mixed, shares = made(tokens, seen)
    slow = tokens + sum(shares[:, i, None] * made.prompts[i] for i in range(3))
    torch.testing.assert_close(mixed, slow)


@pytest.mark.parametrize("mixture", ["single", "multiple"])
def test_on_a_map_they_start_as_none(mixture):
    made = map_prompts(6, mixture=mixture, degradation_width=3, experts=5, top_k=2)
    x = torch.randn(2, 6, 4, 4)
    torch.testing.assert_close(made(x, torch.randn(2, 3)), x)


@pytest.mark.parametrize("place", ["router", "decoder"])
def test_a_mixture_that_there_is_not(tiny_recipe, place):
    odd = derive(tiny_recipe, "odd", {place: {"mixture": "two"}})
    message = "mixture must be one of moe, multiple, single, none, got 'two'"
    with pytest.raises(RecipeError, match=message):
        assemble(odd, HOST)


@pytest.fixture
def router(tiny_recipe):
    torch.manual_seed(0)
    recipe = derive(tiny_recipe, "blind", {"router": {"prior": False}})
    return assemble(recipe, HOST).eval().router


class TestWithoutPrior:
    def test_gates_do_not_hear_of_codec_and_severity(self, router):
        latent = torch.randn(1, 4, 8, 8)
        told, other = (router.route(latent, [codec]) for codec in (JPEG, WEBP))
        assert torch.equal(told.degradation, other.degradation)
        assert torch.equal(told.weights, other.weights)

    def test_the_decoder_still_sees_which_picture_it_is(self, router):
        a, b = (router.route(torch.randn(1, 4, 8, 8), [JPEG]).degradation for _ in range(2))
        assert a.shape == (1, 8)
        assert not torch.allclose(a, b)

    def test_what_the_file_says_is_nothing_to_it(self, router):
        assert not router.knows(JPEG)


def test_contexts_that_do_not_look():
    image, latent = torch.rand(2, 3, 32, 32), torch.randn(2, 4, 4, 4)
    learned = LearnedTokens(width=6, learned=5).condition(image, latent)
    assert learned.shape == (2, 5, 6)
    assert torch.equal(learned[0], learned[1])
    assert learned[0].unique(dim=0).shape[0] == 5
    assert torch.equal(NoContext(width=6).condition(image, latent), torch.zeros(2, 1, 6))


def test_the_weights_in_the_box_load_as_ever():
    """The options that the variants brought leave the default's weights and output alone."""
    recipe = load_recipe("moe-diffir-tiny", HOST)
    model, _ = load_checkpoint(find_weights("moe-diffir-tiny", HOST), HOST)
    spelled = derive(
        recipe, recipe.name, {"router": {"mixture": "moe"}, "decoder": {"mixture": "moe"}}
    )
    other = assemble(spelled, HOST).eval()
    other.load_state_dict(model.state_dict())
    image = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        a, b = (m(image, [JPEG])[0] for m in (model, other))
    assert torch.equal(a.faithful, b.faithful)
    assert torch.equal(a.rich, b.rich)
