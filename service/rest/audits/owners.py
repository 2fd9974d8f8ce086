"""Whose audits and feedback a request may see."""

from fastapi import Request

from service.rest.guards.keys import ANONYMOUS
from service.runtime import Runtime


def key_id_of(request: Request) -> str:
    """The key that a request came with."""
    return str(request.scope.get("state", {}).get("key_id", ANONYMOUS))


def seen_by(request: Request) -> str | None:
    """The key whose things are shown; None, which is all of them, where the server has no keys."""
    runtime: Runtime = request.app.state.runtime
    settings = runtime.settings
    return None if settings.keys is None and settings.keys_file is None else key_id_of(request)
