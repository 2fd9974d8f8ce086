"""Every accepted ask from its acceptance to its end, of which each has one; what the engine's threads share."""

import contextlib
import math
import threading
import time
import weakref
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future, InvalidStateError
from typing import Any, TypeVar

from service.engine.fair_queue import AnyJob, FairQueue
from service.engine.jobs import Job
from service.engine.work import EngineObserver, EngineState, Lane
from service.errors import DeadlineError, EngineError, RequestError

T = TypeVar("T")

CLOSED = {
    EngineState.STOPPED: "the engine has stopped; ask another server",
    EngineState.BROKEN: "the device answers no more and the server must be started again; ask another server",
}


class Register:
    """Thread-safe; futures are ended outside the lock, because their callbacks may come back here.

    Attributes:
        lock: guards all that follows, and the jobs.
        work_came: what the device thread waits on.
        alarm_moved: what the watchdog waits on.
        step_began: of the step under way.
        is_hung: that step takes too long.
        alarm: when the watchdog looks next.
    """

    def __init__(self, observer: EngineObserver, clock: Callable[[], float] = time.monotonic) -> None:
        self.lock = threading.Lock()
        self.work_came = threading.Condition(self.lock)
        self.alarm_moved = threading.Condition(self.lock)
        self._all_over = threading.Condition(self.lock)
        self.queue = FairQueue()
        self.jobs: set[AnyJob] = set()
        self.state = EngineState.STARTING
        self.takes_background = True
        self.takes_interactive = True
        self.step_began: float | None = None
        self.is_hung = False
        self.alarm = math.inf
        self.observer, self.clock = observer, clock

    @property
    def is_closed(self) -> bool:
        """No step begins any more."""
        return self.state in CLOSED

    def refusal(self, lane: Lane) -> str | None:
        """Why nothing is accepted in a lane, if so."""
        if self.state in CLOSED:
            return CLOSED[self.state]
        if self.is_hung:
            return "the device has not answered for a while; ask another server, or try again later"
        is_taken = self.takes_background if lane is Lane.BACKGROUND else self.takes_interactive
        return None if is_taken else "the server is going down; ask another one"

    def accept(self, job: Job[T]) -> None:
        """From now on it ends: by its deadline, if nothing comes before.

        Raises:
            EngineError: nothing is accepted now.
        """
        with self.lock:
            if (refusal := self.refusal(job.lane)) is not None:
                raise EngineError(refusal)
            job.submitted = self.clock()
            self.jobs.add(job)
            self.queue.add(job)
            self.work_came.notify()
            self._set_alarm(job.deadline)
        # Clients of asyncio cancel the future itself. The future outlives the job, and keeps its callbacks.
        own = weakref.ref(job)
        job.pending.future.add_done_callback(lambda future: self._withdraw(own(), future))

    def answer(self, results: Mapping[AnyJob, Any]) -> None:
        """End jobs well, those that are not over."""
        for job in self._closed(results):
            with contextlib.suppress(InvalidStateError):
                job.pending.future.set_result(results[job])

    def fail(self, jobs: Iterable[AnyJob], error: Callable[[], Exception]) -> int:
        """End those of the jobs that are not over; how many images of theirs had no verdict."""
        failed = self._closed(jobs)
        for job in failed:
            with contextlib.suppress(InvalidStateError):
                job.pending.future.set_exception(error())
        return sum(job.n_images - job.n_judged for job in failed)

    def expire(self, jobs: Iterable[AnyJob]) -> None:
        """Their time is up; those that a hung step holds have not come too late by their own fault."""
        jobs = list(jobs)
        if not jobs:
            return
        stuck = [job for job in jobs if self.is_hung and job.started is not None]
        self.fail(stuck, lambda: EngineError("the device did not answer in time; try again later"))
        if n_images := self.fail(jobs, _too_late):
            self.observer.expired(n_images)

    def stop(self, state: EngineState) -> None:
        """Go down to STOPPED or BROKEN, and fail all that has not ended. BROKEN stays."""
        with self.lock:
            if self.state is not EngineState.BROKEN:
                self.state = state
            jobs = list(self.jobs)
            for condition in (self.work_came, self.alarm_moved):
                condition.notify_all()
        self.fail(jobs, lambda: EngineError(CLOSED[state]))

    def begin_step(self, step_seconds: float) -> float:
        """A step begins now, and is hung if it takes longer. To be called under the lock."""
        self.step_began = self.clock()
        self._set_alarm(self.step_began + step_seconds)
        return self.step_began

    def end_step(self) -> float:
        """The step is over, however it went; how long it took."""
        with self.lock:
            began, self.step_began, self.is_hung = self.step_began, None, False
        return 0.0 if began is None else self.clock() - began

    def wait_until_all_over(self, timeout: float) -> bool:
        """Wait until everything accepted has ended; whether that came in time."""
        with self.lock:
            return self._all_over.wait_for(lambda: not self.jobs, timeout)

    def _set_alarm(self, when: float) -> None:
        if when < self.alarm:
            self.alarm = when
            self.alarm_moved.notify()

    def _withdraw(self, job: AnyJob | None, future: Future[Any]) -> None:
        """Nobody waits for it, if its future was cancelled."""
        if not future.cancelled():
            return
        future.set_running_or_notify_cancel()
        if job is None:
            return
        stage = "queue" if job.started is None else "compute"
        if self._closed([job]):
            self.observer.cancelled(stage, job.n_images - job.n_judged)

    def _closed(self, jobs: Iterable[AnyJob]) -> list[AnyJob]:
        """Close the files of jobs; those that this call closed and no other."""
        with self.lock:
            closed = [job for job in jobs if job in self.jobs]
            for job in closed:
                self.jobs.remove(job)
                self.queue.remove(job)
                job.let_go()
            if not self.jobs:
                self._all_over.notify_all()
        return closed


def _too_late() -> RequestError:
    return DeadlineError("the time of the request was up before its answer was there; allow more, or try again later")
