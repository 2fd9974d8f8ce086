"""An engine without threads on a clock that stands still, over a device that fails as it is told to."""

import dataclasses
from collections import Counter, deque
from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from detector.verdict import Decision, Outcome, Verdict
from service.engine.device_loop import DeviceLoop
from service.engine.engine import Engine
from service.engine.hand import Hand
from service.engine.jobs import CallJob, ImageJob
from service.engine.register import Register
from service.engine.watchdog import Watchdog
from service.engine.work import Ask, EngineSettings, Lane, Pending, Priority

STEP_IMAGES = 4
OUT_OF_MEMORY = torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
FATAL = RuntimeError("CUDA error: device-side assert triggered")


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


class Heard:
    """An observer that counts."""

    def __init__(self) -> None:
        self.stepped_images: list[int] = []
        self.counts: Counter[str] = Counter()

    def stepped(self, bundle: str, n_images: int, seconds: float) -> None:
        assert bundle in {"a", "b"} and seconds >= 0
        self.stepped_images.append(n_images)

    def cancelled(self, stage: str, n_images: int) -> None:
        self.counts[f"cancelled {stage}"] += n_images

    def expired(self, n_images: int) -> None:
        self.counts["expired"] += n_images

    def failed(self, reason: str) -> None:
        self.counts[reason] += 1


def verdict_of(value: int) -> Verdict:
    """What the fake device finds in an image whose every pixel has this value."""
    return Verdict(
        decision=Decision.CLEAN,
        label=value,
        score=0.0,
        p_value=1.0,
        false_positive_rate=0.05,
        barrier=0.0,
        prototype=0,
        suspected_label=None,
        outcome=Outcome.DECIDED,
        profile=(),
    )


@dataclasses.dataclass
class Device:
    """What inspections compute on. Images brighter than `doubtful` stay in hand for as many steps more as `looks`.

    Attributes:
        before_step: called one after the other, each at the beginning of a step, with the tickets of it; may raise.
        steps: the tickets of every step.
    """

    before_step: deque[Callable[[list[Any]], None] | None] = dataclasses.field(default_factory=deque)
    steps: list[list[Any]] = dataclasses.field(default_factory=list)
    doubtful: int = 256
    looks: int = 3
    memory: int = 10**9

    def fail(self, *errors: Exception) -> None:
        """The next steps raise these."""

        def raising(error: Exception) -> Callable[[list[Any]], None]:
            def fail(_: list[Any]) -> None:
                raise error

            return fail

        self.before_step.extend(raising(error) for error in errors)

    def make(self, detector: Any, n_images: int | None) -> "FakeInspection":
        assert detector.images_per_step >= (n_images or 0) >= 1
        return FakeInspection(self, n_images or 0)


class FakeInspection:
    def __init__(self, device: Device, n_images: int) -> None:
        self.device, self.n_images = device, n_images
        self.held: dict[Any, list[int]] = {}

    @property
    def n_free(self) -> int:
        return self.n_images - len(self.held)

    @property
    def n_in_hand(self) -> int:
        return len(self.held)

    @property
    def is_idle(self) -> bool:
        return not self.held

    def admit(self, tickets: Sequence[Any], images: torch.Tensor, false_positive_rates: Sequence[float]) -> None:
        assert len(tickets) == len(images) == len(false_positive_rates) <= self.n_free
        assert images.dtype == torch.float32
        assert not self.held.keys() & set(tickets)
        for ticket, image in zip(tickets, images, strict=True):
            value = round(float(image.flatten()[0]) * 255)
            self.held[ticket] = [value, self.device.looks if value > self.device.doubtful else 0]

    def drop(self, tickets: Sequence[Any]) -> None:
        for ticket in tickets:
            del self.held[ticket]

    def step(self) -> list[tuple[Any, Verdict]]:
        self.device.steps.append(list(self.held))
        if len(self.held) > self.device.memory:
            raise OUT_OF_MEMORY
        before = self.device.before_step.popleft() if self.device.before_step else None
        if before is not None:
            before(list(self.held))
        decided = []
        for ticket, (value, looks) in list(self.held.items()):
            self.held[ticket][1] -= 1
            if looks == 0:
                del self.held[ticket]
                decided.append((ticket, verdict_of(value)))
        return decided


def fake_detector(n_images: int = STEP_IMAGES) -> Any:
    return SimpleNamespace(
        classifier=SimpleNamespace(input_shape=(1, 1, 1), device=torch.device("cpu")),
        images_per_step=n_images,
        false_positive_rate=0.05,
        supports=float,
    )


def images_of(values: Sequence[int]) -> torch.Tensor:
    return torch.tensor(list(values), dtype=torch.uint8).view(-1, 1, 1, 1)


def make_ask(values: Sequence[int] = (1,), **options: Any) -> Ask:
    fields = {"bundle": "a", "request_id": "r", "deadline": 1e9, "false_positive_rate": 0.05} | options
    return Ask(images=images_of(values), **fields)


def make_job(n_images: int = 1, cost: float = 1.0, **options: Any) -> ImageJob:
    return ImageJob(make_ask(range(n_images), **options), cost=cost)


class Bench:
    """The engine's parts, moved by hand."""

    def __init__(self, **settings: Any) -> None:
        self.settings = EngineSettings(**settings)
        self.clock, self.heard, self.device = Clock(), Heard(), Device()
        self.register = Register(self.heard, self.clock)
        self.hands = {name: Hand(fake_detector(), STEP_IMAGES, self.device.make) for name in "ab"}
        self.loop = DeviceLoop(self.register, self.hands, self.settings)
        self.watchdog = Watchdog(self.register, self.settings.step_seconds)
        self.loop.warm_up()
        self.device.steps.clear()

    def ask(self, *values: int, after: float = 1e6, **options: Any) -> Pending[Any]:
        job = ImageJob(make_ask(values, deadline=self.clock.now + after, **options), cost=1 / STEP_IMAGES)
        self.register.accept(job)
        return job.pending

    def call(self, work: Callable[[Any], Any], after: float = 1e6) -> Pending[Any]:
        job = CallJob("a", work, key_id="anonymous", deadline=self.clock.now + after)
        self.register.accept(job)
        return job.pending

    def step(self) -> bool:
        """One turn of the device; whether there was one."""
        with self.register.lock:
            turn = self.loop.next_turn()
        if turn is None:
            return False
        self.loop.perform(turn)
        return True

    def run(self) -> None:
        while self.step():
            pass

    @property
    def step_values(self) -> list[list[int]]:
        """Which image of its ask each step held."""
        return [[ticket.index for ticket in step] for step in self.device.steps]


def labels(pending: Pending[Any]) -> list[int]:
    return [verdict.label for verdict in pending.future.result(0).verdicts]


@pytest.fixture
def bench() -> Bench:
    return Bench()


@pytest.fixture
def tools(tools_once: SimpleNamespace) -> SimpleNamespace:
    return tools_once


@pytest.fixture(scope="session")
def tools_once() -> SimpleNamespace:
    """What tests build with; `tests` is no package."""
    return SimpleNamespace(
        Bench=Bench,
        Clock=Clock,
        Device=Device,
        Heard=Heard,
        Engine=Engine,
        Lane=Lane,
        Priority=Priority,
        fake_detector=fake_detector,
        make_ask=make_ask,
        make_job=make_job,
        labels=labels,
        verdict_of=verdict_of,
        OUT_OF_MEMORY=OUT_OF_MEMORY,
        FATAL=FATAL,
    )
