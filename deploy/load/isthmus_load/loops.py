"""Sending: a closed loop finds what a service can bear, an open loop shows what it does beyond that.

A closed loop slows down with the server and so hides what the server suffers (coordinated omission). An open loop sends
when the time has come, whether or not earlier requests were answered, and counts from the moment a request was due.
"""

import asyncio
import dataclasses
import itertools
import time
from collections.abc import Coroutine, Sequence
from typing import Any

from isthmus_load.wire import Connection, Target

PROBE_SECONDS = 0.1
HEARTBEAT_SECONDS = 0.02
REFUSED_PAUSE_SECONDS = 0.1


@dataclasses.dataclass(frozen=True, kw_only=True)
class Reply:
    """One answer.

    Attributes:
        status: of HTTP, or `NOBODY` or `BROKEN` of `wire`.
        seconds: from when the request was due until the answer was there.
        lag: seconds from when the request was due until this client began to send it.
    """

    status: int
    seconds: float
    lag: float = 0.0


@dataclasses.dataclass(frozen=True, kw_only=True)
class Watch:
    """What was seen beside some work.

    Attributes:
        seconds: how long the work took.
        liveness: seconds of each question whether the server lives; infinite where it did not say so.
        heartbeats: seconds by which this client's own timer came late.
        busy: share of one core that this client itself took.
    """

    seconds: float
    liveness: Sequence[float]
    heartbeats: Sequence[float]
    busy: float


async def closed_loop(target: Target, requests: Sequence[bytes], *, n_clients: int, seconds: float) -> list[Reply]:
    """So many clients, each of which sends its next request when the last one is answered."""
    end = time.perf_counter() + seconds
    source = itertools.cycle(requests)
    replies: list[Reply] = []

    async def client() -> None:
        connection = Connection(target)
        while time.perf_counter() < end:
            begun = time.perf_counter()
            status = await connection.ask(next(source))
            replies.append(Reply(status=status, seconds=time.perf_counter() - begun))
            if status != 200:
                # A client that comes again at once would measure how fast it is refused.
                await asyncio.sleep(REFUSED_PAUSE_SECONDS)
        await connection.close()

    await asyncio.gather(*(client() for _ in range(n_clients)))
    return replies


async def open_loop(target: Target, requests: Sequence[bytes], *, moments: Sequence[float]) -> list[Reply]:
    """Requests at these moments, seconds from now, each on a connection that is free, or else on a new one."""
    free: list[Connection] = []
    replies: list[Reply] = []
    tasks = []
    source = itertools.cycle(requests)
    begun = time.perf_counter()

    async def one(request: bytes, due: float) -> None:
        connection = free.pop() if free else Connection(target)
        lag = time.perf_counter() - due
        status = await connection.ask(request)
        replies.append(Reply(status=status, seconds=time.perf_counter() - due, lag=lag))
        free.append(connection)

    for moment in moments:
        due = begun + moment
        await asyncio.sleep(max(0.0, due - time.perf_counter()))
        tasks.append(asyncio.create_task(one(next(source), due)))
    await asyncio.gather(*tasks)
    for connection in free:
        await connection.close()
    return replies


async def watched(target: Target, health: bytes, work: Coroutine[Any, Any, list[Reply]]) -> tuple[list[Reply], Watch]:
    """Do the work; meanwhile ask ten times a second whether the server lives, and see how late our own timer is."""
    begun, processor = time.perf_counter(), time.process_time()
    task = asyncio.create_task(work)
    liveness, heartbeats = await asyncio.gather(_probe(target, health, task), _beat(task))
    seconds = time.perf_counter() - begun
    busy = (time.process_time() - processor) / seconds
    return task.result(), Watch(seconds=seconds, liveness=liveness, heartbeats=heartbeats, busy=busy)


async def _probe(target: Target, health: bytes, task: asyncio.Task[Any]) -> list[float]:
    connection, times = Connection(target), []
    while not task.done():
        begun = time.perf_counter()
        status = await connection.ask(health)
        times.append(time.perf_counter() - begun if status == 200 else float("inf"))
        await asyncio.sleep(PROBE_SECONDS)
    await connection.close()
    return times


async def _beat(task: asyncio.Task[Any]) -> list[float]:
    late = []
    while not task.done():
        begun = time.perf_counter()
        await asyncio.sleep(HEARTBEAT_SECONDS)
        late.append(time.perf_counter() - begun - HEARTBEAT_SECONDS)
    return late
