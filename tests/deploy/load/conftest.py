"""A server whose answers and delays are known, in the event loop of the test or in a thread of its own."""

import asyncio
import contextlib
import dataclasses
import ssl
import sys
import threading
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parents[3] / "deploy" / "load"))

from isthmus_load.wire import Target

Answers = Callable[[int], tuple[int, float]]


@dataclasses.dataclass
class FakeServer:
    """Answers the n-th request for verdicts with the status and after the seconds of `plan(n)`.

    Attributes:
        verdicts: requests for verdicts that came, heads and bodies.
        keeps: whether connections are kept after a verdict.
        most_at_once: how many requests for verdicts were under way together, at most.
    """

    plan: Answers
    ready: int = 200
    live_seconds: float = 0.0
    keeps: bool = True
    chunked: bool = False
    tls: ssl.SSLContext | None = None
    verdicts: list[tuple[str, bytes]] = dataclasses.field(default_factory=list)
    most_at_once: int = 0
    port: int = 0
    _now: int = 0

    @contextlib.asynccontextmanager
    async def serve(self) -> AsyncIterator["FakeServer"]:
        server = await asyncio.start_server(self._talk, "127.0.0.1", 0, ssl=self.tls)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            server.close()
            talks = asyncio.all_tasks() - {asyncio.current_task()}
            for task in talks:
                task.cancel()
            await asyncio.gather(*talks, return_exceptions=True)
            # Transports that are closing say so in the next turn.
            await asyncio.sleep(0.01)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while await self._exchange(reader, writer):
                pass
        except (asyncio.IncompleteReadError, ConnectionError):
            return
        finally:
            writer.close()

    async def _exchange(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        length = next(int(line[15:]) for line in head.split("\r\n") if line.startswith("Content-Length:"))
        body = await reader.readexactly(length)
        status, keeps = await self._status(head, body), self.keeps or "/v2/" in head
        writer.write(self._answer(status, keeps))
        return keeps

    async def _status(self, head: str, body: bytes) -> int:
        if "/v2/health/ready" in head:
            return self.ready
        if "/v2/health/live" in head:
            await asyncio.sleep(self.live_seconds)
            return 200
        self.verdicts.append((head, body))
        status, seconds = self.plan(len(self.verdicts) - 1)
        self._now += 1
        self.most_at_once = max(self.most_at_once, self._now)
        try:
            await asyncio.sleep(seconds)
        finally:
            self._now -= 1
        return status

    def _answer(self, status: int, keeps: bool) -> bytes:
        body = b'{"error": "as planned"}'
        first = f"HTTP/1.1 {status} Reason\r\n" + ("" if keeps else "Connection: close\r\n")
        if self.chunked:
            return f"{first}Transfer-Encoding: chunked\r\n\r\n{len(body):x}\r\n".encode() + body + b"\r\n0\r\n\r\n"
        return f"{first}Content-Length: {len(body)}\r\n\r\n".encode() + body


@pytest.fixture
def fake_server() -> Iterator[Callable[..., FakeServer]]:
    """Starts fake servers in threads of their own."""
    stops: list[Callable[[], None]] = []

    def start(plan: Answers, **settings: object) -> FakeServer:
        server = FakeServer(plan=plan, **settings)  # type: ignore[arg-type]
        begun, loop, over = threading.Event(), asyncio.new_event_loop(), asyncio.Event()

        async def run() -> None:
            async with server.serve():
                begun.set()
                await over.wait()

        thread = threading.Thread(target=lambda: (loop.run_until_complete(run()), loop.close()))
        thread.start()
        assert begun.wait(60)

        def stop() -> None:
            loop.call_soon_threadsafe(over.set)
            thread.join()

        stops.append(stop)
        return server

    yield start
    for stop in stops:
        stop()


@pytest.fixture
def asked() -> Callable[..., Any]:
    """Serves in the test's own event loop, and says what some work on that server's target gives."""

    def ask(server: FakeServer, work: Callable[[Target], Coroutine[Any, Any, Any]]) -> Any:
        async def run() -> Any:
            async with server.serve():
                return await work(Target(host="127.0.0.1", port=server.port))

        return asyncio.run(run())

    return ask


@pytest.fixture
def fake() -> type[FakeServer]:
    return FakeServer


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """A folder with two files that are called images; a fake server does not look at them."""
    folder = tmp_path / "images"
    folder.mkdir()
    (folder / "a.png").write_bytes(b"first")
    (folder / "b.jpg").write_bytes(b"second")
    (folder / "notes.txt").write_bytes(b"no image")
    return folder
