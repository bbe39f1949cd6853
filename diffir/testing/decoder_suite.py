"""The conformance suite of decoders."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, cast

from diffir.contracts.interfaces import Decoded, Encoded, Routing
from diffir.testing import module_checks
from diffir.testing.module_checks import LATENT_SIZES, Inputs, require_shape
from diffir.testing.suite import Suite, require

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor, nn

    from diffir.contracts.interfaces import Decoder


class DecoderSuite(Suite):
    """Checks one decoder. The fixture `decoder` returns the module.

    latent_channels: of the latents that the decoder was built for; the recipe's
    `encoder.latent_channels`.
    feature_channels: of the encoder's feature maps, finest first; the recipe's `encoder.widths`.
    The first map has half of the image's sides, each further one half of those before.
    degradation_width: of `Routing.degradation`; the recipe's `router.width`.
    The defaults are those of `moe-diffir-tiny`.
    A method `reconstruct(latent)`, where there is one, counts for the gradients.
    """

    latent_channels: ClassVar[int] = 32
    feature_channels: ClassVar[Sequence[int]] = (48, 80, 128)
    degradation_width: ClassVar[int] = 64

    def test_is_a_module(self, decoder: Decoder) -> None:
        """A `torch.nn.Module`."""
        module_checks.require_module(decoder)

    def test_estimates_have_the_size_of_the_image(self, decoder: Decoder) -> None:
        """Both `(B,3,H,W)`, for latents of any size."""
        for batch, (height, width) in zip((1, 2, 3, 2, 1), LATENT_SIZES, strict=True):
            inputs = Inputs((height, width), batch)
            decoded = self._decode(decoder, inputs)
            require(
                isinstance(decoded, Decoded),
                expected="decode to return a Decoded",
                got=type(decoded).__name__,
                fix="Return diffir.contracts.interfaces.Decoded(faithful, rich).",
            )
            for name, image in vars(decoded).items():
                require_shape(
                    image,
                    self._encoded(inputs).image.shape,
                    what=f"the {name} estimate, from a latent of {height}x{width},",
                    fix="Return images of the size of encoded.image.",
                )

    def test_values_are_finite(self, decoder: Decoder) -> None:
        """For every latent size."""
        module_checks.require_finite(cast("nn.Module", decoder), self._outputs)

    def test_a_batch_is_its_pictures_one_by_one(self, decoder: Decoder) -> None:
        """Pictures of a batch do not change each other's estimates."""
        module_checks.require_batch_independence(cast("nn.Module", decoder), self._outputs)

    def test_draws_nothing_in_evaluation(self, decoder: Decoder) -> None:
        """No random numbers and no memory while `training` is off."""
        module_checks.require_no_chance(cast("nn.Module", decoder), self._outputs)

    def test_gradients_reach_the_declared_parameters(self, decoder: Decoder) -> None:
        """Every parameter, and nothing that is no parameter."""
        module_checks.require_gradients(
            cast("nn.Module", decoder), self._outputs, extra=self._reconstruction
        )

    def test_state_dict_round_trip(self, decoder: Decoder) -> None:
        """Loading the saved state gives the same estimates."""
        module_checks.require_state_round_trip(cast("nn.Module", decoder), self._outputs)

    def test_copies_and_pickles(self, decoder: Decoder) -> None:
        """A copy gives the same estimates."""
        module_checks.require_copies(cast("nn.Module", decoder), self._outputs)

    def test_works_in_bfloat16(self, decoder: Decoder) -> None:
        """With finite results near those in float32."""
        module_checks.require_bfloat16(cast("nn.Module", decoder), self._outputs)

    def _encoded(self, inputs: Inputs) -> Encoded:
        coarsest = 2 ** (len(self.feature_channels) - 1)
        features = tuple(
            inputs.image(channels, coarsest // 2**level)
            for level, channels in enumerate(self.feature_channels)
        )
        latent = inputs.latent(self.latent_channels)
        return Encoded(inputs.image(3, 2 * coarsest), latent, features)

    def _decode(self, decoder: Decoder, inputs: Inputs) -> Decoded:
        encoded = self._encoded(inputs)
        return decoder.decode(inputs.latent(self.latent_channels), encoded, self._routing(inputs))

    def _routing(self, inputs: Inputs) -> Routing:
        """What a router yields: one level of prompts, one expert, an embedding."""
        prompts = (inputs.latent(self.degradation_width),)
        embedding = inputs.latent(self.degradation_width).mean(dim=(2, 3))
        return Routing(prompts, embedding.new_ones(inputs.batch, 1), embedding)

    def _outputs(self, module: nn.Module, inputs: Inputs) -> Sequence[Tensor]:
        decoded = self._decode(cast("Decoder", module), inputs)
        return (decoded.faithful, decoded.rich)

    def _reconstruction(self, module: nn.Module, inputs: Inputs) -> Sequence[Tensor]:
        reconstruct = getattr(module, "reconstruct", None)
        return (reconstruct(inputs.latent(self.latent_channels)),) if reconstruct else ()
