"""How a record of the log is written.

Texts in a record may come from a stranger. No line can be forged with one: control characters are escaped, and in JSON
everything that is not ASCII. What follows `Bearer` or `Basic`, and fields named like a secret, are never written.
"""

import json
import logging
import math
import re
from datetime import UTC, datetime
from typing import Any

LONGEST = 16_384
"""Characters of one text."""

_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "color_message", "taskName"}
_SECRET_FIELDS = frozenset({"authorization", "cookie", "key", "keys", "password", "secret", "token"})
# White space may have been escaped.
_CREDENTIALS = re.compile(r"(?i)(bearer|basic)((?:\s|\\[tnr])+)[A-Za-z0-9._~+/=:-]{6,}")
_HIDDEN = "[hidden]"


class JsonFormatter(logging.Formatter):
    """One JSON object: `time` (ISO 8601, UTC), `level`, `logger`, `event`, `request_id`, own fields, `exception`."""

    def format(self, record: logging.LogRecord) -> str:
        document = {
            "time": _time(record),
            "level": record.levelname.lower(),
            "logger": record.name,
            "event": cut(record.getMessage()),
            **fields(record),
        }
        if record.exc_text:
            document["exception"] = cut(record.exc_text)
        # The one control character that JSON leaves as it is.
        return without_credentials(json.dumps(document).replace("\x7f", "\\u007f"))


class TextFormatter(logging.Formatter):
    """Time, level, event and `name=value` for each field; a traceback follows, indented."""

    def format(self, record: logging.LogRecord) -> str:
        named = [f"{name}={_worded(value)}" for name, value in fields(record).items() if value is not None]
        line = " ".join([_time(record), f"{record.levelname:<7}", cut(record.getMessage()), *named])
        traceback = cut(record.exc_text).splitlines() if record.exc_text else []
        return "\n    ".join(_printable(without_credentials(part)) for part in (line, *traceback))


def fields(record: logging.LogRecord) -> dict[str, Any]:
    """What was given as `extra`, in plain types; `request_id` first, where there is one."""
    extra = {name: value for name, value in vars(record).items() if name not in _STANDARD}
    request_id = extra.pop("request_id", None)
    named = {} if request_id is None else {"request_id": cut(str(request_id))}
    return named | {name: _HIDDEN if name in _SECRET_FIELDS else plain(value) for name, value in extra.items()}


def cut(text: str) -> str:
    """The text, or as much of it as is written."""
    return text[:LONGEST]


def without_credentials(line: str) -> str:
    """The line with what follows `Bearer` or `Basic` hidden."""
    lower = line.lower()
    # Hardly any line names one, and looking for both words is much quicker than the pattern.
    return _CREDENTIALS.sub(rf"\1\2{_HIDDEN}", line) if "bearer" in lower or "basic" in lower else line


def plain(value: Any) -> Any:
    """The value as JSON can say it: numbers that are not finite are null, what is unknown is its text."""
    if isinstance(value, str):
        return cut(value)
    if value is None or isinstance(value, int):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {str(name): plain(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [plain(inner) for inner in value]
    return cut(str(value))


def _worded(value: Any) -> str:
    is_word = isinstance(value, str) and not re.search(r"[\s=\"]", value)
    return str(value) if is_word else json.dumps(value, ensure_ascii=False)


def _time(record: logging.LogRecord) -> str:
    return datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _printable(text: str) -> str:
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode() for character in text
    )
