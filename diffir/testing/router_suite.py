"""The conformance suite of prompt routers."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, cast

import torch

from diffir.contracts.codec import CodecInfo
from diffir.contracts.interfaces import Routing
from diffir.testing import module_checks
from diffir.testing.module_checks import LATENT_SIZES, Inputs, require_shape
from diffir.testing.suite import Suite, require

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor, nn

    from diffir.contracts.interfaces import PromptRouter

CODECS = (
    CodecInfo(name="jpeg", severity=0.9),
    CodecInfo.unknown(),
    CodecInfo(name="a-codec-from-elsewhere", severity=0.5),
    CodecInfo(name="webp"),
)
"""Known, unknown, of a codec that no router knows, and without a severity."""


class RouterSuite(Suite):
    """Checks one router. The fixture `router` returns the module.

    latent_channels: of the latents that the router was built for; the recipe's
    `encoder.latent_channels`. The default is that of `moe-diffir-tiny`.
    A method `auxiliary_loss(image, codecs)`, where there is one, counts for the gradients.
    """

    latent_channels: ClassVar[int] = 32

    def test_is_a_module(self, router: PromptRouter) -> None:
        """A `torch.nn.Module`."""
        module_checks.require_module(router)

    def test_prompts_and_weights_have_their_shapes(self, router: PromptRouter) -> None:
        """One `(B,D,h/2^l,w/2^l)` map per level, rounded up, and weights `(B,E)`."""
        for batch, (height, width) in zip((1, 2, 3, 2, 1), LATENT_SIZES, strict=True):
            routing = self._route(router, Inputs((height, width), batch))
            require(
                isinstance(routing, Routing) and len(routing.prompts) > 0,
                expected="route to return a Routing with a prompt map per U-Net level",
                got=type(routing).__name__,
                fix="Return diffir.contracts.interfaces.Routing(prompts, weights).",
            )
            for level, prompt in enumerate(routing.prompts):
                rows, columns = (-(-side // 2**level) for side in (height, width))
                depth = prompt.shape[1] if prompt.ndim == 4 else "D"
                require_shape(
                    prompt,
                    (batch, cast("int", depth), rows, columns),
                    what=f"the prompt map of level {level} for a latent of {height}x{width}",
                    fix="Halve with a stride of 2 and padding 1: sides are rounded up.",
                )
            experts = routing.weights.shape[-1]
            require_shape(
                routing.weights, (batch, experts), what="weights", fix="Average over places."
            )

    def test_rows_of_weights_sum_to_1(self, router: PromptRouter) -> None:
        """And no weight is negative."""
        for size in LATENT_SIZES:
            weights = self._route(router, Inputs(size)).weights.float()
            ones = torch.ones(len(weights))
            require(
                bool((weights >= 0).all()) and torch.allclose(weights.sum(dim=1), ones, atol=1e-3),
                expected="weights of 0 or more whose rows sum to 1",
                got=weights.tolist(),
                fix="Divide each row by its sum before averaging.",
            )

    def test_any_codec_is_routed(self, router: PromptRouter) -> None:
        """Known or unknown, of another router's codec, without a severity: alone and mixed."""
        for codecs in ((codec,) * 2 for codec in CODECS):
            weights = self._route(router, Inputs(), codecs).weights
            require(
                weights.isfinite().all(),
                expected=f"a routing for {codecs[0]}",
                got="infinity or NaN",
                fix="Fall back on something where the codec's name or severity is not known.",
            )

    def test_values_are_finite(self, router: PromptRouter) -> None:
        """For every latent size."""
        module_checks.require_finite(cast("nn.Module", router), self._outputs)

    def test_a_batch_is_its_pictures_one_by_one(self, router: PromptRouter) -> None:
        """Pictures of a batch do not change each other's routing."""
        module_checks.require_batch_independence(cast("nn.Module", router), self._outputs)

    def test_draws_nothing_in_evaluation(self, router: PromptRouter) -> None:
        """No random numbers and no memory while `training` is off."""
        module_checks.require_no_chance(cast("nn.Module", router), self._outputs)

    def test_gradients_reach_the_declared_parameters(self, router: PromptRouter) -> None:
        """Every parameter, and nothing that is no parameter."""
        module_checks.require_gradients(
            cast("nn.Module", router), self._outputs, extra=self._auxiliary_loss
        )

    def test_state_dict_round_trip(self, router: PromptRouter) -> None:
        """Loading the saved state gives the same routing."""
        module_checks.require_state_round_trip(cast("nn.Module", router), self._outputs)

    def test_copies_and_pickles(self, router: PromptRouter) -> None:
        """A copy gives the same routing."""
        module_checks.require_copies(cast("nn.Module", router), self._outputs)

    def test_works_in_bfloat16(self, router: PromptRouter) -> None:
        """With finite results near those in float32."""
        module_checks.require_bfloat16(cast("nn.Module", router), self._outputs)

    def _route(
        self, router: PromptRouter, inputs: Inputs, codecs: Sequence[CodecInfo] = CODECS
    ) -> Routing:
        latent = inputs.latent(self.latent_channels)
        return router.route(latent, codecs[: inputs.batch])

    def _outputs(self, module: nn.Module, inputs: Inputs) -> Sequence[Tensor]:
        routing = self._route(cast("PromptRouter", module), inputs)
        return (*routing.prompts, routing.weights)

    def _auxiliary_loss(self, module: nn.Module, inputs: Inputs) -> Sequence[Tensor]:
        auxiliary_loss = getattr(module, "auxiliary_loss", None)
        if auxiliary_loss is None:
            return ()
        return (auxiliary_loss(inputs.image(3, 8), CODECS[: inputs.batch]),)
