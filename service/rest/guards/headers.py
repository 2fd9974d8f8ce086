"""Headers as they came: bytes, and as often as they were sent."""

from starlette.types import Scope


def values_of(scope: Scope, name: bytes) -> list[bytes]:
    """Every value of a header, in order.

    Args:
        name: in lower case.
    """
    return [value for key, value in scope["headers"] if key == name]


def single(scope: Scope, name: bytes) -> bytes | None:
    """The value of a header that was sent exactly once; None where it was not sent, or more than once."""
    values = values_of(scope, name)
    return values[0] if len(values) == 1 else None
