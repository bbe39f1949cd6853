"""Fine-tuning the prompts of a finished model for one more codec.

    crops -> FeatureCache -> rows -> route -> climb -> decode -> loss
                                     `---- new experts, gates: all that trains ----'

Of a model that samples from noise the loss is that of its prediction, and nothing is decoded.

The model is frozen. Experts are put beside its own, at zero, so that training starts from what the
base does; what comes before the first prompt is computed once. `full` trains everything instead:
the yardstick that prompts are measured by.
"""

from __future__ import annotations

import copy
import math
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F

from diffir.errors import DataError
from diffir.perceptual.lpips import Lpips
from diffir.restore.memory import memory_told, return_freed
from diffir.restore.prompt_packs import new_parameters, with_new_experts
from diffir.train.losses import error, lpips_at_two_scales
from diffir.train.named_adamw import NamedAdamW
from diffir.train.transfer_critic import Critic
from diffir.train.transfer_rows import decode_rows, predict_rows
from diffir.train.transfer_state import State, load_state, remove_state, save_state

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from torch import Tensor

    from diffir.contracts.interfaces import Decoded
    from diffir.diffusion.model import RestorationModel
    from diffir.train.feature_cache import FeatureCache, Rows
    from diffir.train.named_adamw import Group
    from diffir.train.transfer_judge import Judge, Verdict

RICH_L1_WEIGHT = 0.5
LPIPS_WEIGHTS = {"alex": 0.3, "vgg": 0.3}
WARMUP_STEPS = 20
SCRATCH_DEVIATION = 0.01
"""As prompts on maps of the decoder begin in a model."""
CROPS, MANY_CROPS = 2, 8
"""Per step. A hundred thousand numbers need fewer to find their way than twelve million do, unless
each crop has a timestep of its own."""
RATE, FULL_RATE = 1e-3, 2e-4
"""A finished model goes on below the 5e-4 that its last stages began with."""


@dataclass(frozen=True)
class Effort:
    """How long and how hard to train.

    steps: at most. batch: crops per step, or None: `CROPS`; `MANY_CROPS` where everything learns,
    and of a model that samples from noise. learning_rate: its peak, or None: `RATE`; `FULL_RATE`
    where everything learns.
    seconds: at most, or None. patience: judgements in a row without a better ratio
    (see `Verdict`) after which to stop. full: train everything, not the prompts.
    critic: a patch discriminator has a say.
    scratch: new experts start at random, over a base without its own: see `without_experts`.
    """

    steps: int
    batch: int | None = None
    learning_rate: float | None = None
    seconds: float | None = None
    judge_every: int = 200
    patience: int = 5
    experts: int = 1
    seed: int = 0
    full: bool = False
    critic: bool = False
    scratch: bool = False


@dataclass(frozen=True)
class Progress:
    """Where a run stands. `verdict` is the latest one; `best` the one that is kept."""

    step: int
    loss: float
    seconds: float
    verdict: Verdict | None
    best: Verdict | None


