"""Whose a request is: whose share it counts against, and whose audits and feedback it may see."""

from fastapi import Request

from service.runtime import Runtime
from service.settings import ANONYMOUS


def key_id_of(request: Request) -> str:
    """The key that a request came with."""
    return str(request.scope.get("state", {}).get("key_id", ANONYMOUS))


def owner_of_request(request: Request) -> str | None:
    """The key that owns what the request makes and sees; None, which is everybody, where the server has no keys."""
    runtime: Runtime = request.app.state.runtime
    return key_id_of(request) if runtime.settings.needs_keys else None
