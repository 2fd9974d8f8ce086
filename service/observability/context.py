"""What is known about the request that is being answered, for whoever writes a line or a span about it."""

from contextvars import ContextVar

request_id: ContextVar[str | None] = ContextVar("request_id", default=None)
"""Of the request that the running task answers; None outside of requests."""
