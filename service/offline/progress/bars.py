"""An audit on a terminal: one bar that says how far, how fast and what was found, and bars of what comes after."""

import contextlib
from collections.abc import Iterator
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn
from rich.table import Column

from service.offline.progress.meter import Reading
from service.offline.progress.view import in_words
from service.offline.work import JudgedShard
from service.progress import StageBars


class AuditBars:
    """Bars; see `service.offline.progress.view.AuditView`."""

    seconds_between = 0.5

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._stages = StageBars(progress)
        self._images = progress.add_task("judging images", total=None, words="", visible=False)

    def show(self, reading: Reading) -> None:
        """Move the bar; without a total until everything is listed."""
        self._progress.update(
            self._images,
            completed=reading.n_done,
            total=reading.n_listed if reading.is_listed else None,
            words=in_words(reading),
            visible=reading.n_listed > 0,
        )

    def shard(self, shard: JudgedShard) -> None:
        """Nothing that a person waits for."""

    def stage(self, stage: str, done: int, total: int) -> None:
        """Move the bar of a stage."""
        self._stages.update(stage, done, total)


@contextlib.contextmanager
def audit_bars(console: Console) -> Iterator[AuditBars]:
    """Bars as long as the block runs."""
    columns = (
        TextColumn("{task.description}", markup=False),
        # Takes what is left of the line, so that the words are not cut off.
        BarColumn(bar_width=None, table_column=Column(ratio=1, min_width=4)),
        _WordsColumn("", markup=False),
    )
    with Progress(*columns, console=console, expand=True) as progress:
        yield AuditBars(progress)


class _WordsColumn(TextColumn):
    """The words of a task; of one that has none, how many of how many."""

    def render(self, task: Any) -> Any:
        """What stands behind the bar."""
        text = task.fields.get("words")
        self.text_format = f"{task.completed:,.0f} of {task.total or 0:,.0f}" if text is None else text
        return super().render(task)
