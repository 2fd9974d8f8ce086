"""What engines are given and give back."""

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol

from service.bundles import ClassifierChoice
from service.images import DEFAULT_LIMITS, DecodingLimits
from service.offline.items import Item


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Shard:
    """Images that are judged together, and written as one file or not at all.

    Attributes:
        number: from 0, in the order of the source.
    """

    number: int
    items: Sequence[Item]


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class JudgedShard:
    """A shard's rows.

    Attributes:
        results: a table of `service.offline.schema.results_schema`, one row an item, in order.
        timings: a table of `service.offline.schema.TIMINGS`, one row an item, in order.
    """

    number: int
    results: Any
    timings: Any


@dataclasses.dataclass(frozen=True, kw_only=True)
class Tick:
    """Images that have just been judged, before their shard is whole.

    Attributes:
        n_flagged: adversarial and undecided ones.
        n_errors: those that could not be read; they count neither as clean nor as flagged.
    """

    shard: int
    n_images: int
    n_flagged: int
    n_errors: int


@dataclasses.dataclass(frozen=True, kw_only=True)
class WorkerSettings:
    """All that a worker needs to open its detector, here or on another machine. It can be pickled.

    Attributes:
        bundle: a shipped name, or the absolute path of a folder that every worker can read.
        bundle_digest: of `service.bundles.digest_of`; a worker that finds another one refuses to work.
        columns: the source's own columns, an Arrow schema.
        chunk_images: how many images are judged in one call.
        n_readers: threads that decode.
    """

    bundle: str
    bundle_digest: str
    choice: ClassifierChoice
    false_positive_rate: float
    columns: Any
    chunk_images: int
    allow_urls: bool = False
    limits: DecodingLimits = DEFAULT_LIMITS
    n_readers: int = 1


class Engine(Protocol):
    """Has shards judged, wherever that is."""

    def judge(self, shards: Iterator[Shard], on_tick: Callable[[Tick], None]) -> Iterator[JudgedShard]:
        """Judge shards, several at a time; they come back in any order, each once.

        Args:
            shards: taken only as fast as they can be judged.
            on_tick: called from the thread that iterates.

        Raises:
            DetectorError, InputError, ModelError: the detector cannot be had on a worker.
            EngineError: a shard failed again and again.
            OSError: the disk or the network failed.
        """
        ...

    def close(self) -> None:
        """Let go of threads, processes and the cluster; what is under way is given up."""
        ...
