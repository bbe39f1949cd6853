"""The transfer protocol's records as tables: Markdown for readers, JSON for programs."""

from __future__ import annotations

import json
import statistics
from dataclasses import asdict, dataclass
from itertools import groupby
from typing import TYPE_CHECKING, Any

from diffir.evaluate.student import mean
from diffir.train.transfer_cell import WAYS

if TYPE_CHECKING:
    from collections.abc import Sequence

NAMES = {
    "prompts": "prompts only",
    "full": "full fine-tune",
    "scratch": "prompts from scratch",
}
METRICS = (("lpips", 4), ("dists", 4), ("psnr", 2))


@dataclass(frozen=True)
class Figure:
    """A mean over seeds; `half` of its 95 % interval, None of one seed."""

    mean: float
    half: float | None

    def __format__(self, digits: str) -> str:
        half = "" if self.half is None else f" ± {self.half:{digits}}"
        return f"{self.mean:{digits}}{half}"


def figure(values: Sequence[float]) -> Figure:
    """Mean and interval of one value per seed."""
    found = mean(values)
    return Figure(found.value, found.half_width)


def share_of_gain(records: Sequence[dict[str, Any]]) -> Figure | None:
    """What part of the full fine-tune's gain in LPIPS prompts alone have; None if it has none.

    Of seeds that have both.
    """
    by_way = _by_way(records)
    shares = []
    for seed in by_way["prompts"].keys() & by_way["full"].keys():
        prompts, full = (-by_way[way][seed]["verdict"]["lpips"]["mean"] for way in WAYS[:2])
        if full > 0:
            shares.append(prompts / full)
    return figure(shares) if shares else None


def ratio(records: Sequence[dict[str, Any]], what: str) -> Figure | None:
    """Prompts only over the full fine-tune, of seeds that have both, in such as "step_work"."""
    by_way = _by_way(records)
    both = by_way["prompts"].keys() & by_way["full"].keys()
    pairs = [tuple(by_way[way][seed][what] for way in WAYS[:2]) for seed in sorted(both)]
    found = [prompts / full for prompts, full in pairs if prompts and full]
    return figure(found) if found else None


def to_markdown(records: Sequence[dict[str, Any]], *, command: str) -> str:
    """One block per codec and number of pictures."""
    lines: list[str] = []
    for (codec, count), rows in _groups(records):
        lines += [
            f"## {codec}, {count} pictures",
            "",
            "| | LPIPS | DISTS | PSNR dB | parameters | kB | steps | crops | s/step | peak MB | "
            "training MB |",
            "|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|",
        ]
        for name in ("input", "base"):
            cells = (
                f"{figure([row['verdict'][name][metric] for row in rows]).mean:.{digits}f}"
                for metric, digits in METRICS
            )
            label = "unrestored" if name == "input" else "base model"
            lines.append(f"| {label} | {' | '.join(cells)} | | | | | | | |")
        lines += [_line(way, found) for way in WAYS if (found := _of(rows, way))]
        lines += ["", *_sums(rows), ""]
    return "\n".join([*lines, "Mean over seeds, with its 95 % interval.", "", f"`{command}`", ""])


def to_json(records: Sequence[dict[str, Any]], *, command: str) -> str:
    """Everything, with the derived figures by codec and number of pictures."""
    derived = [
        {
            "codec": codec,
            "pictures": count,
            **{
                name: None if found is None else asdict(found)
                for name, found in (
                    ("share_of_full_gain", share_of_gain(rows)),
                    ("step_ratio", ratio(rows, "step_work")),
                    ("memory_ratio", ratio(rows, "peak_bytes")),
                    ("training_memory_ratio", ratio(rows, "training_bytes")),
                )
            },
        }
        for (codec, count), rows in _groups(records)
    ]
    content = {"command": command, "derived": derived, "records": list(records)}
    return json.dumps(content, indent=2) + "\n"


def curves(records: Sequence[dict[str, Any]], codec: str) -> dict[str, list[tuple[float, float]]]:
    """For a plot: LPIPS over the base's, by way, over the number of pictures."""
    found: dict[str, list[tuple[float, float]]] = {}
    for (name, count), rows in _groups(records):
        for way in WAYS:
            if name == codec and (of_way := _of(rows, way)):
                verdicts = [row["verdict"] for row in of_way]
                ratios = [v["mean"]["lpips"] / v["base"]["lpips"] for v in verdicts]
                found.setdefault(NAMES[way], []).append((count, statistics.fmean(ratios)))
    return found


def _line(way: str, rows: Sequence[dict[str, Any]]) -> str:
    scores = [
        f"{figure([row['verdict']['mean'][metric] for row in rows]):.{digits}f}"
        for metric, digits in METRICS
    ]
    steps = [row["step_seconds"] for row in rows if row["step_seconds"] is not None]
    cells = [
        NAMES[way],
        *scores,
        str(rows[0]["parameters"]),
        f"{rows[0]['bytes'] / 1000:.0f}",
        f"{statistics.fmean(row['steps'] for row in rows):.0f}",
        str(rows[0]["crops_per_step"]),
        f"{statistics.fmean(steps):.2f}" if steps else "",
        *(
            f"{statistics.fmean(row[name] for row in rows) / 1e6:.0f}"
            for name in ("peak_bytes", "training_bytes")
        ),
    ]
    return f"| {' | '.join(cells)} |"


def _sums(rows: Sequence[dict[str, Any]]) -> list[str]:
    share, step, memory, training = (
        share_of_gain(rows),
        ratio(rows, "step_work"),
        ratio(rows, "peak_bytes"),
        ratio(rows, "training_bytes"),
    )
    told = []
    if share is not None:
        told.append(f"Prompts alone have {share:.2f} of the full fine-tune's gain in LPIPS.")
    if step is not None and memory is not None and training is not None:
        told.append(
            f"A step takes {step:.2f} of its work, and {memory:.2f} of its peak memory; without "
            f"what was held before the first step, {training:.2f}."
        )
    return told


def _groups(
    records: Sequence[dict[str, Any]],
) -> list[tuple[tuple[str, int], list[dict[str, Any]]]]:
    def key(record: dict[str, Any]) -> tuple[str, int]:
        return record["cell"]["codec"], record["cell"]["pictures"]

    return [(name, list(rows)) for name, rows in groupby(sorted(records, key=key), key=key)]


def _of(records: Sequence[dict[str, Any]], way: str) -> list[dict[str, Any]]:
    return [record for record in records if record["cell"]["way"] == way]


def _by_way(records: Sequence[dict[str, Any]]) -> dict[str, dict[int, dict[str, Any]]]:
    return {way: {row["cell"]["seed"]: row for row in _of(records, way)} for way in WAYS}
