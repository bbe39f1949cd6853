"""From a codec, some pictures and a finished model to a prompt pack.

    pictures -> learned | held out -> crops -> FeatureCache, Judge -> Transfer -> PromptPack

What is held out, and how: see `diffir.train.holding_out`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

import diffir
from diffir.contracts.codec import CodecInfo
from diffir.contracts.picture import Picture
from diffir.contracts.prompt_pack import NAME, PackCard, PromptPack
from diffir.degradations.diet import mix
from diffir.errors import DataError, RecipeError
from diffir.perceptual.dists import Dists
from diffir.perceptual.lpips import Lpips
from diffir.perceptual.weights import cache_folder
from diffir.restore.checkpoint import find_weights, load_checkpoint
from diffir.restore.device import choose_device
from diffir.restore.guard import is_known, what_is_told
from diffir.restore.prompt_packs import model_hash, without_experts
from diffir.restore.tensors import pad_to_multiple, to_image
from diffir.train.clean_pictures import find_pictures
from diffir.train.feature_cache import FeatureCache
from diffir.train.holding_out import halved, judged_crops, split
from diffir.train.pixels_on_disk import forget
from diffir.train.recognizing import learn_to_recognize
from diffir.train.transfer import Effort, Transfer
from diffir.train.transfer_crops import (
    clean_pictures,
    compressed_pairs,
    draw_crops,
)
from diffir.train.transfer_judge import Judge

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from diffir.contracts.interfaces import Degradation
    from diffir.contracts.prompt_pack import Recognition
    from diffir.diffusion.model import RestorationModel
    from diffir.host.manager import Host
    from diffir.restore.recognizer import Recognizer
    from diffir.train.transfer_crops import PairSource
    from diffir.train.transfer_judge import Verdict

SIDE = 64
SAMPLED_SIDE = 192
"""Of crops for a model that samples from noise: its prior was trained on large pictures."""
MOST_REGIONS = 192
"""Of the new codec, to learn to recognize it by."""

DEFAULTS = ((1, 256, 600), (4, 512, 1000), (16, 1024, 1500), (64, 1536, 3000), (256, 2048, 4000))
"""Pictures from, crops, steps: more pictures bear more steps."""


@dataclass(frozen=True)
class Request:
    """What to fine-tune for.

    codec: its registered name. qualities: two ends to draw from; by default what the base was
    trained on of that codec, and of a codec that is new to it the codec's levels.
    data: a folder of clean pictures, of which `most` are taken at most, drawn by the effort's seed;
    or pairs: folders of compressed and of clean ones.
    crops, steps: by default by the number of pictures.
    """

    codec: str
    data: Path | None = None
    pairs: tuple[Path, Path] | None = None
    qualities: tuple[int, int] | None = None
    model: str = "moe-diffir-tiny"
    name: str | None = None
    license: str = "unstated"
    crops: int | None = None
    most: int | None = None
    device: str = "auto"
    effort: Effort | None = None


class FineTuning:
    """Everything of one fine-tuning but the loop: see `Transfer.run`.

    Raises:
        DataError: too few, too small or already compressed pictures; nothing to learn from.
        CodecError: the codec refused a picture or a quality.
        CheckpointError: no weights of the model, of LPIPS, or of DISTS.
        RecipeError: the model has no prompts that can be extended.
    """

    def __init__(self, request: Request, host: Host) -> None:
        self.request = request
        self.name = request.name or request.codec
        if not NAME.fullmatch(self.name):
            raise DataError(
                f"a pack cannot be called '{self.name}'",
                hint="Give it a --name of letters, digits, dots, hyphens and underscores.",
            )
        base, recipe = load_checkpoint(find_weights(request.model, host), host)
        self.recipe = recipe
        if any(site.startswith("down_") for site in getattr(base.denoiser, "injections", ())):
            raise RecipeError(
                f"'{recipe.name}' has prompts on the U-Net's way down, whose results are computed "
                "once and kept while a pack learns",
                hint="Use a recipe whose [denoiser] sites are of mid.0, mid.1 and up.",
            )
        diet = _diet(request, recipe.training.degradations)
        ends = [end for table in diet for end in table.get("quality", ())]
        levels = request.qualities or ends or host.codec(request.codec).spec.levels
        self.levels = tuple(float(quality) for quality in dict.fromkeys(levels))
        self.host, self.sources = host, self._sources(mix(diet, host), base, host)
        self.pictures = len(self.sources)
        self.colorless = sum(_is_gray(source) for source in self.sources)
        learned, held = split(self.sources)
        crops, steps = _defaults(self.pictures)
        effort = request.effort or Effort(steps)
        self.effort = effort if effort.steps else replace(effort, steps=steps)
        base = without_experts(base) if effort.scratch else base
        self.base_hash = model_hash(base)
        self.base = base.to(choose_device(request.device))
        count = request.crops or crops
        if effort.critic and base.sampler.steps > 1:
            raise RecipeError(
                f"'{recipe.name}' samples from noise: while its prompts train there is no picture "
                "for a critic to look at",
                hint="Leave --critic out.",
            )
        if self.effort.full and base.sampler.steps > 1:
            raise RecipeError(
                f"'{recipe.name}' samples from noise: of it only prompts are fine-tuned here",
                hint=f"Train the rest: diffir train {recipe.name} --weights FILE --stage steering",
            )
        side = SIDE if base.sampler.steps == 1 else SAMPLED_SIDE
        self.crops = draw_crops(learned, count=count, side=side, seed=self.effort.seed)
        # As files tell it, for by that pictures are told apart. What a pack for a known codec did
        # not learn of, the base has learned.
        severities = [crop.codec.severity for crop in self.crops]
        learned_of = [severity for severity in severities if severity is not None]
        self.least_severity = min(learned_of, default=0.0) if self.known else 0.0
        self.cache = FeatureCache(
            cache_folder() / "features", self.base, key=self.base_hash, crops=self.crops
        )
        # What has chosen the best of a run flatters it: what is told of it comes from elsewhere.
        choosing, telling = zip(*(halved(source) for source in held), strict=True)
        self.judged = judged_crops(choosing, self.effort.seed)
        self.told = judged_crops(telling, self.effort.seed)
        device = next(self.base.parameters()).device
        judge = Judge(self.base, self.judged, Lpips("alex").to(device), Dists().to(device))
        self.transfer = Transfer(self.base, self.cache, judge, self.effort)

    @cached_property
    def witness(self) -> Judge:
        """Judges on parts of the held-out pictures that choose nothing."""
        judge = self.transfer.judge
        return Judge(self.base, self.told, judge.lpips, judge.dists)

    def pack(self, verdict: Verdict) -> PromptPack:
        """The best prompts so far, with a card that tells that verdict: the witness's."""
        request = self.request
        learned, recognition = self.recognizer or (None, None)
        card = PackCard(
            name=self.name,
            codecs=(request.codec,),
            levels=self.levels,
            base=self.recipe.name,
            base_hash=self.base_hash,
            experts=self.effort.experts,
            pictures=self.pictures,
            lpips=verdict.lpips,
            dists=verdict.dists,
            psnr=verdict.psnr,
            license=request.license,
            version=diffir.__version__,
            recognition=recognition,
            least_severity=self.least_severity,
        )
        return PromptPack(card, self.transfer.best, {} if learned is None else learned.state_dict())

    def prepare_recognizer(self) -> None:
        """Learn to recognize the codec now, and not when the first pack is asked for."""
        _ = self.recognizer

    def release_pictures(self) -> None:
        """Give back the memory of the pictures, of which only the recognizer needs more crops."""
        self.sources.clear()

    @cached_property
    def recognizer(self) -> tuple[Recognizer, Recognition] | None:
        """What tells the codec by pixels.

        `None` where the base's router leaves no traces or can tell the codec itself, and once the
        pictures were released.
        """
        traces = getattr(self.base.router, "traces", None)
        if traces is None or not self.recipe.training.degradations or not self.sources:
            return None
        if self.known:
            return None
        device = next(self.base.parameters()).device
        return learn_to_recognize(
            self.sources,
            mix(self.recipe.training.degradations, self.host),
            lambda image: traces(image.to(device)),
            regions=min(MOST_REGIONS, len(self.crops)),
            seed=self.effort.seed,
        )

    @torch.inference_mode()
    def comparisons(self, count: int = 4) -> list[dict[str, Picture]]:
        """Held-out crops: compressed, by the base, by the fine-tuned model, and as they were.

        The rich estimates. The first of each picture in turn, at most `count`.
        """
        found = []
        for pair in self.judged[:: max(1, len(self.judged) // count)][:count]:
            image = pad_to_multiple(to_image(pair.degraded), self.base.multiple)
            image = image.to(next(self.base.parameters()).device)
            panels = {pair.codec.name or "compressed": pair.degraded}
            for name, model in (("base model", self.base), ("fine-tuned", self.transfer.model)):
                rich = model(image, [pair.codec])[0].rich[0].clamp(0, 1)
                rows, columns = pair.clean.shape[:2]
                pixels = (rich[:, :rows, :columns] * 255).round().permute(1, 2, 0)
                panels[name] = pixels.cpu().numpy().astype(np.uint8)
            panels["original"] = pair.clean
            found.append({name: Picture(pixels) for name, pixels in panels.items()})
        return found

    @property
    def known(self) -> bool:
        """Whether the base was trained on the codec."""
        return any(
            table.get("codec") == self.request.codec for table in self.recipe.training.degradations
        )

    def _sources(
        self, degradation: Degradation, base: RestorationModel, host: Host
    ) -> list[PairSource]:
        request = self.request
        if (request.data is None) is (request.pairs is None):
            raise DataError(
                "expected either clean pictures or pairs",
                hint="Give --data FOLDER, or --pairs COMPRESSED CLEAN.",
            )
        if request.data is not None:
            found = find_pictures(request.data)
            if request.most is not None:
                seed = 0 if request.effort is None else request.effort.seed
                drawn = np.random.default_rng((seed, 2)).permutation(len(found))[: request.most]
                found = [found[position] for position in sorted(drawn)]
            return list(clean_pictures(found, degradation, cache_folder()))
        assert request.pairs is not None
        pairs = compressed_pairs(*request.pairs, request.codec, host, cache_folder())
        if is_known(base, CodecInfo(request.codec)):
            # What a file leaves open is seen in the pixels, as when it is restored.
            for source in pairs:
                degraded = Picture(source.pair.degraded, codec=source.pair.codec)
                source.pair = replace(source.pair, codec=what_is_told(base, degraded))
        return list(pairs)


def _diet(request: Request, known: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """What `mix` makes the codec's degradation of; `known` is what the base was trained on."""
    if request.qualities:
        return [{"weight": 1.0, "codec": request.codec, "quality": list(request.qualities)}]
    of_codec = [table for table in known if table.get("codec") == request.codec]
    return of_codec or [{"weight": 1.0, "codec": request.codec}]


def _is_gray(source: PairSource) -> bool:
    pixels = source.clean
    gray = bool((pixels == pixels[..., :1]).all())
    forget(pixels)
    return gray


def _defaults(pictures: int) -> tuple[int, int]:
    """Crops and steps for so many pictures."""
    fitting = [row for row in DEFAULTS if row[0] <= pictures]
    return fitting[-1][1:]
