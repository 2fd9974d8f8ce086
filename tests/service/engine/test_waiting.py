import asyncio
import concurrent.futures
import gc
import threading
import time

import pytest

from service.engine.waiting import answered
from service.engine.work import Pending
from service.errors import ClientGoneError, DeadlineError, EngineError


def new_pending():
    return Pending(lambda pending: pending.future.cancel())


def later(seconds=0.02):
    return time.monotonic() + seconds


def test_an_answer_that_is_there_is_given():
    pending = new_pending()
    pending.future.set_result(7)
    assert asyncio.run(answered(pending, deadline=later(-1.0))) == 7


def test_an_answer_from_another_thread_is_given():
    pending = new_pending()
    threading.Timer(0.01, pending.future.set_result, (7,)).start()
    assert asyncio.run(answered(pending, deadline=later(60.0))) == 7


def test_what_the_engine_raises_is_raised():
    pending = new_pending()
    pending.future.set_exception(EngineError("no memory"))
    with pytest.raises(EngineError, match="no memory"):
        asyncio.run(answered(pending, deadline=later(60.0)))


def test_after_the_deadline_nobody_waits_any_more_from_that_moment_on():
    async def scenario():
        pending = new_pending()
        with pytest.raises(DeadlineError):
            await answered(pending, deadline=later())
        return pending.future.cancelled()

    assert asyncio.run(scenario())


def test_when_the_client_goes_nobody_waits_any_more():
    pending = new_pending()
    with pytest.raises(ClientGoneError):
        asyncio.run(answered(pending, deadline=later(60.0), gone=asyncio.sleep(0.01)))
    assert pending.future.cancelled()


def test_an_answer_wins_over_a_client_that_goes_at_the_same_time():
    async def scenario():
        gone = asyncio.get_running_loop().create_future()
        gone.set_result(None)
        pending = new_pending()
        pending.future.set_result(7)
        return await answered(pending, deadline=later(60.0), gone=gone)

    assert asyncio.run(scenario()) == 7


def test_a_task_that_is_cancelled_cancels_what_it_waits_for():
    async def scenario():
        pending = new_pending()
        task = asyncio.create_task(answered(pending, deadline=later(60.0)))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        return pending

    assert asyncio.run(scenario()).future.cancelled()


def test_an_ask_that_somebody_else_cancelled_is_not_taken_for_a_cancelled_task():
    pending = new_pending()
    pending.cancel()
    with pytest.raises(ClientGoneError):
        asyncio.run(answered(pending, deadline=later(60.0)))


def test_waiting_for_the_client_is_given_up_with_the_answer_unless_it_is_the_callers():
    async def scenario():
        own = asyncio.get_running_loop().create_future()
        waits = []

        async def wait():
            try:
                await asyncio.sleep(60)
            except asyncio.CancelledError:
                waits.append("given up")
                raise

        for gone in (own, wait()):
            pending = new_pending()
            threading.Timer(0.01, pending.future.set_result, (7,)).start()
            assert await answered(pending, deadline=later(60.0), gone=gone) == 7
        await asyncio.sleep(0)
        return own.done(), waits

    assert asyncio.run(scenario()) == (False, ["given up"])


def test_a_client_whose_connection_breaks_has_gone():
    async def broken():
        raise ConnectionResetError

    with pytest.raises(ClientGoneError):
        asyncio.run(answered(new_pending(), deadline=later(60.0), gone=broken()))


def test_nothing_is_reported_that_nobody_looked_at():
    reported = []

    async def scenario():
        asyncio.get_running_loop().set_exception_handler(lambda _, context: reported.append(context))
        begun, over = threading.Event(), threading.Event()

        def fail():
            begun.set()
            assert over.wait(60)
            return 1 / 0

        with concurrent.futures.ThreadPoolExecutor(1) as pool:
            running = new_pending()
            running.future = pool.submit(fail)
            # What has not begun would be cancelled, and raise nothing.
            assert begun.wait(60)
            with pytest.raises(DeadlineError):
                await answered(running, deadline=later(0.01))
            over.set()
        assert isinstance(running.future.exception(), ZeroDivisionError)
        await asyncio.sleep(0.01)

    asyncio.run(scenario())
    gc.collect()
    assert reported == []


def test_answers_that_come_together_go_on_one_a_turn_of_the_loop():
    async def turns_of(n):
        turn, turns = 0, []

        async def one(pending):
            await answered(pending, deadline=later(60.0))
            turns.append(turn)

        pendings = [new_pending() for _ in range(n)]
        tasks = [asyncio.create_task(one(pending)) for pending in pendings]
        await asyncio.sleep(0)
        for pending in pendings:
            pending.future.set_result(0)
        while len(turns) < n:
            turn += 1
            await asyncio.sleep(0)
        await asyncio.gather(*tasks)
        return turns

    turns = asyncio.run(turns_of(5))
    assert len(set(turns)) == 5
