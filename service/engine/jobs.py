"""What the engine keeps about an accepted ask until it has ended."""

import enum
from collections.abc import Callable
from typing import Any, Final, Generic, TypeVar

from torch import Tensor

from detector.detector import Detector
from detector.verdict import Verdict
from service.engine.work import Answer, Ask, Lane, Pending, Priority

T = TypeVar("T")


class Calls(enum.Enum):
    """Where work goes that is no inspection: one call is one step."""

    CALLS = "calls"


CALLS: Final = Calls.CALLS

Destination = str | Calls
"""What a step can be for: the images of one bundle, or one call."""


class Job(Generic[T]):
    """An accepted ask. Its fields change under the register's lock alone, unless they say otherwise.

    Attributes:
        cost: share of a step that one image takes up.
        number: its place in the order of arrival.
        n_taken: images that were given out for computing.
        n_judged: images with a verdict; changed by the device thread alone.
        started: when its first step began.
        is_over: it has been answered, has failed or nobody waits for it.
    """

    def __init__(
        self,
        *,
        destination: Destination,
        key_id: str,
        priority: Priority,
        lane: Lane,
        deadline: float,
        n_images: int,
        cost: float,
    ) -> None:
        self.destination, self.key_id, self.priority, self.lane = destination, key_id, priority, lane
        self.deadline, self.n_images, self.cost = deadline, n_images, cost
        self.pending: Pending[T] = Pending(_cancel)
        self.number = 0
        self.submitted = 0.0
        self.started: float | None = None
        self.n_taken = 0
        self.n_judged = 0
        self.is_over = False

    @property
    def n_left(self) -> int:
        """Images that wait."""
        return self.n_images - self.n_taken

    def let_go(self) -> None:
        """It is over: hold nothing that is large."""
        self.is_over = True


class ImageJob(Job[Answer]):
    """Images to be judged.

    Attributes:
        images: None as soon as it is over.
        verdicts: one an image, None until there is one; the device thread's.
    """

    def __init__(self, ask: Ask, *, cost: float) -> None:
        super().__init__(
            destination=ask.bundle,
            key_id=ask.key_id,
            priority=ask.priority,
            lane=ask.lane,
            deadline=ask.deadline,
            n_images=len(ask.images),
            cost=cost,
        )
        self.images: Tensor | None = ask.images
        self.false_positive_rate = ask.false_positive_rate
        self.verdicts: list[Verdict | None] = [None] * self.n_images

    def judge(self, index: int, verdict: Verdict) -> bool:
        """Note one verdict; whether it was the last."""
        if self.verdicts[index] is None:
            self.verdicts[index] = verdict
            self.n_judged += 1
        return self.n_judged == self.n_images

    def answer(self, now: float) -> Answer:
        """The answer, once every image is judged."""
        started = self.submitted if self.started is None else self.started
        return Answer(
            verdicts=tuple(verdict for verdict in self.verdicts if verdict is not None),
            queue_seconds=started - self.submitted,
            compute_seconds=now - started,
        )

    def let_go(self) -> None:
        super().let_go()
        self.images = None


class CallJob(Job[T]):
    """Work on a detector that is no inspection."""

    def __init__(self, bundle: str, work: Callable[[Detector], T], *, key_id: str, deadline: float) -> None:
        super().__init__(
            destination=CALLS,
            key_id=key_id,
            priority=Priority.NORMAL,
            lane=Lane.INTERACTIVE,
            deadline=deadline,
            n_images=1,
            cost=1.0,
        )
        self.bundle = bundle
        self.work = work


class Ticket:
    """One image in the hands of an inspection; equal to itself alone.

    Attributes:
        has_failed: a step that held it ran out of memory.
    """

    __slots__ = ("has_failed", "index", "job")

    def __init__(self, job: ImageJob, index: int) -> None:
        self.job, self.index, self.has_failed = job, index, False


def _cancel(pending: Pending[Any]) -> None:
    pending.future.cancel()
