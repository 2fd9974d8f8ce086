"""Which names the server answers to.

A page from elsewhere can make its own name point at this machine's loopback address (DNS rebinding) and would then
count as the same origin. Its name stands in the Host header all the same, which is why a server without keys answers to
loopback names alone.
"""

import ipaddress
import re
from collections.abc import Callable

from starlette.types import ASGIApp, Receive, Scope, Send

from service.rest.failures import RefusedError
from service.rest.guards.headers import values_of
from service.rest.guards.paths import HEALTH_PATHS
from service.settings import ServeSettings

LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "[::1]"})

HOST = re.compile(r"(?P<name>\[[0-9a-f:.]+\]|[a-z0-9_]([a-z0-9._-]*[a-z0-9_])?)(:[0-9]{1,5})?")


def allowed_hosts(settings: ServeSettings) -> frozenset[str] | None:
    """Names to answer to; None for any. Without keys loopback names are always among them, and are all by default."""
    named = frozenset(host.lower() for host in settings.allowed_hosts)
    if settings.needs_keys:
        return named or None
    return named | LOOPBACK_NAMES | {_as_in_a_header(settings.host)}


class Hosts:
    """Refuses requests that name another host. Probes of the server's health name it by whatever address it has."""

    def __init__(self, app: ASGIApp, allowed: frozenset[str] | None, rejected: Callable[[str], None]) -> None:
        self._app = app
        self._allowed = allowed
        self._rejected = rejected

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"] not in HEALTH_PATHS and not self._is_allowed(scope):
            self._rejected("host")
            raise RefusedError(
                421,
                "this server does not answer to that Host; isthmus serve is told which by --allowed-host",
            )
        await self._app(scope, receive, send)

    def _is_allowed(self, scope: Scope) -> bool:
        values = values_of(scope, b"host")
        if not values:
            return self._allowed is None
        match = HOST.fullmatch(values[0].decode("latin-1").lower())
        if len(values) > 1 or match is None:
            return False
        return self._allowed is None or bool({match["name"], match[0]} & self._allowed)


def _as_in_a_header(host: str) -> str:
    try:
        return f"[{host}]" if ipaddress.ip_address(host).version == 6 else host
    except ValueError:
        return host.lower()
