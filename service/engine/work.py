"""What is asked of the engine, and what it answers."""

import concurrent.futures
import dataclasses
import enum
from collections.abc import Callable
from typing import Generic, Protocol, TypeVar

from torch import Tensor

from detector.verdict import Verdict
from service.settings import ANONYMOUS

T = TypeVar("T")


class Lane(enum.Enum):
    """Who waits: a client for the answer, or nobody in particular."""

    INTERACTIVE = "interactive"
    BACKGROUND = "background"


class Priority(enum.IntEnum):
    """Orders the requests of one key; the fair share between keys stands above it."""

    HIGH = 1
    NORMAL = 2
    LOW = 3


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Ask:
    """Images to be judged.

    Attributes:
        bundle: name of a served one.
        images: shape (image, channel, height, width), the classifier's own; uint8, or float32 in [0, 1]. Checked
            already: what comes here is computed.
        request_id: names it in logs.
        key_id: whose fair share it counts against.
        deadline: on the clock of `time.monotonic`; nothing is computed for it later.
        false_positive_rate: the rate of the decision, which the bundle supports.
    """

    bundle: str
    images: Tensor
    request_id: str
    deadline: float
    false_positive_rate: float
    key_id: str = ANONYMOUS
    priority: Priority = Priority.NORMAL
    lane: Lane = Lane.INTERACTIVE


@dataclasses.dataclass(frozen=True, kw_only=True)
class Answer:
    """Verdicts in the order of the images.

    Attributes:
        queue_seconds: from being submitted until the first step that held an image of it.
        compute_seconds: from there until the last verdict.
    """

    verdicts: tuple[Verdict, ...]
    queue_seconds: float
    compute_seconds: float


class Pending(Generic[T]):
    """An answer to come; `future` ends exactly once: with it, an exception of `service.errors`, or cancelled."""

    def __init__(self, cancel: Callable[["Pending[T]"], None]) -> None:
        self.future: concurrent.futures.Future[T] = concurrent.futures.Future()
        self._cancel = cancel

    def cancel(self) -> None:
        """Nobody waits any more: no step begins for it from now on. Safe from any thread, and more than once."""
        self._cancel(self)


class EngineState(enum.Enum):
    """STARTING → READY → DRAINING → STOPPED; BROKEN after a device error that does not pass."""

    STARTING = "starting"
    READY = "ready"
    DRAINING = "draining"
    STOPPED = "stopped"
    BROKEN = "broken"


@dataclasses.dataclass(frozen=True, kw_only=True)
class EngineSettings:
    """How the engine shares out the device.

    Attributes:
        queue_images: images that may wait or be computed at once, over all requests of the interactive lane.
        wait_seconds: a request that would wait longer than that, as things go, is refused at once.
        batch_images: images of one step at most; None takes what the detector calls one pass.
        step_seconds: a step that takes longer counts as hung.
        failures_until_broken: steps that may fail one after the other.
        background_every: the background lane gets at least one step in so many.
    """

    queue_images: int = 512
    wait_seconds: float = 8.0
    batch_images: int | None = None
    step_seconds: float = 60.0
    failures_until_broken: int = 3
    background_every: int = 16


class EngineObserver(Protocol):
    """Is told what the engine does, from any thread; must be quick and raise nothing."""

    def stepped(self, bundle: str, n_images: int, seconds: float) -> None: ...

    def cancelled(self, stage: str, n_images: int) -> None:
        """`stage` is `queue` or `compute`; images of clients that have gone."""

    def expired(self, n_images: int) -> None: ...

    def failed(self, reason: str) -> None:
        """`reason` is `out_of_memory`, `device` or `hung`."""


class SilentObserver:
    """Hears nothing."""

    def stepped(self, bundle: str, n_images: int, seconds: float) -> None: ...

    def cancelled(self, stage: str, n_images: int) -> None: ...

    def expired(self, n_images: int) -> None: ...

    def failed(self, reason: str) -> None: ...
