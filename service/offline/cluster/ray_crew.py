"""Workers as actors of a Ray cluster."""

import dataclasses
import enum
import logging
import time
from typing import Any

from service.offline.cluster.crew import Counted, Event, Failed, Joined, Judged, Lost
from service.offline.cluster.dispatch import UNDER_WAY
from service.offline.cluster.ray_actor import RayWorker, isthmus_version
from service.offline.cluster.ray_cluster import RayCluster
from service.offline.work import Shard, WorkerSettings

COUNT_SECONDS = 0.5
"""Between two looks at how far a worker is; more where there are many workers."""

LOOKS_PER_SECOND = 200
"""At all workers together."""

PATIENCE_SECONDS = 60.0
"""Without a worker, before it is said what is being waited for; and then each time as long again."""

JUDGING, WATCHING = "judging", "watching"
"""Names of an actor's threads: those of shards, and one that answers meanwhile."""

logger = logging.getLogger(__name__)


class _Purpose(enum.Enum):
    OPEN = enum.auto()
    JUDGE = enum.auto()
    COUNT = enum.auto()


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Call:
    worker: int
    purpose: _Purpose
    shard: int | None = None


class RayCrew:
    """See `service.offline.cluster.crew.Crew`.

    Ray is left no say in restarts: it can neither tell which shard killed a worker nor give up in time.
    """

    def __init__(self, ray: Any, settings: WorkerSettings, cluster: RayCluster) -> None:
        self._ray = ray
        self._settings = settings
        self._cluster = cluster
        self._actors: dict[int, Any] = {}
        self._calls: dict[Any, _Call] = {}
        self._looked: dict[int, float] = {}
        """When each worker that has joined was last asked how far it is."""
        self._heard = time.monotonic()

    def start(self) -> int:
        """Connect to the cluster; see `RayCluster.connect`."""
        staff = self._cluster.connect()
        self._needs = staff.needs
        # The same for all of them, sent once.
        self._settings_there = self._ray.put(dataclasses.replace(self._settings, n_readers=staff.needs.n_cpus))
        self._actor_class = self._ray.remote(
            concurrency_groups={JUDGING: UNDER_WAY, WATCHING: 1},
            num_cpus=self._needs.n_cpus,
            num_gpus=self._needs.n_gpus,
            max_restarts=0,
            max_task_retries=0,
            scheduling_strategy="SPREAD",
        )(RayWorker)
        self._heard = time.monotonic()
        return staff.n_workers

    def hire(self, worker: int) -> None:
        """Start an actor; it joins when its machine has room and its detector is open."""
        actor = self._actor_class.remote(self._settings_there, self._needs.n_cpus, isthmus_version())
        self._actors[worker] = actor
        ref = actor.open.options(concurrency_group=JUDGING).remote()
        self._calls[ref] = _Call(worker=worker, purpose=_Purpose.OPEN)

    def submit(self, worker: int, shard: Shard) -> None:
        """Send a shard to an actor."""
        ref = self._actors[worker].judge.options(concurrency_group=JUDGING).remote(shard)
        self._calls[ref] = _Call(worker=worker, purpose=_Purpose.JUDGE, shard=shard.number)

    def events(self) -> list[Event]:
        """Wait for `COUNT_SECONDS` at most."""
        self._look()
        refs = list(self._calls)
        ready, _ = self._ray.wait(refs, num_returns=1, timeout=COUNT_SECONDS)
        if ready:
            ready, _ = self._ray.wait(refs, num_returns=len(refs), timeout=0)
        events = [self._event(self._calls.pop(ref), ref) for ref in ready]
        self._tell_of_waiting()
        return sorted(events, key=lambda event: not isinstance(event, Judged))

    def dismiss(self, worker: int) -> None:
        """Kill an actor."""
        self._looked.pop(worker, None)
        self._calls = {ref: call for ref, call in self._calls.items() if call.worker != worker}
        self._ray.kill(self._actors.pop(worker))

    def close(self) -> None:
        """Kill all actors, and disconnect from the cluster."""
        if self._ray.is_initialized():
            for worker in list(self._actors):
                self.dismiss(worker)
        self._cluster.disconnect()

    def _look(self) -> None:
        """Ask those workers how far they are that have not been asked for a while."""
        now = time.monotonic()
        pause = max(COUNT_SECONDS, len(self._looked) / LOOKS_PER_SECOND)
        for worker, looked in self._looked.items():
            if now - looked >= pause:
                # Not again before it has answered.
                self._looked[worker] = float("inf")
                ref = self._actors[worker].so_far.options(concurrency_group=WATCHING).remote()
                self._calls[ref] = _Call(worker=worker, purpose=_Purpose.COUNT)

    def _event(self, call: _Call, ref: Any) -> Event:
        try:
            answer = self._ray.get(ref)
        except self._ray.exceptions.RayTaskError as error:
            cause = error.cause if isinstance(error.cause, Exception) else error
            return Failed(worker=call.worker, shard=call.shard, cause=cause)
        except self._ray.exceptions.RayError as error:
            return Lost(worker=call.worker, cause=error)
        if call.purpose is _Purpose.JUDGE:
            shard, total = answer
            return Judged(worker=call.worker, shard=shard, total=total)
        self._looked[call.worker] = time.monotonic()
        if call.purpose is _Purpose.COUNT:
            return Counted(worker=call.worker, so_far=answer)
        return Joined(worker=call.worker, place=answer)

    def _tell_of_waiting(self) -> None:
        now = time.monotonic()
        if self._looked:
            self._heard = now
        elif now - self._heard > PATIENCE_SECONDS:
            self._heard = now
            logger.warning("no worker is ready yet; each needs %s, and there are %s", self._needs, self._cluster.room())
