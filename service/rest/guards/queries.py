"""Query parameters: each at most once."""

from collections import Counter

from fastapi import Request

from service.errors import InputError


def require_once(request: Request) -> None:
    """Refuse an address that says something twice: one would win, and nobody would know which.

    Raises:
        InputError: a query parameter comes twice.
    """
    for name, times in Counter(name for name, _ in request.query_params.multi_items()).items():
        if times > 1:
            raise InputError(f"{name[:100]!r} comes twice in the address; give it once")
