"""A load generator that costs little itself: requests are bytes made beforehand, answers are read to their length.

Open loop: requests are sent when their time has come, whether or not earlier ones were answered, as strangers do. A
closed loop would slow down with the server and hide what it suffers (coordinated omission).
"""

import asyncio
import dataclasses
import itertools
import time
from collections.abc import Sequence

NOBODY, BROKEN = -1, 0


@dataclasses.dataclass(frozen=True, kw_only=True)
class Reply:
    """One answer.

    Attributes:
        status: `NOBODY` where no connection was to be had, `BROKEN` where it broke before the answer.
        seconds: from when the request was due until the answer was there.
    """

    status: int
    seconds: float


@dataclasses.dataclass(frozen=True, kw_only=True)
class Target:
    """Where the server listens."""

    host: str
    port: int


def request_bytes(method: str, path: str, body: bytes = b"", content_type: str = "application/octet-stream") -> bytes:
    """A whole request as it goes over the wire."""
    head = f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n"
    return f"{head}Content-Type: {content_type}\r\n\r\n".encode() + body


class Connection:
    """One kept-alive connection, one request at a time."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def ask(self, request: bytes) -> int:
        """Send, and read the answer's status."""
        try:
            if self._streams is None:
                self._streams = await asyncio.open_connection(self._target.host, self._target.port)
        except OSError:
            return NOBODY
        try:
            reader, writer = self._streams
            writer.write(request)
            status, keeps = await _read(reader)
        except (OSError, EOFError, ValueError):
            await self.close()
            return BROKEN
        if not keeps:
            await self.close()
        return status

    async def close(self) -> None:
        """Close it; the next request opens another."""
        if self._streams is None:
            return
        writer, self._streams = self._streams[1], None
        writer.close()
        try:
            await writer.wait_closed()
        except OSError:
            return


async def _read(reader: asyncio.StreamReader) -> tuple[int, bool]:
    head = (await reader.readuntil(b"\r\n\r\n")).lower()
    status = int(head[9:12])
    length = next(
        (int(line.split(b":", 1)[1]) for line in head.split(b"\r\n") if line.startswith(b"content-length:")), 0
    )
    await reader.readexactly(length)
    return status, b"connection: close" not in head


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
        await connection.close()

    await asyncio.gather(*(client() for _ in range(n_clients)))
    return replies


async def open_loop(target: Target, requests: Sequence[bytes], *, per_second: float, seconds: float) -> list[Reply]:
    """Requests at equal distances, each on a connection that is free, or else on a new one."""
    free: list[Connection] = []
    replies: list[Reply] = []
    tasks = []
    source = itertools.cycle(requests)
    begun = time.perf_counter()

    async def one(request: bytes, due: float) -> None:
        connection = free.pop() if free else Connection(target)
        status = await connection.ask(request)
        replies.append(Reply(status=status, seconds=time.perf_counter() - due))
        free.append(connection)

    for index in range(int(per_second * seconds)):
        due = begun + index / per_second
        await asyncio.sleep(max(0.0, due - time.perf_counter()))
        tasks.append(asyncio.create_task(one(next(source), due)))
    await asyncio.gather(*tasks)
    for connection in free:
        await connection.close()
    return replies


def quantile(values: Sequence[float], share: float) -> float:
    """The value below which so large a share lies; NaN of nothing."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else float("nan")
