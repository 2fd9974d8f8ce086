"""Tables of pages, as a terminal shows them."""

import math
from collections.abc import Collection

from rich.box import SIMPLE_HEAD
from rich.markup import escape
from rich.table import Table as RichTable

from detector.evaluation.tables import Table, Value
from service.console import printable

LONGEST_WHOLE = 20
"""Characters of a cell that is never broken."""


def rendered(table: Table, leave_out: Collection[str] = ()) -> RichTable:
    """A table of a page, for a terminal, which has no room for all its columns."""
    shown = RichTable(title=escape(table.title), caption=escape(table.note) or None, box=SIMPLE_HEAD)
    kept = [index for index, column in enumerate(table.columns) if column not in leave_out]
    cells = [[printable(_text(row[index])) for index in kept] for row in table.rows]
    for position, index in enumerate(kept):
        longest = max((len(row[position]) for row in cells), default=0)
        shown.add_column(
            escape(printable(table.columns[index])),
            justify="right" if index else "left",
            overflow="fold",
            # A figure that is cut off or broken in two is worse than none; a long name can be broken.
            min_width=longest if longest <= LONGEST_WHOLE else None,
        )
    for number, row in enumerate(cells):
        shown.add_row(
            *(_styled(text, is_bold=(number, index) in table.bold) for text, index in zip(row, kept, strict=True))
        )
    return shown


def _styled(text: str, *, is_bold: bool) -> str:
    return f"[bold]{escape(text)}[/bold]" if is_bold else escape(text)


def _text(value: Value) -> str:
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return "–"
    return f"{value:.3f}" if isinstance(value, float) else str(value)
