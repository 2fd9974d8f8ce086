"""Progress bars behind the detector's and the models' progress callback."""

import contextlib
from collections.abc import Iterator

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.progress import TimeRemainingColumn as TimeLeftColumn

from detector.types import ProgressCallback, no_progress
from service.console import messages


@contextlib.contextmanager
def progress_bars() -> Iterator[ProgressCallback]:
    """Show one bar a stage on stderr, with the time elapsed and left; stay quiet where nobody watches."""
    if not messages.is_terminal:
        yield no_progress
        return
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeLeftColumn(),
    )
    with Progress(*columns, console=messages) as progress:
        yield StageBars(progress).update


class StageBars:
    """Turns calls of (stage, done, total) into bars.

    A stage whose text changes on the way ("epoch 3, loss 0.41") keeps its bar as long as it goes on counting towards
    the same total.
    """

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._bars: dict[str, TaskID] = {}
        self._latest: tuple[TaskID, int, int] | None = None

    def update(self, stage: str, done: int, total: int) -> None:
        """Move the bar of a stage, adding it where there is none."""
        bar = self._bars.get(stage)
        if bar is None and self._latest is not None:
            latest, latest_done, latest_total = self._latest
            if total == latest_total and latest_done < latest_total and done >= latest_done:
                bar = latest
        if bar is None:
            bar = self._progress.add_task(stage, total=total)
        self._bars = {name: known for name, known in self._bars.items() if known != bar} | {stage: bar}
        self._latest = (bar, done, total)
        self._progress.update(bar, description=stage, completed=done, total=total)
