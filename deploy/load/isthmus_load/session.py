"""A whole load test: first look, capacity, the stages, the marks."""

import asyncio
import dataclasses
import gc
import random
from collections.abc import Callable, Sequence
from typing import Any

from isthmus_load.arrivals import poisson
from isthmus_load.errors import UsageError
from isthmus_load.figures import Capacity, measured_capacity, stage_figures
from isthmus_load.first_look import FirstLook, first_look
from isthmus_load.inputs import health_request
from isthmus_load.loops import closed_loop, open_loop, watched
from isthmus_load.marks import Limits, Mark, Verdict, marks_of, slow_client, verdict_of
from isthmus_load.wire import Target


@dataclasses.dataclass(frozen=True, kw_only=True)
class Plan:
    """What is asked.

    Attributes:
        rate: capacity in images a second; None measures it.
        factors: of the capacity, one stage of open-loop load each.
        seconds: of each stage.
        clients: of the closed loop.
        capacity_seconds: of the closed loop.
        images_per_request: images that one request has.
        answer_seconds: time that a request has on the server, its `--request-seconds`.
        seed: of the arrivals.
    """

    rate: float | None
    factors: Sequence[float]
    seconds: float
    clients: int
    capacity_seconds: float
    images_per_request: int
    answer_seconds: float
    seed: int


@dataclasses.dataclass(frozen=True, kw_only=True)
class Outcome:
    """What came of it.

    Attributes:
        slow: where and why this client was too slow to judge.
    """

    idle: FirstLook
    capacity: Capacity
    stages: Sequence[dict[str, Any]]
    marks: Sequence[Mark]
    slow: Sequence[str]
    verdict: Verdict


def run_session(
    target: Target, requests: Sequence[bytes], plan: Plan, limits: Limits, say: Callable[[str], None]
) -> Outcome:
    """Load the service and hold it against its promises.

    Args:
        say: takes a line about what goes on.

    Raises:
        UsageError: the service cannot be asked at all.
    """
    idle = asyncio.run(first_look(target, requests[0]))
    say(f"idle: {idle.round_trip_ms:.1f} ms to the liveness route and back, {idle.lone_ms:.0f} ms for a lone request")
    # Pauses of this process would be taken for pauses of the server.
    gc.collect()
    gc.freeze()
    capacity = _capacity(target, requests, plan, say)
    stages = [_stage(target, requests, plan, factor, capacity, say) for factor in plan.factors]
    marks = [mark for stage in stages for mark in marks_of(stage, limits, idle.round_trip_ms)]
    slow = _slow_parts(capacity, stages, limits)
    return Outcome(idle=idle, capacity=capacity, stages=stages, marks=marks, slow=slow, verdict=verdict_of(marks, slow))


def _capacity(target: Target, requests: Sequence[bytes], plan: Plan, say: Callable[[str], None]) -> Capacity:
    if plan.rate is not None:
        return Capacity(images_per_second=plan.rate)
    say(f"closed loop: {plan.clients} clients, {plan.capacity_seconds:g} s")
    work = closed_loop(target, requests, n_clients=plan.clients, seconds=plan.capacity_seconds)
    replies, watch = asyncio.run(watched(target, health_request(target, "live"), work))
    capacity = measured_capacity(replies, watch, n_clients=plan.clients, n_images=plan.images_per_request)
    if not capacity.images_per_second:
        raise UsageError(f"the service judged nothing for {plan.clients} clients: {capacity.measured}")
    say(f"capacity: {capacity.images_per_second:.1f} images a second")
    return capacity


def _stage(
    target: Target,
    requests: Sequence[bytes],
    plan: Plan,
    factor: float,
    capacity: Capacity,
    say: Callable[[str], None],
) -> dict[str, Any]:
    rate = factor * capacity.images_per_second
    say(f"open loop: {factor:g} × capacity, {rate:.1f} images a second, {plan.seconds:g} s")
    # Each stage has arrivals of its own, the same ones for the same seed.
    generator = random.Random(f"{plan.seed}, {factor}")
    moments = poisson(per_second=rate / plan.images_per_request, seconds=plan.seconds, generator=generator)
    if not moments:
        raise UsageError(f"--seconds {plan.seconds:g} is too short for one request at {rate:g} images a second")
    work = open_loop(target, requests, moments=moments)
    replies, watch = asyncio.run(watched(target, health_request(target, "live"), work))
    return stage_figures(
        replies,
        watch,
        factor=factor,
        capacity=capacity.images_per_second,
        answer_seconds=plan.answer_seconds,
        n_images=plan.images_per_request,
    )


def _slow_parts(capacity: Capacity, stages: Sequence[dict[str, Any]], limits: Limits) -> list[str]:
    clients = {f"{stage['factor']:g} × capacity": stage["client"] for stage in stages}
    if capacity.measured:
        clients = {"closed loop": capacity.measured["client"], **clients}
    reasons = {name: slow_client(client, limits) for name, client in clients.items()}
    return [f"{name}: {reason}" for name, reason in reasons.items() if reason]
