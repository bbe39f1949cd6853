"""One file of `diffir restore`: planned or restored, and what is told of it.

A record is what `--json` prints; people get a line of it.
"""

from __future__ import annotations

import json
import time
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from diffir.cli.outputs import Job
    from diffir.contracts.picture import Picture
    from diffir.restore.pack_choice import Treatment
    from diffir.restore.restorer import Restorer


def plan_job(job: Job, picture: Picture, restorer: Restorer, *, overwrite: bool) -> dict[str, Any]:
    """What would be done; an output that would be refused is refused."""
    from diffir.pictures.writing import check_target
    from diffir.restore.tiling import count

    check_target(picture, job.target, overwrite=overwrite)
    tile = restorer.choose_tile()
    judged = restorer.treatment(picture)
    return {
        **job_record(job, status="planned"),
        **_facts(picture),
        **_judged(picture, judged),
        "tile": tile,
        "tiles": count(picture.height, picture.width, tile),
        "device": str(restorer.device),
        "steps": restorer.steps,
        "fidelity": restorer.fidelity,
        "views": restorer.views_at(restorer.fidelity),
        "consistent": _planned_consistency(picture, restorer),
    }


def run_job(job: Job, picture: Picture, restorer: Restorer, *, overwrite: bool) -> dict[str, Any]:
    """Restore and write; what was done."""
    from diffir.pictures.writing import check_target, write
    from diffir.restore.memory import peak_bytes

    check_target(picture, job.target, overwrite=overwrite)  # before the work, not after it
    started = time.perf_counter()
    estimates = restorer.estimate(picture)
    restored, consistency = estimates.developed(restorer.fidelity)
    write(restored, job.target, overwrite=overwrite)
    return {
        **job_record(job, status="restored"),
        **_facts(picture),
        **_judged(picture, estimates.treatment),
        "experts": [round(share, 4) for share in estimates.experts],
        "tile": estimates.tile,
        "fidelity": restorer.fidelity,
        "views": estimates.views,
        "consistent": None if consistency is None else asdict(consistency),
        "seconds": round(time.perf_counter() - started, 3),
        "peak_bytes": peak_bytes(restorer.device),
    }


def _planned_consistency(picture: Picture, restorer: Restorer) -> dict[str, Any] | None:
    """As in the record of what was done; how many coefficients are kept is not known yet."""
    from diffir.restore.consistency import why_not

    return {"kept": None, "reason": why_not(picture)} if restorer.consistent else None


def _judged(picture: Picture, treatment: Treatment) -> dict[str, Any]:
    """What the model was told and how, how much it may change, and with which pack."""
    told, source = treatment.told, treatment.told.sources.get("name")
    settled = source == "recipe" and told.severity == picture.codec.severity
    return {
        "told": {
            "codec": told.name,
            "severity": _rounded(told.severity),
            "sources": {fact: told.sources.get(fact) for fact in ("name", "severity")},
        },
        "seen_in_pixels": source == "pixels" or not (told is picture.codec or settled),
        "strength": _rounded(treatment.strength),
        "prompts": None if treatment.card is None else treatment.card.name,
    }


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 3)


def _facts(picture: Picture) -> dict[str, Any]:
    codec = picture.codec
    return {
        "width": picture.width,
        "height": picture.height,
        "codec": codec.name,
        "quality": codec.quality,
        "grid": codec.grid,
        "severity": codec.severity,
        "quantizer": codec.quantizer,
        "subsampling": codec.subsampling,
        "bits_per_pixel": codec.bits_per_pixel,
        "sources": dict(codec.sources),
    }


def job_record(job: Job, *, status: str, **more: Any) -> dict[str, Any]:
    """What every record has."""
    return {
        "input": str(job.item.path),
        "output": str(job.target),
        "status": status,
        **more,
    }


def say(record: dict[str, Any], *, as_json: bool, asked: bool = False) -> None:
    """Print a record, as JSON or as a line.

    asked: whether consistency was asked for, so that a line says why it does not apply.
    """
    if as_json:
        typer.echo(json.dumps(record))
        return
    line = f"{record['input']} -> {record['output']}"
    if record["status"] == "skipped":
        line += ": exists, skipped"
    else:
        line += f": {_described(record)}, {record['width']}x{record['height']}"
        if record["strength"] < 1:
            line += f", strength {record['strength']:g}"
    if record.get("prompts"):
        line += f", prompts {record['prompts']}"
    if record.get("consistent"):
        line += _said_of(record["consistent"], asked=asked)
    if record["status"] == "restored":
        line += f", {record['seconds']:.1f} s"
    elif record["status"] == "planned":
        line += f", {record['tiles']} tiles of {record['tile']} px on {record['device']}"
    typer.echo(line)


def _said_of(consistent: dict[str, Any], *, asked: bool) -> str:
    if consistent["reason"]:
        return f", consistency does not apply ({consistent['reason']})" if asked else ""
    kept = consistent["kept"]
    if kept is None or kept == 1:
        return ", consistent"
    return f", consistent but for {1 - kept:.2g} of the coefficients"


def _described(record: dict[str, Any]) -> str:
    quality = "" if record["quality"] is None else f" {record['quality']:g}"
    read = f"{record['codec'] or 'unknown codec'}{quality}"
    if record["sources"].get("name") == "pixels":
        return f"pixels of a {read}"
    told, sources = record["told"], record["told"]["sources"]
    if not record["seen_in_pixels"]:
        return read if told["codec"] == record["codec"] else f"{read}, as {told['codec']}"
    from diffir.restore.guard import GUESS_LEFT_ALONE

    guessed = sources["severity"] in (None, "estimate")
    if guessed and told["severity"] <= GUESS_LEFT_ALONE:
        return f"{read} without a trace of one"
    like = "restored as" if sources["name"] == "recipe" else "that looks like"
    return f"{read} {like} {told['codec']} of severity {told['severity']:g}"
