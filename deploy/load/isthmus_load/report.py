"""The outcome as JSON for programs and as lines for people."""

import dataclasses
import json
import math
import os
import platform
from pathlib import Path
from typing import Any

from isthmus_load.errors import UsageError
from isthmus_load.marks import Limits, Mark, Verdict
from isthmus_load.session import Outcome, Plan

FORMAT = 1


def as_json(outcome: Outcome, plan: Plan, limits: Limits, *, url: str, begun: str) -> dict[str, Any]:
    """Everything that was measured and demanded; no key, no image.

    Args:
        begun: when, in ISO 8601.
    """
    return {
        "format": FORMAT,
        "verdict": outcome.verdict.value,
        "url": url,
        "begun": begun,
        "client": {"python": platform.python_version(), "cpus": os.cpu_count(), "machine": platform.machine()},
        "plan": dataclasses.asdict(plan),
        "limits": dataclasses.asdict(limits),
        "idle": dataclasses.asdict(outcome.idle),
        "capacity": dataclasses.asdict(outcome.capacity),
        "stages": list(outcome.stages),
        "marks": [dataclasses.asdict(mark) for mark in outcome.marks],
        "client_too_slow": list(outcome.slow),
    }


def write_json(report: dict[str, Any], path: Path) -> None:
    """Under a temporary name, then renamed: a reader never sees half of it.

    Raises:
        UsageError: it cannot be written there.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        temporary.write_text(json.dumps(_without_nan(report), indent=2) + "\n", encoding="utf-8")
        temporary.replace(path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise UsageError(f"--out {path} cannot be written: {error.strerror or error}") from error


def _without_nan(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_nan(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [_without_nan(part) for part in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def as_lines(outcome: Outcome) -> list[str]:
    """Stages, marks and the verdict."""
    lines = [line for stage in outcome.stages for line in _stage_lines(stage)]
    width = max((len(f"{mark.stage}: {mark.what}") for mark in outcome.marks), default=0)
    lines += ["", *(_mark_line(mark, width) for mark in outcome.marks), ""]
    lines += [f"this client was too slow: {reason}" for reason in outcome.slow]
    return [*lines, _SENTENCES[outcome.verdict]]


_SENTENCES = {
    Verdict.PASSED: "passed: every mark is met",
    Verdict.FAILED: "failed: a mark is missed",
    Verdict.INCONCLUSIVE: "no verdict: this client could not keep its schedule; use another machine, or a lower rate",
}


def _stage_lines(stage: dict[str, Any]) -> list[str]:
    codes = ", ".join(f"{code}: {n}" for code, n in stage["codes"].items())
    return [
        "",
        f"{stage['factor']:g} × capacity: {stage['images']} images in {stage['seconds']:.1f} s ({codes})",
        f"  goodput   {stage['goodput_images_per_second']:.1f} images a second, "
        f"{stage['goodput_share_of_capacity']:.0%} of capacity",
        f"  accepted  {_times(stage['accepted'])}; {stage['late']} not answered in time",
        f"  refused   {_times(stage['refused'])}",
        f"  liveness  {_times(stage['liveness'])}",
        f"  client    late by {_times(stage['client']['lag'])}; "
        f"{stage['client']['busy_share_of_a_core']:.0%} of a core",
    ]


def _times(figures: dict[str, Any]) -> str:
    if not figures["n"]:
        return "none"
    named = {"half": "p50_ms", "99 %": "p99_ms", "all": "max_ms"}
    return ", ".join(f"{name} within {_milliseconds(figures[key])}" for name, key in named.items())


def _milliseconds(value: float | None) -> str:
    return "no time" if value is None else f"{value:.0f} ms" if value >= 10 else f"{value:.1f} ms"


def _mark_line(mark: Mark, width: int) -> str:
    value = "none" if mark.value is None else f"{mark.value:.3g}"
    name = f"{mark.stage}: {mark.what}"
    return f"{'met   ' if mark.met else 'MISSED'}  {name:{width}}  {value} (limit {mark.limit:.3g})"
