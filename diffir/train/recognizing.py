"""Learning to see a new codec in pixels: the recognizer of a prompt pack.

    regions of clean pictures -> the new codec          -> traces, label 1, severity -.
                              -> a codec of the base's  -> traces, label 0 -----------+-> fit
                              -> left as they are       -> traces, label 0 -----------'

The threshold comes from pictures that the network which scores them has not seen: four networks,
each without a quarter of the pictures, score the quarter that they lack; the threshold takes at
most `MOST_TAKEN` of the other codecs' pictures and of clean ones. The pack's network saw all.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from diffir.contracts.picture import Picture
from diffir.contracts.prompt_pack import Recognition
from diffir.restore.guard import LOOK_MULTIPLE, crops_to_look_at
from diffir.restore.recognizer import Recognizer
from diffir.train.named_adamw import NamedAdamW

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from diffir.contracts.interfaces import Degradation
    from diffir.train.transfer_crops import PairSource

MOST_TAKEN = 0.01
FOLDS = 4
STEPS = 400
CLEAN_SHARE = 0.25
SIDE = 256


@dataclass(frozen=True, eq=False)
class Examples:
    """Crops of regions: traces `(n,F)`; labels, severities, region and fold of each, `(n,)`.

    Severities count where the label is 1. A region's crops are judged together, as a picture's are.
    """

    traces: Tensor
    labels: Tensor
    severities: Tensor
    regions: Tensor
    folds: Tensor

    def where(self, kept: Tensor) -> Examples:
        """Those of a mask `(n,)`."""
        return Examples(*(part[kept] for part in vars(self).values()))


def learn_to_recognize(
    sources: Sequence[PairSource],
    others: Degradation,
    traces: Callable[[Tensor], Tensor],
    *,
    regions: int,
    seed: int,
) -> tuple[Recognizer, Recognition]:
    """A recognizer, and how well it does on pictures that it has not seen.

    Args:
        sources: pictures, clean and by the new codec.
        others: what the base was trained on.
        traces: the base router's.
        regions: of the new codec; twice as many others.
        seed: of what is drawn and of the network.
    """
    examples = _examples(sources, others, traces, regions=regions, seed=seed)
    scores = torch.zeros_like(examples.labels)
    for fold in range(FOLDS):
        lacking = examples.folds == fold
        network = _fit(examples.where(~lacking), seed=seed)
        with torch.no_grad():
            scores[lacking] = network(examples.traces[lacking])[0]
    return _fit(examples, seed=seed), _calibrate(examples, scores)


def _examples(
    sources: Sequence[PairSource],
    others: Degradation,
    traces: Callable[[Tensor], Tensor],
    *,
    regions: int,
    seed: int,
) -> Examples:
    rng = np.random.default_rng((seed, 1))
    rows: list[Tensor] = []
    facts: list[tuple[float, float, float, float]] = []
    for region in range(3 * regions):
        position = region % len(sources)
        pair = sources[position].draw(rng, SIDE)
        own, picture = region < regions, Picture(pair.clean)
        if own:
            picture = Picture(pair.degraded)
        elif rng.random() >= CLEAN_SHARE:
            picture = Picture(np.asarray(others.degrade(picture, rng).pixels, np.uint8))
        with torch.no_grad():
            seen = traces(crops_to_look_at(picture, LOOK_MULTIPLE))
        # Few pictures: what lies apart in time must do for what lies apart in place.
        fold = (position if len(sources) >= FOLDS else region // len(sources)) % FOLDS
        severity = pair.codec.severity
        rows.append(seen.float().cpu())
        facts += [(own, 0.5 if severity is None else severity, region, fold)] * len(seen)
    labels, severities, numbers, folds = torch.tensor(facts).T
    return Examples(torch.cat(rows), labels, severities, numbers, folds)


def _fit(examples: Examples, *, seed: int) -> Recognizer:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        network = Recognizer(examples.traces.shape[1])
    center, spread = examples.traces.mean(dim=0), examples.traces.std(dim=0)
    network.load_state_dict({"center": center, "scale": 1 / (spread + 1e-3)}, strict=False)
    parameters = dict(network.named_parameters())
    optimizer = NamedAdamW(parameters, betas=(0.9, 0.999), weight_decay=1e-2)
    own = examples.labels == 1
    for step in range(STEPS):
        logit, severity = network(examples.traces)
        loss = F.binary_cross_entropy_with_logits(logit, examples.labels)
        loss = loss + (severity - examples.severities)[own].abs().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step(1e-2 * (1 - step / STEPS))
    return network.eval().requires_grad_(False)


def _calibrate(examples: Examples, scores: Tensor) -> Recognition:
    """The threshold over regions, not crops: that is what is decided about."""
    numbers = torch.arange(int(examples.regions.max()) + 1)
    means = torch.stack([scores[examples.regions == number].mean() for number in numbers])
    own = torch.stack([examples.labels[examples.regions == number][0] for number in numbers]) == 1
    others = means[~own].sort().values
    threshold = float(others[-1 - int(MOST_TAKEN * len(others))])
    found, taken = (float((part > threshold).float().mean()) for part in (means[own], others))
    return Recognition(threshold, found, taken)
