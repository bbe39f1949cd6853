"""Prompt packs in a model.

`extend` makes the model that serves a pack's codecs: a copy that shares every weight of the base
and has the pack's experts beside them. The base is never touched, so pictures of other codecs come
out as they did.
"""

from __future__ import annotations

import copy
import hashlib
from functools import cached_property
from typing import TYPE_CHECKING

from diffir.errors import CheckpointError, RecipeError

if TYPE_CHECKING:
    from torch import nn

    from diffir.contracts.prompt_pack import PromptPack
    from diffir.diffusion.model import RestorationModel


def model_hash(model: RestorationModel) -> str:
    """What tells one base model from another: sha256 over names and half-precision weights."""
    digest = hashlib.sha256()
    for name, tensor in sorted(model.state_dict().items()):
        digest.update(name.encode())
        digest.update(tensor.detach().cpu().half().contiguous().numpy().tobytes())
    return digest.hexdigest()


def with_new_experts(model: RestorationModel, count: int) -> RestorationModel:
    """A copy of a model with `count` new experts in each place, which alone require gradients.

    Raises:
        RecipeError: no part of the model has prompts that can be extended.
    """
    shared: dict[int, object] = {id(t): t for t in (*model.parameters(), *model.buffers())}
    # A part in which nothing is to be learned is the base's own: a compiled denoiser stays one.
    shared |= {id(part): part for part in model.modules() if not _has_transferable(part)}
    extended = copy.deepcopy(model, shared)  # modules on the way are copied, tensors are not
    found = [name for name, module in extended.named_modules() if _is_transferable(module)]
    for name in found:
        parent = extended.get_submodule(name.rpartition(".")[0])
        module = extended.get_submodule(name)
        setattr(parent, name.rpartition(".")[2], module.with_new_experts(count))  # type: ignore[operator]
    new = new_parameters(extended, model)
    if not new:
        raise RecipeError(
            "no part of this model has prompts that can be extended",
            hint="Routers and decoders offer it by with_new_experts: see diffir.contracts. The "
            "router 'moe' does where its recipe says extensible = true.",
        )
    for parameter in extended.parameters():
        parameter.requires_grad_(False)
    for parameter in new.values():
        parameter.requires_grad_()
    return extended.train(model.training)


def without_experts(model: RestorationModel) -> RestorationModel:
    """A copy of a model whose own expert prompts are zero: what it is without them."""
    bare = copy.deepcopy(model)
    for module in bare.modules():
        for name, parameter in module.named_parameters(recurse=False):
            if _is_transferable(module) and name == "prompts":
                parameter.data.zero_()
    return bare


def new_parameters(extended: RestorationModel, base: RestorationModel) -> dict[str, nn.Parameter]:
    """By name, the parameters that an extended model has beside those of its base."""
    shared = {id(parameter) for parameter in base.parameters()}
    return {n: p for n, p in extended.named_parameters() if id(p) not in shared}


class PackFit:
    """Which packs were made for a model.

    Args:
        model: the base, as it was loaded: in another precision its hash is another.
    """

    def __init__(self, model: RestorationModel) -> None:
        self.model = model
        self._shapes: dict[int, dict[str, tuple[int, ...]]] = {}

    @cached_property
    def digest(self) -> str:
        """The model's hash."""
        return model_hash(self.model)

    def check(self, pack: PromptPack) -> None:
        """Do nothing if the pack fits.

        Raises:
            CheckpointError: it was made for other weights, or its tensors have no place here.
            RecipeError: no part of the model has prompts that can be extended.
        """
        card = pack.card
        if card.base_hash != self.digest:
            raise CheckpointError(
                f"the prompt pack '{card.name}' was made for other weights of '{card.base}'",
                hint="Restore with the model that it was made for, or make it anew: "
                "diffir finetune-prompts.",
            )
        wanted = self._wanted(card.experts)
        given = {name: tuple(t.shape) for name, t in pack.tensors.items()}
        if wanted != given:
            raise CheckpointError(
                f"the prompt pack '{card.name}' does not fit '{card.base}': first at "
                f"{min(dict(wanted.items() ^ given.items()))}",
                hint="It was made by another version of diffir or of a plugin that the model "
                "uses: make it anew with diffir finetune-prompts.",
            )

    def _wanted(self, experts: int) -> dict[str, tuple[int, ...]]:
        if experts not in self._shapes:
            new = new_parameters(with_new_experts(self.model, experts), self.model)
            self._shapes[experts] = {name: tuple(p.shape) for name, p in new.items()}
        return self._shapes[experts]


def extend(model: RestorationModel, pack: PromptPack) -> RestorationModel:
    """The model that serves a pack's codecs.

    Args:
        model: the base, in any precision.
        pack: one that fits it: see `PackFit`.
    """
    import torch

    extended = with_new_experts(model, pack.card.experts)
    with torch.no_grad():
        for name, parameter in new_parameters(extended, model).items():
            parameter.copy_(pack.tensors[name])
    return extended.requires_grad_(False)


def _is_transferable(module: nn.Module) -> bool:
    return callable(getattr(module, "with_new_experts", None))


def _has_transferable(module: nn.Module) -> bool:
    return any(_is_transferable(part) for part in module.modules())


def distance(first: PromptPack, second: PromptPack) -> dict[str, float]:
    """How far apart two packs are: per place, |a - b| over the mean of |a| and |b|.

    0 is equal; places that one pack alone has count as 1.
    """
    import torch

    names = sorted(first.tensors.keys() | second.tensors.keys())
    apart: dict[str, list[tuple[float, float]]] = {}
    for name in names:
        place = name.rpartition(".new.")[0] or name.rpartition(".")[0]
        a, b = first.tensors.get(name), second.tensors.get(name)
        if a is None or b is None or a.shape != b.shape:
            apart.setdefault(place, []).append((1.0, 1.0))
            continue
        size = float(torch.linalg.vector_norm(a) + torch.linalg.vector_norm(b)) / 2
        apart.setdefault(place, []).append((float(torch.linalg.vector_norm(a - b)), size))
    return {
        place: sum(gap for gap, _ in rows) / max(sum(size for _, size in rows), 1e-12)
        for place, rows in apart.items()
    }
