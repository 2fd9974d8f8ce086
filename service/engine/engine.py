"""The engine: shares one device out among all who ask."""

import dataclasses
import logging
import threading
import time
from collections.abc import Callable, Mapping
from typing import TypeVar

import torch

from detector.detector import Detector
from detector.inspection import Inspection
from detector.types import ImageError
from service.engine.device_loop import DeviceLoop
from service.engine.hand import Hand, InspectionMaker
from service.engine.jobs import CallJob, ImageJob, Job
from service.engine.permits import Permit, Permits
from service.engine.register import Register
from service.engine.watchdog import Watchdog
from service.engine.work import (
    Answer,
    Ask,
    EngineObserver,
    EngineSettings,
    EngineState,
    Lane,
    Pending,
    SilentObserver,
)
from service.errors import EngineError, NotFoundError
from service.settings import ANONYMOUS

T = TypeVar("T")

JOIN_SECONDS = 5.0
"""A thread that hangs longer is left behind; it ends with the process."""

logger = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True, kw_only=True)
class EngineLoad:
    """How busy the engine is.

    Attributes:
        n_queued: images that wait; a call counts as one.
        n_computing: images that were taken from the queue and have no verdict yet.
        images_per_second: judged over the last ten seconds.
        n_free: places that are free.
    """

    n_queued: int
    n_computing: int
    images_per_second: float
    n_free: int


class Engine:
    """One device thread that judges what waits, in steps as full as what waits allows. Thread-safe.

    Args:
        detectors: by the names that asks give.
        inspection: what holds a detector's work, given the detector and the images of one step.
        clock: that of deadlines.
    """

    def __init__(
        self,
        detectors: Mapping[str, Detector],
        settings: EngineSettings | None = None,
        observer: EngineObserver | None = None,
        inspection: InspectionMaker = Inspection,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        settings = settings or EngineSettings()
        self._detectors = dict(detectors)
        self._register = Register(observer or SilentObserver(), clock)
        self._hands = {
            name: Hand(detector, settings.batch_images or detector.images_per_step, inspection)
            for name, detector in self._detectors.items()
        }
        self._loop = DeviceLoop(self._register, self._hands, settings)
        # One step at the least: what fits into it waits for nothing.
        step = max((hand.full for hand in self._hands.values()), default=1)
        self._permits = Permits(
            settings.queue_images,
            worthwhile=lambda: max(step, self._loop.pace.images_in(settings.wait_seconds)),
            clock=clock,
        )
        watchdog = Watchdog(self._register, settings.step_seconds)
        # A device that hangs must not keep the process from ending.
        self._threads = [
            threading.Thread(target=self._loop.run, name="engine-device", daemon=True),
            threading.Thread(target=watchdog.run, name="engine-watchdog", daemon=True),
        ]
        self._is_started = False

    def start(self) -> None:
        """Begin to warm up, and to work after that; returns at once.

        Raises:
            RuntimeError: it was started before.
        """
        for thread in self._threads:
            thread.start()
        self._is_started = True

    @property
    def state(self) -> EngineState:
        return self._register.state

    @property
    def is_ready(self) -> bool:
        """Whether asks are likely to be answered: warmed up, not going down, and the device answers."""
        return self._register.state is EngineState.READY and not self._register.is_hung

    @property
    def is_live(self) -> bool:
        """Whether there is a device that answers, however busy."""
        return self._register.state is not EngineState.BROKEN and not self._register.is_hung

    def permit(self, n_images: int = 1, key_id: str | None = None) -> Permit:
        """A place for a request, to be had before its body is read.

        Args:
            key_id: whose share it counts against; None where there are no keys.

        Raises:
            OverloadedError, TooLargeError: see `Permits.take`.
            EngineError: nothing is accepted now.
        """
        with self._register.lock:
            refusal = self._register.refusal(Lane.INTERACTIVE)
            if refusal is None and self._register.state is EngineState.DRAINING:
                refusal = "the server is going down; ask another one"
        if refusal is not None:
            raise EngineError(refusal)
        return self._permits.take(n_images, key_id)

    def submit(self, ask: Ask) -> Pending[Answer]:
        """Have images judged; the future ends by the deadline at the latest.

        Raises:
            NotFoundError: there is no such bundle.
            ImageError: the images have another shape than its classifier takes, or are neither uint8 nor float32.
            CalibrationError: it does not support the false-positive rate.
            EngineError: nothing is accepted now.
        """
        detector = self._detector(ask.bundle)
        # One image of another shape would take its batch mates with it.
        shape = tuple(ask.images.shape[1:])
        if shape != detector.classifier.input_shape or ask.images.dtype not in {torch.uint8, torch.float32}:
            raise ImageError(
                f"images of shape {shape} (channel, height, width) and {ask.images.dtype} came where the classifier "
                f"takes {detector.classifier.input_shape}, uint8 or float32; resize or convert them first"
            )
        detector.supports(ask.false_positive_rate)
        job = ImageJob(ask, cost=1 / self._hands[ask.bundle].full)
        if job.n_images == 0:
            job.pending.future.set_result(job.answer(0.0))
            return job.pending
        return self._accepted(job)

    def call(
        self, bundle: str, work: Callable[[Detector], T], *, deadline: float, key_id: str = ANONYMOUS
    ) -> Pending[T]:
        """Have the device thread do something else with a detector; it counts as a full step of the interactive lane.

        What it raises for a caller's fault (`InputError`, `DetectorError` …) is handed on; anything else is a failure
        of the device.

        Raises:
            NotFoundError: there is no such bundle.
            EngineError: nothing is accepted now.
        """
        self._detector(bundle)
        return self._accepted(CallJob(bundle, work, key_id=key_id, deadline=deadline))

    def load(self) -> EngineLoad:
        register = self._register
        with register.lock:
            n_queued = register.queue.n_images
            n_open = sum(job.n_images - job.n_judged for job in register.jobs)
            rate = self._loop.meter.per_second(register.clock())
        return EngineLoad(
            n_queued=n_queued,
            n_computing=max(0, n_open - n_queued),
            images_per_second=rate,
            n_free=self._permits.n_free,
        )

    def drain(self, timeout: float) -> bool:
        """Accept no more, and wait until everything accepted is answered; whether that came in time.

        A request counts as accepted from its permit on: it may still submit. What has none, on the background lane,
        is refused from now on.
        """
        register = self._register
        with register.lock:
            if not register.is_closed:
                register.state = EngineState.DRAINING
            register.takes_background = False
        until = time.monotonic() + timeout
        are_permits_back = self._permits.wait_until_free(timeout)
        with register.lock:
            register.takes_interactive = False
        return register.wait_until_all_over(max(0.0, until - time.monotonic())) and are_permits_back

    def close(self) -> None:
        """Stop at once: what has no answer yet fails."""
        self._register.stop(EngineState.STOPPED)
        for thread in self._threads if self._is_started else ():
            thread.join(JOIN_SECONDS)
            if thread.is_alive():
                logger.error("the thread %s hangs and is left behind", thread.name)

    def _accepted(self, job: Job[T]) -> Pending[T]:
        if not self._is_started:
            raise EngineError("the engine has not been started; ask another server, or try again later")
        self._register.accept(job)
        return job.pending

    def _detector(self, bundle: str) -> Detector:
        if bundle not in self._detectors:
            raise NotFoundError(f"there is no bundle {bundle!r}; served are {', '.join(self._detectors)}")
        return self._detectors[bundle]
