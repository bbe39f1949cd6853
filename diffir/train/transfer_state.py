"""What a fine-tuning needs to go on after a kill, as one safetensors file beside the pack."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING

from safetensors import SafetensorError, safe_open
from safetensors.torch import save

from diffir.pictures.atomic_file import write_atomically
from diffir.train.transfer_judge import Verdict

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor

FORMAT = "diffir-transfer-4"


@dataclass
class State:
    """Where a run stands.

    key: of what it trains on and how; another run's state is not taken. step: the next one.
    waited: judgements in a row without progress. curve: the judgements so far, by
    step. tensors: by group ("learned", "average", "best",
    "first", "second" moments of the optimizer), then by name.
    """

    key: str
    step: int = 0
    seconds: float = 0.0
    waited: int = 0
    best: Verdict | None = None
    curve: list[tuple[int, Verdict]] = field(default_factory=list)
    tensors: dict[str, dict[str, Tensor]] = field(default_factory=dict)


def save_state(state: State, path: Path) -> None:
    """Write it, whole or not at all.

    Raises:
        OutputError: it cannot be written.
    """
    flat = {
        f"{group}/{name}": tensor.detach().cpu().contiguous()
        for group, tensors in state.tensors.items()
        for name, tensor in tensors.items()
    }
    position = {
        "key": state.key,
        "step": state.step,
        "seconds": state.seconds,
        "waited": state.waited,
        "best": None if state.best is None else asdict(state.best),
        "curve": [(step, asdict(verdict)) for step, verdict in state.curve],
    }
    header = {"format": FORMAT, "position": json.dumps(position)}
    write_atomically(path, save(flat, metadata=header), overwrite=True)


def load_state(path: Path, *, key: str) -> State | None:
    """The state of the run of that key, or `None` where there is none, or it is another run's."""
    if not path.is_file():
        return None
    try:
        with safe_open(path, framework="pt") as file:
            header = file.metadata() or {}
            flat = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        if header.get("format") != FORMAT:
            return None
        position = json.loads(header["position"])
    except (SafetensorError, OSError, ValueError, KeyError):
        return None
    if position["key"] != key:
        return None
    tensors: dict[str, dict[str, Tensor]] = {}
    for name, tensor in flat.items():
        group, _, rest = name.partition("/")
        tensors.setdefault(group, {})[rest] = tensor
    best = position["best"]
    return State(
        key,
        position["step"],
        position["seconds"],
        position["waited"],
        None if best is None else Verdict.from_dict(best),
        [(step, Verdict.from_dict(verdict)) for step, verdict in position["curve"]],
        tensors,
    )


def remove_state(path: Path) -> None:
    """The run is over."""
    if path.exists():
        os.unlink(path)
