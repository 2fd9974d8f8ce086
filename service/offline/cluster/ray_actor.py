"""The worker of an audit as it runs on a machine of a Ray cluster. Nothing here imports Ray."""

import importlib.metadata
import os
import platform
import threading
from typing import TYPE_CHECKING

from service.errors import InputError
from service.offline.cluster.tick_ledger import added
from service.offline.work import JudgedShard, Shard, Tick, WorkerSettings

if TYPE_CHECKING:
    from service.offline.judging.worker import ShardWorker


def isthmus_version() -> str:
    """Of what is installed in this process."""
    return importlib.metadata.version("isthmus")


class RayWorker:
    """Judges shards in a process of its own; its methods are called from several threads at once.

    Args:
        n_threads: of one computation; those of other workers on the machine are not disturbed.
        version: of Isthmus where the audit was begun.
    """

    def __init__(self, settings: WorkerSettings, n_threads: int, version: str) -> None:
        # No more than that: what a constructor raises does not come back as it is.
        self._settings = settings
        self._n_threads = n_threads
        self._version = version
        self._worker: ShardWorker | None = None
        self._lock = threading.Lock()
        self._so_far: dict[int, Tick] = {}

    def open(self) -> str:
        """Open the detector.

        Returns:
            Where that is, for people.

        Raises:
            InputError: another version of Isthmus is installed here; see also `ShardWorker.open`.
            DetectorError, ModelError: the detector cannot be had.
        """
        place = f"{platform.node()} (process {os.getpid()})"
        if isthmus_version() != self._version:
            raise InputError(
                f"{place} has isthmus {isthmus_version()}, and the audit was begun with {self._version}; install the "
                "same version on every machine of the cluster"
            )
        import torch  # noqa: PLC0415

        from service.offline.judging.worker import ShardWorker  # noqa: PLC0415

        torch.set_num_threads(self._n_threads)
        self._worker = ShardWorker.open(self._settings)
        return place

    def judge(self, shard: Shard) -> tuple[JudgedShard, Tick]:
        """Judge a shard.

        Returns:
            The shard, and what its images came to.
        """
        if self._worker is None:
            raise RuntimeError("a shard was given to a worker that is not open")
        with self._lock:
            self._so_far[shard.number] = Tick(shard=shard.number, n_images=0, n_flagged=0, n_errors=0)
        judged = self._worker.judge(shard, self._count)
        with self._lock:
            return judged, self._so_far.pop(shard.number)

    def so_far(self) -> list[Tick]:
        """How far each shard is that is being judged."""
        with self._lock:
            return list(self._so_far.values())

    def _count(self, tick: Tick) -> None:
        with self._lock:
            self._so_far[tick.shard] = added(self._so_far[tick.shard], tick)
