"""Picture to picture: the object that people hold.

    Picture -> tiles -> RestorationModel -> residuals, blended -> Estimates -> fidelity -> Picture
            '-> what is known, or seen, of its codec -> strength -'

Device moves happen here and nowhere else.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Literal

import numpy as np
import torch

from diffir.errors import DeviceError
from diffir.host.manager import default_host
from diffir.restore.checkpoint import find_weights, load_checkpoint
from diffir.restore.compiling import compile_denoiser, compiler_error
from diffir.restore.device import choose_device, choose_dtype
from diffir.restore.estimates import DEFAULT_FIDELITY, Estimates
from diffir.restore.memory import choose_tile, is_out_of_memory, memory_told
from diffir.restore.pack_choice import PackChoice, Treatment
from diffir.restore.pack_loading import packs_for
from diffir.restore.prompt_packs import PackFit, extend
from diffir.restore.tensors import pad_to_multiple, to_image
from diffir.restore.tiling import GRID, SMALLEST_TILE, cut, on_grid
from diffir.restore.views import VIEWS_WHERE_FAITHFUL, first_views

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from diffir.contracts.codec import CodecInfo
    from diffir.contracts.picture import Picture
    from diffir.contracts.prompt_pack import PackCard, PromptPack
    from diffir.diffusion.model import RestorationModel
    from diffir.diffusion.samplers import Algorithm
    from diffir.host.manager import Host
    from diffir.restore.compiling import Compiled
    from diffir.restore.views import View

DEFAULT_MODEL = "moe-diffir-tiny"
Blend = Literal["pixels", "latents"]


class Restorer:
    """Restores pictures with one model.

    Args:
        model: the network, in evaluation mode.
        device: where it runs. dtype: in what precision.
        tile: side of a tile in pixels; None chooses by free memory before each picture.
        steps: 1 starts from the degraded latent; more samples from noise; None is the recipe's.
        seed: of that noise. fidelity: default of the dial, 0 rich to 1 faithful.
        strength: share of the model's changes to let through, in [0,1]; None chooses by how hard
            the picture was compressed.
        views: of how many positions, turned and mirrored, the faithful estimate is the mean, 1 to
            8, each a run; None takes 8 at fidelity 1, in one step, of a model that has it apart.
        packs: prompt packs; each serves the pictures of its codecs, and changes no others.
        pack: one that serves every picture instead, whatever its codec.
        fit: which packs fit the model, where that was asked before: its hash takes a moment.
        blend: what of neighboring tiles is blended: their "pixels", once each is restored; or the
            "latents" of the whole picture, at every step of sampling.
        consistent: keep results consistent with their files, where codecs give coefficients.
        compiled: whether the denoiser is compiled when it first runs: not ("off"), into "kernels",
            or into kernels that CUDA replays as "graphs". Minutes once, for many steps or pictures.

    Raises:
        CheckpointError: a pack was made for another model.
        DeviceError: graphs of a device that is not CUDA; a model that does not fit into memory.
        ValueError: fidelity or strength outside [0,1], or views outside 1 to 8.
    """

    def __init__(
        self,
        model: RestorationModel,
        *,
        device: torch.device,
        dtype: torch.dtype = torch.float32,
        tile: int | None = None,
        steps: int | None = None,
        seed: int = 0,
        fidelity: float = DEFAULT_FIDELITY,
        strength: float | None = None,
        views: int | None = None,
        packs: Sequence[PromptPack] = (),
        pack: PromptPack | None = None,
        fit: PackFit | None = None,
        blend: Blend = "pixels",
        consistent: bool = True,
        compiled: Compiled = "off",
    ) -> None:
        for name, share in (("fidelity", fidelity), ("strength", strength)):
            if share is not None and not 0 <= share <= 1:
                raise ValueError(f"{name} must be in [0,1], got {share}")
        if views is not None:
            first_views(views)
        self.packs = {one.card: one for one in ((*packs, pack) if pack else packs)}
        fit = fit or PackFit(model)
        for one in self.packs.values():
            fit.check(one)
        self.choice = PackChoice(packs, pack)
        self.device = device
        self.dtype = dtype
        with memory_told("The model is too large: try a dtype of 16 bits, or another device."):
            self.model = self._placed(model)
        compile_denoiser(self.model, compiled, device)
        self._extended: dict[PackCard, RestorationModel] = {}
        self.tile = tile
        self.steps = steps or model.sampler.steps
        self.seed = seed
        self.fidelity = fidelity
        self.strength = strength
        self.views = views
        self.blend = blend
        self.consistent = consistent

    def __call__(self, picture: Picture) -> Picture:
        """Restore a picture of any size; metadata and alpha ride along."""
        return self.estimate(picture).at(self.fidelity)

    def views_at(self, fidelity: float) -> int:
        """How many views a picture restored at that fidelity takes."""
        if self.views is not None:
            return self.views
        own = self.steps == 1 and hasattr(self.model.decoder, "decode_faithful")
        return VIEWS_WHERE_FAITHFUL if fidelity == 1 and own else 1

    def estimate(self, picture: Picture, *, views: int | None = None) -> Estimates:
        """Restore once, for any setting of the dial.

        Args:
            picture: of any size.
            views: as of the restorer; None takes those of its own fidelity.

        Raises:
            DeviceError: not even the smallest tile fits into memory.
            ValueError: views outside 1 to 8.
        """
        tile = self.choose_tile()
        chosen = first_views(self.views_at(self.fidelity) if views is None else views)
        while True:
            try:
                return self._estimate(picture, tile, chosen)
            except (RuntimeError, MemoryError) as error:
                if isinstance(error, RuntimeError) and not is_out_of_memory(error):
                    raise (compiler_error(error) or error) from error
                if tile <= SMALLEST_TILE:
                    raise DeviceError(
                        f"out of memory even with tiles of {tile}x{tile} pixels",
                        hint="Close other programs, or use another --device.",
                    ) from error
            if self.device.type == "cuda":
                torch.cuda.empty_cache()
            tile = max(SMALLEST_TILE, tile // 2 // GRID * GRID)

    def pack_for(self, codec: CodecInfo) -> str | None:
        """The name of the prompt pack that serves pictures of a codec that is told, if any."""
        card = self.choice.by_codec(codec)
        return None if card is None else card.name

    @torch.inference_mode()
    def treatment(self, picture: Picture) -> Treatment:
        """What the model is told, how much of its changes is let through, and by which pack."""
        return self.choice.treatment(self.model, picture, self.strength)

    def choose_tile(self) -> int:
        """The side of the tiles that the next picture is cut into."""
        return self.tile or choose_tile(self.model, self.device)

    @torch.inference_mode()
    def _estimate(self, picture: Picture, tile: int, views: Sequence[View]) -> Estimates:
        treatment = self.treatment(picture)
        whole, inside = on_grid(picture.pixels, picture.codec.grid or (0, 0))
        faithful, rich = (np.zeros(whole.shape, np.float16) for _ in range(2))
        made = partial(
            Estimates,
            picture,
            faithful[inside],
            rich[inside],
            tile=tile,
            treatment=treatment,
            consistent=self.consistent,
        )
        if treatment.strength == 0:  # nothing of what the model says would be used
            return made(experts=())
        shares: list[tuple[int, NDArray[np.float32]]] = []
        generator = torch.Generator().manual_seed(self.seed)
        side = tile
        if self.blend == "latents":  # one place, which the model cuts itself
            side = max(tile, *(-(-length // GRID) * GRID for length in whole.shape[:2]))
        for place in cut(whole.shape[0], whole.shape[1], side):
            pixels = whole[place.rows, place.columns]
            *residuals, share = self._run(pixels, treatment, generator, tile, views)
            for total, residual in zip((faithful, rich), residuals, strict=True):
                total[place.rows, place.columns] += place.weigh(residual).astype(np.float16)
            shares.append((pixels.size, share))
        areas = [area for area, _ in shares]
        mean = np.average([share for _, share in shares], axis=0, weights=areas)
        experts = tuple(float(share) for share in mean)
        return made(experts=experts, views=len(views))

    def _run(
        self,
        pixels: NDArray[np.uint8] | NDArray[np.uint16],
        treatment: Treatment,
        generator: torch.Generator,
        tile: int,
        views: Sequence[View],
    ) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
        """Residuals `(h,w,3)` of the two estimates, and the experts' shares `(E,)`."""
        height, width = pixels.shape[:2]
        image = pad_to_multiple(to_image(pixels), self.model.multiple)
        image = image.to(self.device, self.dtype, memory_format=torch.channels_last)
        run = partial(
            self._serving(treatment.card),
            codecs=[treatment.told],
            steps=self.steps,
            generator=generator,
            tile=tile if self.blend == "latents" else None,
        )
        decoded, routing = run(image)
        faithful = decoded.faithful - image
        for view in views[1:]:
            seen, _ = run(view.of(image), rich=False)
            faithful += view.back(seen.faithful) - image

        def array(residual: torch.Tensor) -> NDArray[np.float32]:
            inside = residual[0, :, :height, :width].permute(1, 2, 0)
            numbers: NDArray[np.float32] = inside.float().cpu().numpy()
            return numbers

        experts: NDArray[np.float32] = routing.weights[0].float().cpu().numpy()
        return array(faithful / len(views)), array(decoded.rich - image), experts

    def _serving(self, card: PackCard | None) -> RestorationModel:
        """The model for a pack's pictures; each is made when the first of them comes."""
        if card is None:
            return self.model
        if card not in self._extended:
            self._extended[card] = self._placed(extend(self.model, self.packs[card]))
        return self._extended[card]

    def _placed(self, model: RestorationModel) -> RestorationModel:
        return model.to(self.device, self.dtype).to(memory_format=torch.channels_last)


