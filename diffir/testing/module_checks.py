"""What routers, conditioners and decoders have in common, as they are `torch.nn.Module`s.

Each function takes the module and `outputs(module, inputs)`, which calls the module's verb and
returns all tensors of its result.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from diffir.testing.fresh_process import pickled
from diffir.testing.side_effects import random_state_required
from diffir.testing.suite import require

if TYPE_CHECKING:
    from collections.abc import Iterator

LATENT_SIZES = ((1, 1), (1, 7), (5, 3), (8, 8), (9, 16))
"""Rows and columns of latents: one position, odd sides, wide and square."""

TOLERANCE = {torch.float32: 1e-4, torch.bfloat16: 0.1}


@dataclass(frozen=True)
class Inputs:
    """What a module is called with: noise from fixed seeds, one per picture.

    size: rows and columns of the latent. The first pictures of a larger batch are those of a
    smaller one.
    """

    size: tuple[int, int] = (8, 8)
    batch: int = 2
    dtype: torch.dtype = torch.float32

    def latent(self, channels: int) -> Tensor:
        """`(B,C,h,w)`, normal."""
        return self._rows((channels, *self.size), torch.randn)

    def image(self, channels: int, scale: int) -> Tensor:
        """`(B,C,h*scale,w*scale)`, uniform in [0,1]."""
        return self._rows((channels, *(side * scale for side in self.size)), torch.rand)

    def _rows(self, shape: tuple[int, ...], draw: Callable[..., Tensor]) -> Tensor:
        rows = [
            draw(shape, generator=torch.Generator().manual_seed(row)) for row in range(self.batch)
        ]
        return torch.stack(rows).to(self.dtype)


Outputs = Callable[[nn.Module, Inputs], Sequence[Tensor]]
"""Calls the verb of a module and returns the tensors of its result."""


def require_module(subject: object) -> None:
    """Fail unless the subject is an `nn.Module`."""
    require(
        isinstance(subject, nn.Module),
        expected="a torch.nn.Module, whose weights are saved and trained with the model",
        got=type(subject).__name__,
        fix="Inherit from torch.nn.Module and call super().__init__().",
    )


def require_shape(tensor: Tensor, shape: Sequence[int], *, what: str, fix: str) -> None:
    """Fail unless the tensor has that shape."""
    require(
        isinstance(tensor, Tensor) and tensor.shape == torch.Size(shape),
        expected=f"{what} of shape {tuple(shape)}",
        got=tuple(tensor.shape) if isinstance(tensor, Tensor) else type(tensor).__name__,
        fix=fix,
    )


def require_finite(module: nn.Module, outputs: Outputs) -> None:
    """Fail if some latent size gives infinities or NaN."""
    for size in LATENT_SIZES:
        require(
            all(tensor.isfinite().all() for tensor in _seen(module, outputs, Inputs(size))),
            expected=f"finite values for a latent of {size[0]}x{size[1]}",
            got="infinity or NaN",
            fix="Look for a division by a spread that is 0 at 1x1, and for a log of 0.",
        )


def require_batch_independence(module: nn.Module, outputs: Outputs) -> None:
    """Fail if the pictures of a batch change each other's results."""
    together, alone = _seen(module, outputs), _seen(module, outputs, Inputs(batch=1))
    close = all(
        torch.allclose(many[:1], one, atol=TOLERANCE[torch.float32])
        for many, one in zip(together, alone, strict=True)
    )
    require(
        close,
        expected="a picture's result to be the same alone and in a batch",
        got="another result",
        fix="Normalize over channels or places, not over the batch.",
    )


def require_no_chance(module: nn.Module, outputs: Outputs) -> None:
    """Fail if the module draws random numbers, or remembers, while `training` is off."""
    fix = "Draw noise only where self.training is on."
    with random_state_required("a module with training off", fix=fix):
        first = _seen(module, outputs)
    _seen(module, outputs, Inputs((5, 3)))
    require(
        _equal(first, _seen(module, outputs)),
        expected="equal inputs to give equal results while training is off",
        got="another result at a later call",
        fix=f"Keep no state between calls. {fix}",
    )


