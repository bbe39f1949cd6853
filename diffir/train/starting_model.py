"""What a run starts from: fresh weights, those of a file, or a file's with more blocks added."""

from __future__ import annotations

from typing import TYPE_CHECKING

from diffir.diffusion.expert_kernels import ExpertBlock
from diffir.diffusion.grain import Grain
from diffir.diffusion.layers import ResidualBlock
from diffir.errors import CheckpointError
from diffir.restore.assemble import assemble
from diffir.restore.checkpoint import load_checkpoint

if TYPE_CHECKING:
    from pathlib import Path

    from diffir.diffusion.model import RestorationModel
    from diffir.host.manager import Host
    from diffir.recipes.recipe import Recipe


def starting_model(recipe: Recipe, host: Host, weights: Path | None) -> RestorationModel:
    """The recipe's model, on the CPU, with the weights of a file if one is given.

    The file's recipe may have fewer residual blocks. Those that it lacks start as the identity
    (Chen et al., Net2Net, 2016), so that the larger model does at first what the smaller one did.
    It may lack noise as an input, which then begins as in a fresh model, and expert kernels, which
    are zero there.

    Raises:
        CheckpointError: the file holds another model, or one whose weights do not fit.
    """
    if weights is None:
        return assemble(recipe, host)
    trained_model, trained = load_checkpoint(weights, host)
    if trained.name != recipe.name:
        raise CheckpointError(
            f"{weights} holds '{trained.name}', not '{recipe.name}'",
            hint=f"Give weights of '{recipe.name}', or train recipe '{trained.name}'.",
        )
    built = (recipe.encoder, recipe.denoiser, recipe.parts)
    if (trained.encoder, trained.denoiser, trained.parts) == built:
        return trained_model
    # What is saved has this recipe in its header, and must fit it.
    grown = assemble(recipe, host)
    if not _grow(trained_model, grown):
        raise CheckpointError(
            f"{weights} holds '{trained.name}' of other sizes or parts than the recipe's",
            hint="A recipe may have more residual blocks than the weights it starts from, noise, "
            "and expert kernels; for all else, train with the recipe that they were made with.",
        )
    return grown.eval()


def _grow(trained: RestorationModel, grown: RestorationModel) -> bool:
    """Give `grown` the weights of `trained`; False if more than what may be new differs."""
    given, wanted = trained.state_dict(), grown.state_dict()
    new = {
        f"{name}.": module
        for name, module in grown.named_modules()
        if isinstance(module, ResidualBlock | Grain)
        and not any(known.startswith(f"{name}.") for known in given)
    }
    experts = {
        f"{name}.{own}"
        for name, module in grown.named_modules()
        if isinstance(module, ExpertBlock)
        for own in module.own_parameters()
    }
    kept = {name for name in wanted if not name.startswith(tuple(new))} - (experts - set(given))
    if kept != set(given) or any(given[name].shape != wanted[name].shape for name in kept):
        return False
    grown.load_state_dict(given, strict=False)
    for module in new.values():
        if isinstance(module, ResidualBlock):
            module.become_identity()
    return True
