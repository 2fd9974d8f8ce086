"""What a benchmark writes down, as JSON."""

import dataclasses
import datetime
from collections.abc import Sequence
from typing import Any

from service.bench.contenders import MadeUp
from service.bench.forward_rate import ForwardRate
from service.bench.machine import Machine, is_busy, versions
from service.bench.measuring import Result
from service.bench.peer_comparison import ComparedPeer
from service.bench.request import BenchRequest
from service.bench.scaling import Sweep
from service.bench.tables import LARGEST_SPREAD, disturbance, is_disturbed
from service.bench.timing import Timing, spread_of

SCHEMA_VERSION = 1


@dataclasses.dataclass(frozen=True, kw_only=True)
class Bench:
    """Everything that one run found.

    Attributes:
        others: cores that others kept busy meanwhile, on average; None where the system does not say.
    """

    request: BenchRequest
    machine: Machine
    threads: int
    others: float | None
    seconds: float
    results: Sequence[Result]
    peers: Sequence[ComparedPeer] = ()
    sweeps: Sequence[Sweep] = ()

    @property
    def spreads(self) -> list[float | None]:
        """Of everything that was timed."""
        timings = [result.timing for result in self.results] + [peer.timing for peer in self.peers]
        timings += [one.timing for sweep in self.sweeps for one in sweep.measured]
        return [timing.spread for timing in timings] + [result.forward.spread for result in self.results]

    @property
    def disturbance(self) -> str | None:
        """What is said of a run on a busy machine."""
        return disturbance(self.others, self.machine.cores, self.spreads)

    def to_document(self) -> dict[str, Any]:
        """Plain types alone; a figure that does not exist is null."""
        return {
            "schema": "isthmus-bench",
            "schema_version": SCHEMA_VERSION,
            "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
            "seconds": round(self.seconds, 1),
            "machine": dataclasses.asdict(self.machine),
            "versions": versions(),
            "threads": self.threads,
            "rounds": self.request.rounds,
            "batch": self.request.batch,
            "images": self.request.images or "noise",
            "busy": {
                "others_cores": self.others,
                "is_busy": is_busy(self.others, self.machine.cores),
                "largest_spread_allowed": LARGEST_SPREAD,
                "is_disturbed": is_disturbed(self.spreads),
                "words": self.disturbance,
            },
            "contenders": [contender_record(result) for result in self.results],
            "peers": [peer_record(peer) for peer in self.peers],
            "scaling": [sweep_record(sweep) for sweep in self.sweeps],
        }


def contender_record(result: Result) -> dict[str, Any]:
    """One row of the first table, with every round."""
    return {
        "name": result.contender.subject.name,
        **result.contender.to_record(),
        "is_made_up": isinstance(result.contender.subject, MadeUp),
        "images_per_step": result.images_per_step,
        **timing_record(result.timing),
        "ratio_to_first": result.relative,
        "latency_ms": dataclasses.asdict(result.latency),
        "forward_equivalents": {**dataclasses.asdict(result.passes), "taken": result.passes.taken},
        "bare_classifier": forward_record(result.forward),
        "roofline_share": result.roofline_share,
        "roofline_share_rounds": list(result.roofline),
        "roofline_share_spread": spread_of(result.roofline),
        "memory": None if result.peak is None else dataclasses.asdict(result.peak),
    }


def timing_record(timing: Timing) -> dict[str, Any]:
    """The figures of a timing, and what they were made of."""
    return {
        "images_per_second": timing.images_per_second,
        "ms_per_image": timing.milliseconds_per_image,
        "spread": timing.spread,
        "n_images": timing.n_images,
        "seconds": list(timing.seconds),
    }


def forward_record(rate: ForwardRate) -> dict[str, Any]:
    """The best way of running the bare classifier."""
    return {
        "images_per_second": rate.images_per_second,
        "images_per_pass": rate.n_images,
        "layout": rate.layout,
        "spread": rate.spread,
    }


def peer_record(peer: ComparedPeer) -> dict[str, Any]:
    """One row of the second table."""
    auroc = None
    if peer.auroc is not None:
        auroc = {
            attack: dict(zip(("value", "low", "high"), found, strict=True)) for attack, found in peer.auroc.items()
        }
    return {
        "name": peer.name,
        "source": peer.source,
        "forward_equivalents": peer.forward_equivalents,
        "scored_at_most": peer.n_scored,
        "auroc": auroc,
        **timing_record(peer.timing),
        "time_relative_to_ours": peer.times_ours,
    }


def sweep_record(sweep: Sweep) -> dict[str, Any]:
    """One axis of the third table."""
    return {
        "varied": str(sweep.axis),
        "exponent": sweep.exponent,
        "growth": sweep.growth,
        "cost_ratio": sweep.ratio,
        "points": [
            {
                **dataclasses.asdict(one.point),
                "forward_equivalents": one.forward_equivalents,
                **timing_record(one.timing),
            }
            for one in sweep.measured
        ],
    }