class Transfer:
    """One fine-tuning.

    Args:
        base: the finished model, in evaluation mode; it is not changed.
        cache: crops to learn from. judge: held-out crops. effort: see there.

    Raises:
        RecipeError: the model has no prompts that can be extended.
        CheckpointError: the weights of LPIPS have not been fetched.
    """

    def __init__(
        self, base: RestorationModel, cache: FeatureCache, judge: Judge, effort: Effort
    ) -> None:
        self.cache, self.judge, self.effort = cache, judge, effort
        many = effort.full or base.sampler.steps > 1
        self.batch = effort.batch or (MANY_CROPS if many else CROPS)
        given = effort.learning_rate
        self.learning_rate = (FULL_RATE if effort.full else RATE) if given is None else given
        torch.manual_seed(effort.seed)
        self.device = next(base.parameters()).device
        self.alex, self.vgg = (Lpips(name).to(self.device) for name in ("alex", "vgg"))
        if effort.full:
            self.model = copy.deepcopy(base).requires_grad_()
            self.learned = dict(self.model.named_parameters())
        else:
            self.model = with_new_experts(base, effort.experts)
            self.learned = new_parameters(self.model, base)
        if effort.scratch:
            for name, parameter in self.learned.items():
                if name.endswith(".prompts"):
                    torch.nn.init.normal_(parameter, std=SCRATCH_DEVIATION)
        self.model.eval()  # a gate that draws noise would not be the one that is used
        self.critic = Critic(self.device) if effort.critic else None
        self.best: dict[str, Tensor] = {}
        self.curve: list[tuple[int, Verdict]] = []

    @property
    def parameters(self) -> int:
        """How many numbers train."""
        return sum(parameter.numel() for parameter in self.learned.values())

    @property
    def key(self) -> str:
        """What tells one run's state from another's."""
        made = replace(
            self.effort, seconds=None, batch=self.batch, learning_rate=self.learning_rate
        )
        return f"{self.cache.place.name} {made}"

    def run(self, state_file: Path | None = None) -> Iterator[Progress]:
        """Train, yielding after each step; the best weights are in the model at the end.

        Where a state file is given, the state goes there at each judgement, and a run that was
        killed goes on from it; it ends with the weights that it would have had.

        Raises:
            DataError: the loss or a score became infinite or NaN; `best` has the last good weights.
            OutputError: the state cannot be written.
            DeviceError: a step does not fit into memory.
        """
        effort = self.effort
        saved = load_state(state_file, key=self.key) if state_file else None
        state = saved or State(self.key, tensors=self._fresh())
        self.curve = state.curve
        average, self.best = state.tensors["average"], state.tensors.get("best", {})
        optimizer = self._optimizer(state)
        started, verdict = time.monotonic() - state.seconds, state.best
        over = effort.seconds is not None and state.seconds > effort.seconds
        if over or state.step == effort.steps or state.waited >= effort.patience:
            # It was over, and killed before somebody had written what came of it.
            yield Progress(state.step, math.nan, state.seconds, verdict, state.best)
        ended = over or state.waited >= effort.patience
        steps = range(state.step, state.step if ended else effort.steps)
        for step in steps:
            spent = time.monotonic() - started
            share = max(step / effort.steps, spent / effort.seconds if effort.seconds else 0.0)
            rate = self.learning_rate * _schedule(step, share)
            with memory_told("Give it less at once: a smaller --batch, or another --device."):
                value = self._step(optimizer, step, rate)
            decay = min(0.99, (1 + step) / (10 + step))
            for name, parameter in self.learned.items():
                average[name].lerp_(parameter.detach(), 1 - decay)
            over = effort.seconds is not None and time.monotonic() - started > effort.seconds
            last = over or step + 1 == effort.steps
            if last or (step + 1) % effort.judge_every == 0:
                verdict = self._judged(self.judge, average)
                _check(verdict.ratio, f"the score of held-out crops became {{}} at step {step}")
                state.curve.append((step + 1, verdict))
                state.waited += 1
                if state.best is None or verdict.ratio < state.best.ratio:
                    state.best, state.waited = verdict, 0
                    self.best = {name: value.clone() for name, value in average.items()}
                if state_file:
                    state.step, state.seconds = step + 1, time.monotonic() - started
                    state.tensors = self._tensors(optimizer, average)
                    save_state(state, state_file)
            now = time.monotonic()
            yield Progress(step + 1, value, now - started, verdict, state.best)
            started += time.monotonic() - now  # what others do meanwhile is not training
            if last or state.waited >= effort.patience:
                break
        self.keep_best()
        if state_file:
            remove_state(state_file)

    def _step(self, optimizer: NamedAdamW, step: int, rate: float) -> float:
        """One step; what it draws is a function of the seed and its number."""
        torch.manual_seed(self.effort.seed * 1_000_000 + step)
        index = torch.randint(len(self.cache), (self.batch,)).tolist()
        rows = self.cache.rows(index, self.device)
        loss, rich = self._loss(rows)
        if self.critic is not None and rich is not None:
            loss = loss + self.critic.charge(rows, rich, step)
        value = float(loss.detach())
        _check(value, f"the loss became {{}} at step {step}")
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(list(self.learned.values()), 1.0)
        optimizer.step(rate)
        if self.critic is not None and rich is not None:
            self.critic.learn(rows, rich)
        return value

    def _fresh(self) -> Group:
        return {"average": {name: p.detach().clone() for name, p in self.learned.items()}}

    def _optimizer(self, state: State) -> NamedAdamW:
        """What moves what learns, with weights and moments of a saved state, if it has some."""
        optimizer = NamedAdamW(self.learned, betas=(0.9, 0.99), weight_decay=1e-4)
        groups = state.tensors
        if "learned" in groups:
            optimizer.load(groups, state.step)
            self._put(groups["learned"])
            if self.critic is not None:
                self.critic.load(groups, state.step)
        for group in ("average", "best"):
            for name in groups.get(group, {}):
                groups[group][name] = groups[group][name].to(self.device)
        return optimizer

    def _tensors(self, optimizer: NamedAdamW, average: dict[str, Tensor]) -> Group:
        return {
            "learned": {name: p.detach() for name, p in self.learned.items()},
            "average": average,
            "best": self.best,
            **optimizer.tensors(),
            **({} if self.critic is None else self.critic.tensors()),
        }

    def keep_best(self) -> None:
        """Put the best weights so far into the model."""
        self._put(self.best)

    def judge_best(self, judge: Judge) -> Verdict:
        """What another judge says of the best weights so far."""
        return self._judged(judge, self.best)

    def _put(self, weights: dict[str, Tensor]) -> None:
        with torch.no_grad():
            for name, value in weights.items():
                self.learned[name].copy_(value)

    def _loss(self, rows: Rows) -> tuple[Tensor, Tensor | None]:
        """What the model is charged but by a critic, and its rich estimate, if it decodes one."""
        if rows.target is not None:
            return F.mse_loss(predict_rows(self.model, rows), rows.target), None
        decoded = self._decode_whole(rows) if self.effort.full else decode_rows(self.model, rows)
        loss = error(decoded.faithful, rows.clean)
        loss = loss + RICH_L1_WEIGHT * F.l1_loss(decoded.rich, rows.clean)
        by_alex = lpips_at_two_scales(self.alex, decoded.rich, rows.clean)
        # AlexNet alone taught prompts a checkerboard that it does not see. Every second crop: VGG
        # costs more than the model does.
        # Channels first: so a small crop takes VGG half the time, and 20 MB less.
        seen, clean = (crops[::2].contiguous() for crops in (decoded.rich, rows.clean))
        by_vgg = self.vgg(seen, clean).mean()
        whole: Tensor = loss + LPIPS_WEIGHTS["alex"] * by_alex + LPIPS_WEIGHTS["vgg"] * by_vgg
        return whole, decoded.rich

    def _decode_whole(self, rows: Rows) -> Decoded:
        decoded: Decoded = self.model(rows.encoded.image, rows.codecs)[0]
        return decoded

    def _judged(self, judge: Judge, weights: dict[str, Tensor]) -> Verdict:
        """Judge such weights, and leave the model with those that it has."""
        current = {name: p.detach().clone() for name, p in self.learned.items()}
        self._put(weights)
        return_freed()
        with memory_told("Use another --device, or close other programs."):
            verdict = judge(self.model)
        self._put(current)
        return verdict


def _check(value: float, message: str) -> None:
    if not math.isfinite(value):
        raise DataError(
            message.format(value),
            hint="Use a smaller --learning-rate. The best prompts until then are kept.",
        )


def _schedule(step: int, share: float) -> float:
    """Share of the peak learning rate: a short warm-up, then a half cosine down to 2 %."""
    warm = min(1.0, (step + 1) / WARMUP_STEPS)
    return warm * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * min(1.0, share))))
