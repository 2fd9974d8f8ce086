"""Pages of sorted rows, each found from the last row of the one before: as fast in the middle as at the beginning."""

import base64
import dataclasses
import json

from service.errors import InputError
from service.viewing.selection import Condition, Order

COLUMNS: dict[Order, tuple[str, ...]] = {
    Order.SUSPICION: ("p_value", "-score", "path"),
    Order.SOURCE: (),
    Order.PATH: ("path",),
    Order.KIND: ("kind", "p_value"),
    Order.LABEL: ("label_name", "p_value"),
    Order.GIVEN_LABEL: ("given_label", "p_value"),
    Order.SUSPECTED_LABEL: ("suspected_label_name", "p_value"),
    Order.SCORE: ("score",),
    Order.BARRIER: ("barrier",),
}

NUMBERS = frozenset({"p_value", "score", "-score", "barrier"})


@dataclasses.dataclass(frozen=True)
class Key:
    """One of the values by which rows are sorted; it is never null."""

    sql: str
    kind: type
    descends: bool = False


def keys_of(order: Order, *, descends: bool) -> tuple[Key, ...]:
    """By what rows are sorted: rows without the value come last either way, and the last two make each row its own."""
    keys: list[Key] = []
    for place, column in enumerate(COLUMNS[order]):
        # What is equal in the first stays in the same order, however that is turned.
        turned = descends and place == 0
        if column == "path":
            keys.append(Key("path", str, turned))
            continue
        empty, kind = ("0.0", float) if column in NUMBERS else ("''", str)
        keys += [Key(f"({column} IS NULL)", bool), Key(f"coalesce({column}, {empty})", kind, turned)]
    turned = descends and order is Order.SOURCE
    return (*keys, Key("shard", int, turned), Key("row", int, turned))


def sorting(keys: tuple[Key, ...]) -> str:
    """The keys as SQL sorts by them."""
    return ", ".join(f"{key.sql} {'DESC' if key.descends else 'ASC'}" for key in keys)


def after(keys: tuple[Key, ...], values: tuple[object, ...]) -> Condition:
    """The condition of all rows behind one."""
    parts = []
    bound: list[object] = []
    for place, key in enumerate(keys):
        equal = [f"{other.sql} = ?" for other in keys[:place]]
        parts.append(" AND ".join([*equal, f"{key.sql} {'<' if key.descends else '>'} ?"]))
        bound += values[: place + 1]
    return Condition(" OR ".join(f"({part})" for part in parts), tuple(bound))


def written(values: tuple[object, ...]) -> str:
    """The place of a row as text that an address can hold."""
    text = json.dumps(values, allow_nan=False)
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def read(text: str, keys: tuple[Key, ...]) -> tuple[object, ...]:
    """The place that `written` wrote.

    Raises:
        InputError: it was written for another order, or by nobody.
    """
    try:
        values = json.loads(base64.b64decode(text + "=" * (-len(text) % 4), altchars="-_", validate=True))
        fits = [type(value) is key.kind for value, key in zip(values, keys, strict=True)]
    except (ValueError, TypeError, RecursionError):
        fits = [False]
    if not all(fits):
        raise InputError("that is no place in these rows; begin with the first page again")
    return tuple(values)
