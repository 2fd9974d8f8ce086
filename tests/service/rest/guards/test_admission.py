import asyncio

import pytest

from service.errors import OverloadedError
from service.rest.guards.admission import RequestsAtOnce


def scope(path="/"):
    return {"type": "http", "path": path}


def test_one_request_too_many_is_refused_at_once_and_places_come_back():
    rejections, most = [], 3

    async def main():
        go_on, n_inside = asyncio.Event(), 0

        async def route(scope, receive, send):
            nonlocal n_inside
            n_inside += 1
            assert n_inside <= most
            await go_on.wait()
            n_inside -= 1

        door = RequestsAtOnce(route, most, rejections.append)
        inside = [asyncio.ensure_future(door(scope(), None, None)) for _ in range(most)]
        await asyncio.sleep(0)
        for _ in range(2):
            with pytest.raises(OverloadedError):
                await door(scope(), None, None)
        assert rejections == ["requests", "requests"]
        go_on.set()
        await asyncio.gather(*inside)
        await asyncio.gather(*(door(scope(), None, None) for _ in range(most)))

    asyncio.run(main())


@pytest.mark.parametrize("path", ["/v2/health/live", "/v2/health/ready", "/metrics"])
def test_what_says_how_loaded_the_server_is_is_let_in(path):
    asked = []

    async def route(scope, receive, send):
        asked.append(scope["path"])

    asyncio.run(RequestsAtOnce(route, 0, print)(scope(path), None, None))
    assert asked == [path]


def test_a_place_comes_back_from_a_request_that_failed_or_was_cancelled():
    async def main():
        async def fails(scope, receive, send):
            if scope["path"] == "/waits":
                await asyncio.Event().wait()
            raise RuntimeError

        door = RequestsAtOnce(fails, 1, print)
        for _ in range(3):
            with pytest.raises(RuntimeError):
                await door(scope(), None, None)
        waiting = asyncio.ensure_future(door(scope("/waits"), None, None))
        await asyncio.sleep(0)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        with pytest.raises(RuntimeError):
            await door(scope(), None, None)

    asyncio.run(main())
