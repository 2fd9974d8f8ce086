"""Tables of a page: how numbers are written, and by what a column is sorted."""

import dataclasses
import math
import re
from collections.abc import Callable, Iterable, Sequence

Value = str | float | int | None


@dataclasses.dataclass(frozen=True, kw_only=True)
class Table:
    """A table of a page.

    Attributes:
        title: its caption.
        columns: heading of each column.
        rows: as many cells each as there are columns; None stands for a figure that does not exist.
        note: what the figures mean; may be empty.
        bold: (row, column) of the cells that are set off from the others.
    """

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Value, ...], ...]
    note: str
    bold: frozenset[tuple[int, int]] = frozenset()

    def __post_init__(self) -> None:
        for row in self.rows:
            if len(row) != len(self.columns):
                raise ValueError(
                    f"table {self.title!r} has {len(self.columns)} columns, but a row of {len(row)}: {row}"
                )


@dataclasses.dataclass(frozen=True)
class Cell:
    """A cell as it is shown, the number it is sorted by, if it has one, and whether it is set off."""

    text: str
    sort_key: float | None
    is_bold: bool = False


_LEADING_NUMBER = re.compile(r"[+−-]?\d+(\.\d+)?")


def numeric_columns(table: Table) -> tuple[bool, ...]:
    """For each column, whether every cell that exists is a number or text that starts with one."""
    return tuple(
        any(values) and all(values)
        for values in (
            [_number(row[i]) is not None for row in table.rows if not _is_missing(row[i])] for i in _span(table)
        )
    )


def body_rows(table: Table) -> list[list[Cell]]:
    """The cells of each row; the floats of one column share their decimals, so that they align."""
    decimals = [decimals_for([row[i] for row in table.rows]) for i in _span(table)]
    return [
        [
            Cell(cell_text(value, places), _number(value), (number, column) in table.bold)
            for column, (value, places) in enumerate(zip(row, decimals, strict=True))
        ]
        for number, row in enumerate(table.rows)
    ]


def table_context(table: Table) -> dict[str, object]:
    """A table as the templates of pages take it: columns and cells, each with whether its column holds numbers."""
    is_numeric = numeric_columns(table)
    rows: list[list[tuple[Cell, bool]]] = [list(zip(row, is_numeric, strict=True)) for row in body_rows(table)]
    return {"table": table, "columns": list(zip(table.columns, is_numeric, strict=True)), "rows": rows}


def decimals_for(values: list[Value]) -> int:
    """Decimals that show the largest float with three digits; 1 itself counts as 1.000, as shares do."""
    largest = max((abs(value) for value in values if isinstance(value, float) and math.isfinite(value)), default=0.0)
    return min(6, max(0, 3 - math.ceil(math.log10(largest)))) if largest > 0 else 3


def cell_text(value: Value, decimals: int) -> str:
    """One cell as it is read."""
    match value:
        case None:
            return "–"
        case str():
            return value
        case float() if math.isnan(value):
            return "–"
        case float() if math.isinf(value):
            return "∞" if value > 0 else "−∞"
        case float():
            return f"{value:.{decimals}f}".replace("-", "−")
        case _:
            # A narrow no-break space keeps the thousands together.
            return f"{value:,}".replace(",", "\u202f").replace("-", "−")


def highest(values: Sequence[Value]) -> set[int]:
    """Positions of the largest number; none where all numbers are equal."""
    return _extremes(values, max)


def lowest(values: Sequence[Value]) -> set[int]:
    """Positions of the smallest number; none where all numbers are equal."""
    return _extremes(values, min)


def _extremes(values: Sequence[Value], choose: Callable[[Iterable[float]], float]) -> set[int]:
    numbers = {position: found for position, value in enumerate(values) if (found := _number(value)) is not None}
    if len(set(numbers.values())) < 2:
        return set()
    best = choose(numbers.values())
    return {position for position, number in numbers.items() if number == best}


def _span(table: Table) -> range:
    return range(len(table.columns))


def _is_missing(value: Value) -> bool:
    return value is None or (isinstance(value, float) and math.isnan(value))


def _number(value: Value) -> float | None:
    if not isinstance(value, str):
        return None if value is None or math.isnan(value) else float(value)
    found = _LEADING_NUMBER.match(value)
    return float(found[0].replace("−", "-")) if found else None
