"""HTTP/1.1 as cheaply as a load generator needs it: requests are bytes made beforehand."""

import asyncio
import dataclasses
import errno
import ssl
import urllib.parse
from collections.abc import Mapping

from isthmus_load.errors import UsageError

NOBODY, BROKEN = -1, 0
"""In the place of a status: no connection was to be had; it broke, or nothing came, before the answer."""

OURS = frozenset({errno.EMFILE, errno.ENFILE, errno.EADDRNOTAVAIL})
"""What the own machine refuses: open files, ports."""

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Target:
    """Where the server listens.

    Attributes:
        path: what comes before every path, behind a proxy; no slash at its end.
        tls: how certificates are checked; None for plain HTTP.
        patience: seconds after which an answer is given up.
    """

    host: str
    port: int
    path: str = ""
    tls: ssl.SSLContext | None = None
    patience: float = 120.0

    @classmethod
    def of(cls, url: str, certificates: str | None = None) -> "Target":
        """What a URL names.

        Args:
            certificates: a PEM file of authorities to believe besides the system's.

        Raises:
            UsageError: it is no HTTP address, or the file holds no certificates.
        """
        parts = urllib.parse.urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise UsageError(f"--url must be an address such as https://isthmus.example.org, not {url!r}")
        tls = None
        if parts.scheme == "https":
            tls = ssl.create_default_context()
            if certificates:
                _believe(tls, certificates)
        port = parts.port or (443 if tls else 80)
        return cls(host=parts.hostname, port=port, path=parts.path.rstrip("/"), tls=tls)

    @property
    def authority(self) -> str:
        """Host and port as the header Host has them."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == (443 if self.tls else 80) else f"{host}:{self.port}"


def _believe(tls: ssl.SSLContext, certificates: str) -> None:
    try:
        tls.load_verify_locations(cafile=certificates)
    except (OSError, ssl.SSLError) as error:
        raise UsageError(f"--certificates {certificates} cannot be read: {error}") from error


@dataclasses.dataclass(frozen=True, kw_only=True)
class Answer:
    """What came back."""

    status: int
    headers: Mapping[str, str]
    body: bytes


def request_bytes(
    method: str,
    path: str,
    body: bytes = b"",
    content_type: str = "application/octet-stream",
    *,
    host: str = "localhost",
    key: str | None = None,
) -> bytes:
    """A whole request as it goes over the wire."""
    lines = [f"{method} {path} HTTP/1.1", f"Host: {host}", f"Content-Length: {len(body)}"]
    if body:
        lines.append(f"Content-Type: {content_type}")
    if key:
        lines.append(f"Authorization: Bearer {key}")
    return "\r\n".join([*lines, "", ""]).encode("ascii") + body


class Connection:
    """One kept-alive connection, one request at a time."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self._streams: Streams | None = None

    async def ask(self, request: bytes) -> int:
        """Send, and read the answer's status."""
        return (await self.answer(request)).status

    async def answer(self, request: bytes) -> Answer:
        """Send, and read the whole answer; its status is `NOBODY` or `BROKEN` where there is none.

        Raises:
            UsageError: this machine allows no more connections, which is no fault of the server.
        """
        try:
            async with asyncio.timeout(self._target.patience):
                reader, writer = self._streams = await self._open()
        except OSError as error:
            if error.errno in OURS:
                raise UsageError(f"this machine allows no more connections: {error}") from error
            return Answer(status=NOBODY, headers={}, body=str(error).encode())
        try:
            async with asyncio.timeout(self._target.patience):
                writer.write(request)
                answer = await _read(reader)
        except (OSError, EOFError, ValueError) as error:
            await self.close()
            return Answer(status=BROKEN, headers={}, body=str(error).encode())
        if answer.headers.get("connection", "").lower() == "close":
            await self.close()
        return answer

    async def _open(self) -> Streams:
        if self._streams is not None:
            reader, writer = self._streams
            # A server may close what was idle for long, and is not to be blamed for it.
            if not reader.at_eof() and not writer.is_closing():
                return self._streams
            await self.close()
        return await asyncio.open_connection(self._target.host, self._target.port, ssl=self._target.tls)

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


async def _read(reader: asyncio.StreamReader) -> Answer:
    first, *rest = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    pairs = (line.split(":", 1) for line in rest if ":" in line)
    headers = {name.strip().lower(): value.strip() for name, value in pairs}
    if headers.get("transfer-encoding", "").lower() == "chunked":
        body = await _chunks(reader)
    else:
        body = await reader.readexactly(int(headers.get("content-length", 0)))
    return Answer(status=int(first[9:12]), headers=headers, body=body)


async def _chunks(reader: asyncio.StreamReader) -> bytes:
    parts = []
    while size := int((await reader.readuntil(b"\r\n")).split(b";")[0], 16):
        parts.append(await reader.readexactly(size))
        await reader.readexactly(2)
    while await reader.readuntil(b"\r\n") != b"\r\n":
        pass
    return b"".join(parts)
