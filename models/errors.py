"""What a user can get wrong about a classifier."""

from pydantic import ValidationError


class ModelError(ValueError):
    """A classifier could not be built, loaded or trained; the message says what to do about it."""


def one_line(error: Exception) -> str:
    """The first thing an exception says, without line breaks."""
    if isinstance(error, ValidationError):
        first = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        what = {"extra_forbidden": "unknown key", "missing": "missing"}.get(first["type"], first["msg"])
        what = what.removeprefix("Value error, ")
        return f"{where}: {what}" if where else what
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__
