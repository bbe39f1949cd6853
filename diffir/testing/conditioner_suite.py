"""The conformance suite of conditioners."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, cast

from torch import Tensor

from diffir.testing import module_checks
from diffir.testing.module_checks import LATENT_SIZES, Inputs, require_shape
from diffir.testing.suite import Suite, require

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import nn

    from diffir.contracts.interfaces import Conditioner


class ConditionerSuite(Suite):
    """Checks one conditioner. The fixture `conditioner` returns the module.

    latent_channels: of the latents that it is shown; the recipe's `encoder.latent_channels`. The
    default is that of `moe-diffir-tiny`.
    grid: pixels per latent position, on each axis.
    """

    latent_channels: ClassVar[int] = 32
    grid: ClassVar[int] = 8

    def test_is_a_module(self, conditioner: Conditioner) -> None:
        """A `torch.nn.Module`."""
        module_checks.require_module(conditioner)

    def test_tokens_have_their_shape(self, conditioner: Conditioner) -> None:
        """`(B,L,D)` for images of any size, D always the same."""
        widths = set()
        for batch, size in zip((1, 2, 3, 2, 1), LATENT_SIZES, strict=True):
            tokens = self._tokens(cast("nn.Module", conditioner), Inputs(size, batch))[0]
            is_tokens = isinstance(tokens, Tensor) and tokens.ndim == 3
            length, width = tokens.shape[1:] if is_tokens else (1, 1)
            require_shape(
                tokens,
                (batch, length, width),
                what="tokens (B,L,D)",
                fix="Flatten places into L and move channels last: x.flatten(2).transpose(1, 2).",
            )
            widths.add(width)
        require(
            len(widths) == 1,
            expected="one token width D for images of every size",
            got=sorted(widths),
            fix="Resize the image, or pool, before what depends on its size.",
        )

    def test_values_are_finite(self, conditioner: Conditioner) -> None:
        """For every image size."""
        module_checks.require_finite(cast("nn.Module", conditioner), self._tokens)

    def test_a_batch_is_its_pictures_one_by_one(self, conditioner: Conditioner) -> None:
        """Pictures of a batch do not change each other's tokens."""
        module_checks.require_batch_independence(cast("nn.Module", conditioner), self._tokens)

    def test_draws_nothing_in_evaluation(self, conditioner: Conditioner) -> None:
        """No random numbers and no memory while `training` is off."""
        module_checks.require_no_chance(cast("nn.Module", conditioner), self._tokens)

    def test_gradients_reach_the_declared_parameters(self, conditioner: Conditioner) -> None:
        """Every parameter that is not frozen, and nothing that is no parameter."""
        module_checks.require_gradients(cast("nn.Module", conditioner), self._tokens)

    def test_state_dict_round_trip(self, conditioner: Conditioner) -> None:
        """Loading the saved state gives the same tokens."""
        module_checks.require_state_round_trip(cast("nn.Module", conditioner), self._tokens)

    def test_copies_and_pickles(self, conditioner: Conditioner) -> None:
        """A copy gives the same tokens."""
        module_checks.require_copies(cast("nn.Module", conditioner), self._tokens)

    def test_works_in_bfloat16(self, conditioner: Conditioner) -> None:
        """With finite results near those in float32."""
        module_checks.require_bfloat16(cast("nn.Module", conditioner), self._tokens)

    def _tokens(self, module: nn.Module, inputs: Inputs) -> Sequence[Tensor]:
        image, latent = inputs.image(3, self.grid), inputs.latent(self.latent_channels)
        return (cast("Conditioner", module).condition(image, latent),)
