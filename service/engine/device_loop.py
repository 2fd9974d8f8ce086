"""What the device thread does: one step after the other."""

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

from detector.types import DetectorError
from detector.verdict import Verdict
from models.errors import ModelError
from service.engine.fair_queue import AnyJob
from service.engine.hand import Hand
from service.engine.jobs import CALLS, CallJob, ImageJob, Ticket
from service.engine.rates import Pace, RateMeter
from service.engine.register import Register
from service.engine.schedule import Schedule, Turn
from service.engine.step_failures import FailureKind, StepFailure, failure_of, release_device_memory
from service.engine.warm_up import warm_up
from service.engine.work import EngineSettings, EngineState
from service.errors import EngineError, InputError, RequestError

logger = logging.getLogger(__name__)

NO_FAULT_OF_THE_DEVICE = (InputError, DetectorError, ModelError, RequestError)
"""What a call may raise because of what it was given."""


class DeviceLoop:
    """All that touches the device. Meant for one thread."""

    def __init__(self, register: Register, hands: Mapping[str, Hand], settings: EngineSettings) -> None:
        self._register, self._hands, self._settings = register, hands, settings
        self._schedule = Schedule(register.queue, hands, settings.background_every)
        self._n_failures = 0
        self.meter, self.pace = RateMeter(), Pace()

    def run(self) -> None:
        """Warm up, then step until the register is closed."""
        try:
            self.warm_up()
            while (turn := self._waited_for()) is not None:
                self.perform(turn)
        except Exception as error:
            if self._register.is_closed:
                return
            logger.exception("the engine cannot go on")
            self._break_down(failure_of(error))

    def warm_up(self) -> None:
        """Run every detector once; READY afterwards."""
        for hand in self._hands.values():
            warm_up(hand, self._watched)
        with self._register.lock:
            if self._register.state is EngineState.STARTING:
                self._register.state = EngineState.READY

    def next_turn(self) -> Turn | None:
        """The step to do now, if there is one. To be called under the register's lock."""
        return None if self._register.is_closed else self._schedule.next()

    def perform(self, turn: Turn) -> None:
        """One step, or none where everything that it was for has gone."""
        if turn.destination is CALLS:
            self._perform_call(turn)
        else:
            self._perform_step(self._hands[turn.destination], turn)

    def _waited_for(self) -> Turn | None:
        with self._register.lock:
            while (turn := self.next_turn()) is None and not self._register.is_closed:
                self._register.work_came.wait()
            return turn

    def _watched(self, step: Callable[[], object]) -> None:
        """A step of the warm-up."""
        with self._register.lock:
            if self._register.is_closed:
                raise EngineError("the engine was closed while it warmed up")
            self._register.begin_step(self._settings.step_seconds)
        try:
            step()
        finally:
            self._register.end_step()

    def _taken(self, turn: Turn, n_images: int) -> list[tuple[AnyJob, range]]:
        register = self._register
        with register.lock:
            taken = register.queue.take(turn.destination, n_images, first=turn.lane, now=register.clock())
        register.expire(taken.late)
        return [(part.job, range(part.start, part.stop)) for part in taken.parts]

    def _perform_step(self, hand: Hand, turn: Turn) -> None:
        hand.grow_if_due()
        taken = self._taken(turn, hand.n_free)
        tickets = [Ticket(cast(ImageJob, job), index) for job, indices in taken for index in indices]
        failure: StepFailure | None = None
        decided: Sequence[tuple[Ticket, Verdict]] = []
        n_images = 0
        try:
            hand.admit(tickets)
            n_images = self._begun(hand)
            if n_images:
                decided = hand.step()
        except Exception as error:
            logger.exception("a step of %s failed", turn.destination)
            failure = failure_of(error)
        # Out of the handler: the exception's frames hold the tensors of the step no more.
        seconds = self._register.end_step()
        if failure is not None:
            self._mend(hand, failure)
        elif n_images:
            self._n_failures = 0
            self.pace.add(n_images, seconds)
            self._register.observer.stepped(str(turn.destination), n_images, seconds)
            self._deliver(decided)

    def _begun(self, hand: Hand) -> int:
        """Let those go that nobody waits for or whose time is up, then begin; how many images the step has."""
        register = self._register
        while True:
            with register.lock:
                now = register.clock()
                gone = [ticket for ticket in hand.tickets if ticket.job.is_over or ticket.job.deadline <= now]
                late = {ticket.job for ticket in gone if not ticket.job.is_over}
                if not gone and hand.tickets:
                    self._mark(hand, register.begin_step(self._settings.step_seconds))
            if not gone:
                return len(hand.tickets)
            # What leaves may be work for the device, so not under the lock; meanwhile others may go.
            register.expire(late)
            hand.drop(gone)

    def _mark(self, hand: Hand, began: float) -> None:
        for ticket in hand.tickets:
            if ticket.job.started is None:
                ticket.job.started = began

    def _deliver(self, decided: Sequence[tuple[Ticket, Verdict]]) -> None:
        now = self._register.clock()
        wanted = [(ticket, verdict) for ticket, verdict in decided if not ticket.job.is_over]
        with self._register.lock:
            self.meter.add(len(wanted), now)
        finished = {ticket.job for ticket, verdict in wanted if ticket.job.judge(ticket.index, verdict)}
        self._register.answer({job: job.answer(now) for job in finished})

    def _mend(self, hand: Hand, failure: StepFailure) -> None:
        """After a step that raised: make it smaller or give its images up, and go on, or break down."""
        if not self._may_go_on(failure):
            return
        is_memory = failure.kind is FailureKind.OUT_OF_MEMORY
        lost = hand.shrink() if is_memory else hand.abandon()
        if is_memory:
            release_device_memory()
        self._register.fail({ticket.job for ticket in lost}, lambda: _device_failed(failure))

    def _perform_call(self, turn: Turn) -> None:
        for taken, _ in self._taken(turn, 1):
            job = cast(CallJob[Any], taken)
            with self._register.lock:
                if job.is_over:
                    return
                job.started = self._register.begin_step(self._settings.step_seconds)
            failure: StepFailure | None = None
            result, fault = None, None
            try:
                result = job.work(self._hands[job.bundle].detector)
            except NO_FAULT_OF_THE_DEVICE as error:
                fault = error
            except Exception as error:
                logger.exception("a call for %s failed", job.bundle)
                failure = failure_of(error)
            self._register.end_step()
            self._end_call(job, result, fault, failure)

    def _end_call(self, job: CallJob[Any], result: Any, fault: Exception | None, failure: StepFailure | None) -> None:
        if fault is not None:
            self._register.fail([job], lambda: fault)
        elif failure is None:
            self._n_failures = 0
            self._register.answer({job: result})
        elif self._may_go_on(failure):
            if failure.kind is FailureKind.OUT_OF_MEMORY:
                release_device_memory()
            self._register.fail([job], lambda: _device_failed(failure))

    def _may_go_on(self, failure: StepFailure) -> bool:
        self._n_failures += 1
        is_memory = failure.kind is FailureKind.OUT_OF_MEMORY
        self._register.observer.failed("out_of_memory" if is_memory else "device")
        if failure.kind is not FailureKind.FATAL and self._n_failures < self._settings.failures_until_broken:
            return True
        self._break_down(failure)
        return False

    def _break_down(self, failure: StepFailure) -> None:
        logger.critical("the device is given up: %s", failure.text)
        self._register.stop(EngineState.BROKEN)


def _device_failed(failure: StepFailure) -> EngineError:
    if failure.kind is FailureKind.OUT_OF_MEMORY:
        return EngineError("the device has no memory for it now; send fewer images, or try again later")
    return EngineError("the device failed to compute the answer; try again later")
