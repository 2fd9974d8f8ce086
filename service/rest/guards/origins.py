"""Origins whose pages may call."""

import re
from collections.abc import Iterable

from service.errors import InputError

ORIGIN = re.compile(r"https?://([a-z0-9._-]+|\[[0-9a-f:.]+\])(:[0-9]{1,5})?")


def checked_origins(origins: Iterable[str]) -> frozenset[str]:
    """Origins as browsers write them.

    Raises:
        InputError: one is not the origin of a page; there is no wildcard.
    """
    written = [origin.lower().rstrip("/") for origin in origins]
    wrong = [origin for origin in written if not ORIGIN.fullmatch(origin)]
    if wrong:
        raise InputError(f"{wrong[0]!r} is not an origin; write scheme and host, as in https://example.org:8443")
    return frozenset(written)
