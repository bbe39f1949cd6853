"""One cell of the transfer protocol: one fine-tuning, judged on pictures apart from it.

    python -m diffir.train.transfer_cell CELL RECORD

CELL is JSON, RECORD the file to write. A cell has a process of its own, so that its peak of memory
is its own.
"""

from __future__ import annotations

import json
import statistics
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

from diffir.errors import DataError, DiffirError

if TYPE_CHECKING:
    from diffir.host.manager import Host
    from diffir.train.finetuning import FineTuning, Request
    from diffir.train.transfer_judge import Verdict

Way = Literal["prompts", "full", "scratch"]
WAYS: tuple[Way, ...] = get_args(Way)
FORMAT = 5
"""Of a record. It grows when what prompts are, or how they learn, becomes another thing."""


@dataclass(frozen=True)
class Cell:
    """What is fine-tuned, on what, how.

    way: "prompts" alone; "full", everything; "scratch", prompts from random weights over a base
    whose own expert prompts are left out. data, test: folders of clean pictures. seconds: for
    training, or None; steps likewise. batch: crops per step; None is the default of each way.
    """

    codec: str
    pictures: int
    seed: int
    way: Way
    data: str
    test: str
    model: str
    seconds: float | None
    steps: int | None = None
    crops: int | None = None
    batch: int | None = None
    device: str = "auto"

    @property
    def name(self) -> str:
        """Of its file."""
        return f"{self.codec}-{self.pictures}-{self.way}-{self.seed}"


def run_cell(cell: Cell, host: Host, *, state: Path) -> dict[str, Any]:
    """Fine-tune and judge.

    In the record, "peak_bytes" is what the process held at most, libraries and all, and
    "training_bytes" how much of that came after model, metrics and crops had been loaded.

    Args:
        cell: what to do.
        host: knows the codec.
        state: where it can be resumed from after a kill.

    Raises:
        DiffirError: as `diffir.train.finetuning.FineTuning` and `Transfer.run`.
    """
    from diffir.restore.memory import held_bytes, peak_bytes
    from diffir.train.finetuning import FineTuning

    tuning = FineTuning(_request(cell), host)
    tuning.release_pictures()
    device = next(tuning.base.parameters()).device
    loaded = held_bytes(device)
    walls, works, last, judged = [], [], None, None
    wall, work = time.monotonic(), time.process_time()
    for last in tuning.transfer.run(state):
        if last.verdict is judged:  # a step without a judgement
            walls.append(time.monotonic() - wall)
            works.append(time.process_time() - work)
        judged, wall, work = last.verdict, time.monotonic(), time.process_time()
    if last is None or last.best is None:
        raise DataError("training ended before its first judgement", hint="Give it more time.")
    peak = peak_bytes(device)  # of the training, before the test pictures come
    base, verdict = _judge(tuning, cell, host)
    return {
        "format": FORMAT,
        "cell": asdict(cell),
        "base_hash": base,
        "crops_per_step": tuning.transfer.batch,
        "steps": last.step,
        "seconds": last.seconds,
        "step_seconds": statistics.median(walls) if walls else None,
        "step_work": statistics.median(works) if works else None,
        "peak_bytes": peak,
        "training_bytes": peak - loaded,
        "parameters": tuning.transfer.parameters,
        "model_parameters": sum(p.numel() for p in tuning.base.parameters()),
        "bytes": 2 * tuning.transfer.parameters,
        "verdict": asdict(verdict),
    }


def _request(cell: Cell) -> Request:
    from diffir.train.finetuning import Request
    from diffir.train.transfer import Effort

    effort = Effort(
        cell.steps or 0,
        batch=cell.batch,
        seconds=cell.seconds,
        seed=cell.seed,
        full=cell.way == "full",
        scratch=cell.way == "scratch",
        judge_every=100,
    )
    return Request(
        cell.codec,
        data=Path(cell.data),
        model=cell.model,
        crops=cell.crops,
        most=cell.pictures,
        device=cell.device,
        effort=effort,
    )


def _judge(tuning: FineTuning, cell: Cell, host: Host) -> tuple[str, Verdict]:
    """The base's hash, and the verdict on the test pictures, against the base as it is.

    All cells of a codec have the same crops.
    """
    from diffir.degradations.diet import mix
    from diffir.perceptual.weights import cache_folder
    from diffir.restore.checkpoint import find_weights, load_checkpoint
    from diffir.restore.prompt_packs import model_hash
    from diffir.train.clean_pictures import find_pictures
    from diffir.train.holding_out import judged_crops
    from diffir.train.transfer_crops import clean_pictures
    from diffir.train.transfer_judge import Judge

    degradation = mix([{"weight": 1.0, "codec": cell.codec}], host)
    found = find_pictures(Path(cell.test))
    tests = clean_pictures(found, degradation, cache_folder(), scales=(1.0,))  # as they are
    crops = judged_crops(tests, seed=0)
    base, _ = load_checkpoint(find_weights(cell.model, host), host)
    judge = tuning.transfer.judge
    against = Judge(base.to(judge.device), crops, judge.lpips, judge.dists)
    return model_hash(base), against(tuning.transfer.model)


def main(cell: str, record: str) -> None:
    """Run the cell that JSON describes, and write its record, whole or not at all."""
    from diffir.host.manager import default_host
    from diffir.pictures.atomic_file import write_atomically

    target = Path(record)
    found = run_cell(Cell(**json.loads(cell)), default_host(), state=target.with_suffix(".state"))
    write_atomically(target, (json.dumps(found, indent=2) + "\n").encode(), overwrite=True)


if __name__ == "__main__":
    try:
        main(*sys.argv[1:])
    except DiffirError as error:
        raise SystemExit(f"error: {error}\nhint: {error.hint}") from None
    except KeyboardInterrupt:  # the process that started this one was stopped, and says so
        raise SystemExit(130) from None
