"""Waiting for an answer without waiting too long, or for somebody who has gone."""

import asyncio
import time
import weakref
from collections.abc import Awaitable
from typing import Any, TypeVar

from service.engine.work import Pending
from service.errors import ClientGoneError, DeadlineError

T = TypeVar("T")

_turnstiles: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Semaphore] = weakref.WeakKeyDictionary()


async def answered(pending: Pending[T], *, deadline: float, gone: Awaitable[None] | None = None) -> T:
    """The answer, if it comes before the deadline and while the client is there; else it is cancelled.

    Args:
        deadline: on the clock of `time.monotonic`.
        gone: done when nobody waits for the answer any more. A future stays the caller's; anything else is awaited
            here, and given up with the answer.

    Raises:
        DeadlineError: the time is up.
        ClientGoneError: the client has gone, or somebody else has cancelled it.
        Exception: that of the answer.
    """
    answer = asyncio.wrap_future(pending.future)
    leaving = None if gone is None else asyncio.ensure_future(gone)
    waited_for: set[asyncio.Future[Any]] = {answer} if leaving is None else {answer, leaving}
    try:
        await asyncio.wait(
            waited_for, timeout=max(0.0, deadline - time.monotonic()), return_when=asyncio.FIRST_COMPLETED
        )
        if answer.cancelled() or (not answer.done() and leaving is not None and leaving.done()):
            raise ClientGoneError("nobody waits for the answer any more")
        if not answer.done():
            raise DeadlineError("the time of the request was up before its answer was there; allow more")
        await _one_at_a_time()
        return answer.result()
    finally:
        # The future as well: an exception that came now would be reported as one that nobody has looked at.
        answer.cancel()
        pending.cancel()
        if leaving is not None and leaving is not gone and not leaving.cancel() and not leaving.cancelled():
            # Looked at, so that nobody reports it: however the waiting for the client ended, the client is not there.
            leaving.exception()


async def _one_at_a_time() -> None:
    """Let one answer a turn of the loop go on: a step ends a batch of them, and health checks must not wait for all."""
    loop = asyncio.get_running_loop()
    turnstile = _turnstiles.setdefault(loop, asyncio.Semaphore(1))
    await turnstile.acquire()
    # In the next turn, after what has come in meanwhile was read.
    loop.call_soon(turnstile.release)
