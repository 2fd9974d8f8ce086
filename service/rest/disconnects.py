"""Noticing that a client has left while its request is answered: the framework cancels nothing by itself."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Generator
from contextlib import asynccontextmanager
from typing import Any

from starlette.requests import Request

from service.errors import ClientGoneError

Watch = asyncio.Future[None] | None
"""Done when the client has left; None where nobody can."""


class ClientGone:
    """Awaited, it completes when the client of a request disconnects."""

    def __init__(self, request: Request) -> None:
        self._request = request

    def __await__(self) -> Generator[Any, None, None]:
        return self._wait().__await__()

    async def _wait(self) -> None:
        while (await self._request.receive())["type"] != "http.disconnect":
            pass


def client_gone(request: Request) -> ClientGone:
    """What completes when the client disconnects; to be awaited once the body was read. Unused, it costs nothing."""
    return ClientGone(request)


@asynccontextmanager
async def watching(gone: Awaitable[None] | None) -> AsyncIterator[Watch]:
    """Watch for the client's leaving as long as the block lasts. A future stays the caller's.

    Raises:
        ClientGoneError: it has left already.
    """
    if gone is None:
        yield None
        return
    leaving = asyncio.ensure_future(gone)
    try:
        # One turn of the event loop shows whether the client has left while it was being read.
        await asyncio.sleep(0)
        if leaving.done():
            raise ClientGoneError("the client left before its images were looked at")
        yield leaving
    finally:
        if leaving is not gone:
            leaving.cancel()
