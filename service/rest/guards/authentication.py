"""Who asks: every path but the health of the server needs a key, where there are keys."""

import base64
import binascii
from collections.abc import Callable

from starlette.types import ASGIApp, Receive, Scope, Send

from service.rest.failures import RefusedError
from service.rest.guards.headers import single
from service.rest.guards.keys import KeyRing
from service.rest.guards.paths import HEALTH_PATHS
from service.settings import ANONYMOUS

# Two headers, and Basic first: browsers know no other, and some read a single line as one challenge.
CHALLENGES = (
    ("WWW-Authenticate", 'Basic realm="isthmus", charset="UTF-8"'),
    ("WWW-Authenticate", 'Bearer realm="isthmus"'),
)


class Authentication:
    """Puts the key's id into `scope["state"]["key_id"]`, or refuses.

    A key comes as `Authorization: Bearer KEY`, or as the password of Basic, any user's, so that a browser can open
    the page.
    """

    def __init__(self, app: ASGIApp, keys: KeyRing | None, rejected: Callable[[str], None]) -> None:
        self._app = app
        self._keys = keys
        self._rejected = rejected

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            scope.setdefault("state", {})["key_id"] = self._key_id(scope)
        await self._app(scope, receive, send)

    def _key_id(self, scope: Scope) -> str:
        if self._keys is None or scope["path"] in HEALTH_PATHS:
            return ANONYMOUS
        key = key_in(single(scope, b"authorization") or b"")
        owner = self._keys.owner_of(key)
        if owner is None:
            self._rejected("auth")
            came = "this key is unknown" if key else "there was none"
            raise RefusedError(401, f"a key is needed, and {came}; send Authorization: Bearer KEY", CHALLENGES)
        return owner


def key_in(header: bytes) -> bytes:
    """The key in an Authorization header; empty where there is none."""
    scheme, _, credentials = header.strip().partition(b" ")
    credentials = credentials.strip()
    if scheme.lower() == b"bearer":
        return credentials
    if scheme.lower() == b"basic":
        try:
            return base64.b64decode(credentials, validate=True).partition(b":")[2]
        except binascii.Error:
            return b""
    return b""
