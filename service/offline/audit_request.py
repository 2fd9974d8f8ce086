"""What is asked of an audit."""

import dataclasses
import os
from pathlib import Path

from service.bundles import ClassifierChoice
from service.errors import InputError
from service.options import AuditEngine, AuditFailOn

SMALLEST_SHARD = 16


@dataclasses.dataclass(frozen=True, kw_only=True)
class AuditRequest:
    """Everything that `isthmus audit` is told.

    Attributes:
        bundle: a folder, or the name of a shipped one.
        images: the source; see `service.offline.sources`.
        out: the folder that is written.
        false_positive_rate: share of clean images that may be flagged.
        false_discovery_rate: share of false alarms that the list of discoveries may have.
        shard_size: images of the largest shards.
        n_readers: threads that decode.
        address: of a Ray cluster; one is started on this machine if not given.
        n_workers: Ray's; by default one a GPU, or one a core.
        n_pictures: flagged images that the report shows.
        metrics_port, metrics_host: where metrics are served; not at all without a port.
        is_json: whether progress and result go to stdout as JSON lines.

    Raises:
        InputError: a rate or a size is out of range.
    """

    bundle: str
    images: str
    out: Path
    choice: ClassifierChoice = dataclasses.field(default_factory=ClassifierChoice)
    false_positive_rate: float = 0.05
    false_discovery_rate: float = 0.1
    shard_size: int = 1024
    n_readers: int | None = None
    engine: AuditEngine = AuditEngine.EMBEDDED
    address: str | None = None
    n_workers: int | None = None
    allow_urls: bool = False
    fail_on: AuditFailOn | None = None
    n_pictures: int = 50
    metrics_port: int | None = None
    metrics_host: str = "127.0.0.1"
    is_json: bool = False

    def __post_init__(self) -> None:
        if not 0 < self.false_discovery_rate < 1:
            raise InputError(
                f"a false-discovery rate of {self.false_discovery_rate} was asked for; give one between 0 and 1"
            )
        if self.shard_size < SMALLEST_SHARD:
            raise InputError(f"shards of {self.shard_size} images were asked for; give at least {SMALLEST_SHARD}")
        if self.engine is not AuditEngine.RAY and (self.address is not None or self.n_workers is not None):
            raise InputError("--address and --workers are of a cluster; add --engine ray")

    @property
    def readers(self) -> int:
        """Threads that decode: as many as there are cores, if nothing else is said."""
        return self.n_readers or len(os.sched_getaffinity(0))
