"""What a load came to, in figures: nothing here decides whether they are good."""

import dataclasses
from collections import Counter
from collections.abc import Sequence
from typing import Any

from isthmus_load.loops import Reply, Watch

ACCEPTED, REFUSED, OUT_OF_TIME = 200, 429, 504
SHARES = (0.5, 0.9, 0.99)


def quantile(values: Sequence[float], share: float) -> float:
    """The value below which so large a share lies; NaN of nothing."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else float("nan")


def quantiles(seconds: Sequence[float]) -> dict[str, float | None]:
    """Some quantiles and the largest in milliseconds, infinite and missing ones as None, and how many there are."""
    named = {f"p{round(100 * share)}_ms": quantile(seconds, share) for share in SHARES}
    named["max_ms"] = max(seconds, default=float("nan"))
    finite = {name: 1e3 * value if value < float("inf") else None for name, value in named.items()}
    return {"n": len(seconds), **finite}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Capacity:
    """What a service can bear.

    Attributes:
        images_per_second: judged in a closed loop, or as the operator says.
        measured: how it was found; None where the operator said it.
    """

    images_per_second: float
    measured: dict[str, Any] | None = None


def measured_capacity(replies: Sequence[Reply], watch: Watch, *, n_clients: int, n_images: int) -> Capacity:
    """The rate of answers in a closed loop, in images a second.

    Args:
        n_images: images of one request.
    """
    answered = [reply.seconds for reply in replies if reply.status == ACCEPTED]
    return Capacity(
        images_per_second=n_images * len(answered) / watch.seconds,
        measured={
            "clients": n_clients,
            "seconds": watch.seconds,
            "codes": codes(replies),
            "accepted": quantiles(answered),
            "client": client_figures(replies, watch),
        },
    )


def stage_figures(
    replies: Sequence[Reply], watch: Watch, *, factor: float, capacity: float, answer_seconds: float, n_images: int
) -> dict[str, Any]:
    """One stage of open-loop load.

    Args:
        factor: of the capacity that was offered.
        capacity: images a second.
        answer_seconds: time that a request has on the server.
        n_images: images of one request.
    """
    accepted = [reply for reply in replies if reply.status == ACCEPTED]
    # What this client sent late is its own fault, and no late answer.
    late = [reply for reply in accepted if reply.seconds - reply.lag > answer_seconds]
    refused = [reply.seconds - reply.lag for reply in replies if reply.status == REFUSED]
    out_of_time = sum(reply.status == OUT_OF_TIME for reply in replies)
    goodput = n_images * (len(accepted) - len(late)) / watch.seconds
    offered = n_images * len(replies) / watch.seconds
    return {
        "factor": factor,
        "seconds": watch.seconds,
        "offered_images_per_second": factor * capacity,
        "images": n_images * len(replies),
        "codes": codes(replies),
        "goodput_images_per_second": goodput,
        "goodput_share_of_capacity": goodput / capacity,
        "goodput_share_of_possible": goodput / min(capacity, offered) if offered else float("nan"),
        "accepted": quantiles([reply.seconds for reply in accepted]),
        "refused": quantiles(refused),
        "late": len(late) + out_of_time,
        "failed": sum(reply.status not in (ACCEPTED, REFUSED, OUT_OF_TIME) for reply in replies),
        "liveness": {**quantiles(watch.liveness), "not_live": sum(time == float("inf") for time in watch.liveness)},
        "client": client_figures(replies, watch),
    }


def codes(replies: Sequence[Reply]) -> dict[str, int]:
    """How often each status came; `nobody` and `broken` where there was no answer."""
    names = {-1: "nobody", 0: "broken"}
    return {names.get(code, str(code)): n for code, n in sorted(Counter(reply.status for reply in replies).items())}


def client_figures(replies: Sequence[Reply], watch: Watch) -> dict[str, Any]:
    """How late this client itself was, and how busy."""
    return {
        "lag": quantiles([reply.lag for reply in replies]),
        "timer": quantiles(watch.heartbeats),
        "busy_share_of_a_core": watch.busy,
    }
