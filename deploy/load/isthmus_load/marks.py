"""Pass marks: what the service promises of itself, held against what a load came to."""

import dataclasses
import enum
from collections.abc import Mapping, Sequence
from typing import Any

BUSIEST_SHARE = 0.9
"""Of a core: beyond it this client, which has one thread, may be what is slow."""


class Verdict(enum.StrEnum):
    """What a load test says of a service."""

    PASSED = "passed"
    FAILED = "failed"
    INCONCLUSIVE = "inconclusive"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Limits:
    """What is demanded.

    Attributes:
        goodput: share of the capacity, or of what was offered where that is less, that is answered in time.
        refused_ms: 99 % of refusals come within this, beyond an idle round trip.
        liveness_ms: every answer of the liveness route comes within this, beyond an idle round trip.
        client_ms: 99 % of requests leave this client within this of their moment; else it judges nobody.
    """

    goodput: float = 0.9
    refused_ms: float = 50.0
    liveness_ms: float = 100.0
    client_ms: float = 25.0


@dataclasses.dataclass(frozen=True, kw_only=True)
class Mark:
    """One demand and whether it was met; a value of None is a time without end."""

    stage: str
    what: str
    limit: float
    value: float | None
    met: bool


def marks_of(stage: Mapping[str, Any], limits: Limits, idle_ms: float) -> list[Mark]:
    """The marks of one stage.

    Args:
        idle_ms: a round trip to the liveness route without load.
    """
    name = f"{stage['factor']:g} × capacity"
    marks = [
        _at_least(name, "goodput ÷ possible", limits.goodput, stage["goodput_share_of_possible"]),
        _at_most(name, "accepted but not answered in time", 0, stage["late"]),
        _at_most(name, "failed otherwise", 0, stage["failed"]),
        _at_most(name, "liveness, slowest, ms", limits.liveness_ms + idle_ms, stage["liveness"]["max_ms"]),
    ]
    if stage["refused"]["n"]:
        marks.append(_at_most(name, "refused, 99 %, ms", limits.refused_ms + idle_ms, stage["refused"]["p99_ms"]))
    return marks


def _at_least(stage: str, what: str, limit: float, value: float) -> Mark:
    return Mark(stage=stage, what=what, limit=limit, value=value, met=value >= limit)


def _at_most(stage: str, what: str, limit: float, value: float | None) -> Mark:
    return Mark(stage=stage, what=what, limit=limit, value=value, met=value is not None and value <= limit)


def slow_client(client: Mapping[str, Any], limits: Limits) -> str | None:
    """Why this client was too slow to judge a service, or None."""
    lag = max(client["lag"]["p99_ms"] or 0.0, client["timer"]["p99_ms"] or 0.0)
    if lag > limits.client_ms:
        return f"1 % of its requests or timers were more than {lag:.0f} ms late ({limits.client_ms:g} are allowed)"
    if client["busy_share_of_a_core"] > BUSIEST_SHARE:
        return f"it took {client['busy_share_of_a_core']:.0%} of its one core"
    return None


def verdict_of(marks: Sequence[Mark], slow: Sequence[str]) -> Verdict:
    """One word: a client that was too slow judges nobody."""
    if slow:
        return Verdict.INCONCLUSIVE
    return Verdict.PASSED if all(mark.met for mark in marks) else Verdict.FAILED