def load(
    model: str | Path = DEFAULT_MODEL,
    *,
    device: str = "auto",
    dtype: str = "auto",
    tile: int | None = None,
    steps: int | None = None,
    seed: int = 0,
    fidelity: float = DEFAULT_FIDELITY,
    strength: float | None = None,
    views: int | None = None,
    consistent: bool = True,
    compiled: Compiled = "off",
    prompts: str = "auto",
    sampler: Algorithm | None = None,
    blend: Blend = "pixels",
    host: Host | None = None,
) -> Restorer:
    """Load a model by its recipe's name, or from a `.safetensors` file.

    `sampler` stands in place of the recipe's where more than one step is taken; for the others see
    `Restorer`.

    Of `prompts`, "auto" takes the stored packs that were made for this model, each for the pictures
    of its codecs, and warns of those that cannot serve; "none" takes none; the name or the file of
    a pack takes that one for every picture (of several in one file, each for those of its codecs).
    With `consistent`, a result compresses to the coefficients of its file again, where that file's
    codec gives them: JPEG does.

    Raises:
        CheckpointError: no such file, not a weights file of ours, or a pack for another model.
        UnknownComponentError: no recipe, or no pack, of that name.
        DeviceError: the device or the dtype is not there.
        ValueError: fidelity or strength outside [0,1], or views outside 1 to 8.
    """
    host = host or default_host()
    chosen, precision = choose_device(device), choose_dtype(dtype)
    network, recipe = load_checkpoint(find_weights(str(model), host), host)
    if sampler is not None:
        network.sampler = replace(network.sampler, use=sampler)
    fit = PackFit(network)
    packs, pack = packs_for(fit, prompts, host, base=recipe.name)
    return Restorer(
        network,
        device=chosen,
        dtype=precision,
        tile=tile,
        steps=steps,
        seed=seed,
        fidelity=fidelity,
        strength=strength,
        views=views,
        packs=packs,
        pack=pack,
        fit=fit,
        blend=blend,
        consistent=consistent,
        compiled=compiled,
    )