def require_gradients(
    module: nn.Module, outputs: Outputs, *, extra: Outputs = lambda module, inputs: ()
) -> None:
    """Fail if a parameter gets no gradient, or a tensor that is no parameter gets one.

    `extra` are the tensors that the trainer gets from the module's optional methods.
    """
    trained = copy.deepcopy(module).train()
    tensors = [*outputs(trained, Inputs()), *extra(trained, Inputs())]
    # Squared, so that a sum that is constant, such as that of shares, still has a gradient.
    loss = torch.stack([tensor.square().sum() for tensor in _variable(tensors)]).sum()
    torch.autograd.backward(loss)
    wanted = [(name, p) for name, p in trained.named_parameters() if p.requires_grad]
    dry = [name for name, p in wanted if p.grad is None or not p.grad.isfinite().all()]
    require(
        not dry,
        expected="a finite gradient at every parameter that wants one",
        got=f"none at {', '.join(dry)}",
        fix="Use the parameter, delete it, or freeze it with requires_grad_(False).",
    )
    declared = {id(p) for p in trained.parameters()}
    strangers = [leaf for leaf in _leaves(loss) if id(leaf) not in declared]
    require(
        not strangers,
        expected="gradients through parameters() only",
        got=f"a hidden trainable tensor of shape {tuple(strangers[0].shape)}" if strangers else "",
        fix="Make it an nn.Parameter, or keep lists of modules in nn.ModuleList.",
    )


def require_state_round_trip(module: nn.Module, outputs: Outputs) -> None:
    """Fail if `state_dict` does not carry all that makes the output."""
    state = {name: value.clone() for name, value in module.state_dict().items()}
    other = copy.deepcopy(module)
    with torch.no_grad():
        for value in other.state_dict().values():
            value.zero_()
    other.load_state_dict(state)
    require(
        _equal(_seen(module, outputs), _seen(other, outputs)),
        expected="a module with the loaded state_dict to give the same result",
        got="another result",
        fix="Register every tensor that matters as nn.Parameter or with register_buffer, and "
        "cache nothing that was made from them.",
    )


def require_copies(module: nn.Module, outputs: Outputs) -> None:
    """Fail if the module cannot be copied and pickled, or a copy gives another result."""
    for how, twin in (("copy", copy.deepcopy(module)), ("pickled", pickled(module))):
        require(
            _equal(_seen(module, outputs), _seen(twin, outputs)),
            expected=f"the same result from a {how} of the module",
            got="another result",
            fix="Keep all settings in attributes of the module.",
        )


def require_bfloat16(module: nn.Module, outputs: Outputs) -> None:
    """Fail if the module does not work in bfloat16, near to what it gives in float32."""
    half = copy.deepcopy(module).to(torch.bfloat16)
    exact = _seen(module, outputs)
    for tensor, full in zip(_seen(half, outputs, Inputs(dtype=torch.bfloat16)), exact, strict=True):
        require(
            tensor.dtype == torch.bfloat16 and tensor.isfinite().all(),
            expected="finite bfloat16 results from bfloat16 weights and inputs",
            got=f"{tensor.dtype}" + ("" if tensor.isfinite().all() else " with infinity or NaN"),
            fix="Make new tensors with the dtype of the input: torch.zeros_like(x), .to(x).",
        )
        spread = full.abs().max().clamp(min=1)
        require(
            ((tensor.float() - full).abs().mean() / spread) <= TOLERANCE[torch.bfloat16],
            expected="bfloat16 results near those of float32",
            got=f"{float((tensor.float() - full).abs().mean()):.3g} off on average",
            fix="Compute sums and norms in float32 and cast the result back.",
        )


def _seen(module: nn.Module, outputs: Outputs, inputs: Inputs | None = None) -> Sequence[Tensor]:
    """Outputs in evaluation mode; the module's own mode is left as it was."""
    mode = module.training
    module.eval()
    try:
        with torch.no_grad():
            return outputs(module, inputs or Inputs())
    finally:
        module.train(mode)


def _equal(first: Sequence[Tensor], second: Sequence[Tensor]) -> bool:
    return len(first) == len(second) and all(map(torch.equal, first, second))


def _variable(tensors: Sequence[Tensor]) -> list[Tensor]:
    require(
        any(tensor.requires_grad for tensor in tensors),
        expected="a result that gradients can be taken of, in training",
        got="none",
        fix="Take torch.no_grad() and .detach() out of the way, or have no parameters.",
    )
    return [tensor for tensor in tensors if tensor.requires_grad]


def _leaves(loss: Tensor) -> Iterator[Tensor]:
    """The tensors at the ends of the graph, where gradients are kept."""
    waiting, seen = [loss.grad_fn], set()
    while waiting:
        node = waiting.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        if hasattr(node, "variable"):
            yield node.variable
        waiting.extend(after for after, _ in node.next_functions)
