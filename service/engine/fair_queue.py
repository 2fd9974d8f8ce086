"""The order in which what waits is computed. A data structure: no threads, no clock."""

import dataclasses
import heapq
import itertools
import math
from collections import OrderedDict
from typing import Any

from service.engine.jobs import Destination, Job
from service.engine.work import Lane, Priority

AnyJob = Job[Any]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Part:
    """Images `start` to `stop` of a job, given out for computing."""

    job: AnyJob
    start: int
    stop: int


@dataclasses.dataclass(frozen=True, kw_only=True)
class Taken:
    """What is to be computed, and jobs that were met whose time is up; neither waits any more."""

    parts: list[Part]
    late: list[AnyJob]


class FairQueue:
    """Jobs that wait, of all bundles.

    Inside a lane keys share by cost: each has a virtual time that grows with what is taken of it, and the key that is
    furthest behind comes first (start-time fair queueing; Goyal, Vin, Cheng 1996). A key that had nothing to wait for
    begins with those furthest behind: idleness earns no credit. One key's jobs go by priority, then by arrival.
    """

    def __init__(self) -> None:
        self._lanes = {lane: _LaneQueue() for lane in Lane}
        self._numbers = itertools.count()
        self.n_images = 0

    def add(self, job: AnyJob) -> None:
        job.number = next(self._numbers)
        self._lanes[job.lane].add(job)
        self.n_images += job.n_left

    def remove(self, job: AnyJob) -> None:
        """Let a job go whose images have not all been taken; nothing happens if it does not wait."""
        if self._lanes[job.lane].remove(job):
            self.n_images -= job.n_left

    def first(self, lane: Lane) -> Destination | None:
        """What the job that comes first in a lane is for; None where nothing waits."""
        return self._lanes[lane].first()

    def take(self, destination: Destination, n_images: int, *, first: Lane, now: float) -> Taken:
        """Up to so many images for one destination: those of the lane named `first`, then of the other.

        Nothing is taken of a job whose deadline is not after `now`.
        """
        taken = Taken(parts=[], late=[])
        for lane in sorted(Lane, key=lambda lane: lane is not first):
            n_images -= self._lanes[lane].take(destination, n_images, now, taken)
        self.n_images -= sum(part.stop - part.start for part in taken.parts) + sum(job.n_left for job in taken.late)
        return taken


class _LaneQueue:
    """What waits in one lane."""

    def __init__(self) -> None:
        self._shares: dict[str, _Share] = {}
        self._n_jobs = 0

    def add(self, job: AnyJob) -> None:
        share = self._shares.setdefault(job.key_id, _Share())
        if share.is_idle:
            busy = (other.virtual for other in self._shares.values() if not other.is_idle)
            share.virtual = max(share.virtual, min(busy, default=0.0))
        share.add(job)
        self._n_jobs += 1

    def remove(self, job: AnyJob) -> bool:
        share = self._shares.get(job.key_id)
        if share is None or not share.remove(job):
            return False
        self._n_jobs -= 1
        if self._n_jobs == 0:
            # Nobody waits, so nobody is ahead; and keys that never come again are forgotten.
            self._shares.clear()
        return True

    def first(self) -> Destination | None:
        busy = (share for share in self._shares.values() if not share.is_idle)
        share = min(busy, key=lambda share: share.virtual, default=None)
        return None if share is None else share.first_of_all().destination

    def take(self, destination: Destination, n_images: int, now: float, taken: Taken) -> int:
        """Add to `taken`; how many images that were."""
        n_wanted = n_images
        line = [
            (share.virtual, number, share)
            for number, share in enumerate(self._shares.values())
            if share.first(destination) is not None
        ]
        heapq.heapify(line)
        while n_images > 0 and line:
            _, number, share = line[0]
            job = share.first(destination)
            if job is None:
                heapq.heappop(line)
                continue
            if job.deadline <= now:
                taken.late.append(job)
                self.remove(job)
                continue
            n_taken = min(n_images, job.n_left, _n_until_next(line, job.cost))
            taken.parts.append(Part(job=job, start=job.n_taken, stop=job.n_taken + n_taken))
            job.n_taken += n_taken
            n_images -= n_taken
            share.virtual += n_taken * job.cost
            if job.n_left == 0:
                self.remove(job)
            heapq.heapreplace(line, (share.virtual, number, share))
        return n_wanted - n_images


class _Share:
    """What one key has waiting in one lane."""

    def __init__(self) -> None:
        self.virtual = 0.0
        self._jobs: dict[Destination, dict[Priority, OrderedDict[AnyJob, None]]] = {}

    @property
    def is_idle(self) -> bool:
        return not self._jobs

    def add(self, job: AnyJob) -> None:
        of_destination = self._jobs.setdefault(job.destination, {})
        of_destination.setdefault(job.priority, OrderedDict())[job] = None

    def remove(self, job: AnyJob) -> bool:
        of_destination = self._jobs.get(job.destination, {})
        of_priority = of_destination.get(job.priority)
        if of_priority is None or job not in of_priority:
            return False
        del of_priority[job]
        if not of_priority:
            del of_destination[job.priority]
        if not of_destination:
            del self._jobs[job.destination]
        return True

    def first(self, destination: Destination) -> AnyJob | None:
        of_destination = self._jobs.get(destination)
        return next(iter(of_destination[min(of_destination)])) if of_destination else None

    def first_of_all(self) -> AnyJob:
        firsts = (self.first(destination) for destination in self._jobs)
        return min((job for job in firsts if job is not None), key=lambda job: (job.priority, job.number))


def _n_until_next(line: list[tuple[float, int, _Share]], cost: float) -> int:
    """Images that the first in line may have before it is no longer furthest behind; at least one."""
    behind = min((entry[0] for entry in line[1:3]), default=math.inf)
    ahead = (behind - line[0][0]) / cost
    return int(min(ahead, 2**31)) + 1
