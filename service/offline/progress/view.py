"""How whoever waits for an audit is kept informed."""

import contextlib
import threading
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Protocol

from service.offline.progress.meter import Reading
from service.offline.work import JudgedShard


class AuditView(Protocol):
    """Shows an audit while it runs; called from several threads."""

    @property
    def seconds_between(self) -> float:
        """How often it wants to be told."""
        ...

    def show(self, reading: Reading) -> None:
        """Say how far it is."""
        ...

    def shard(self, shard: JudgedShard) -> None:
        """Say that a shard is written."""
        ...

    def stage(self, stage: str, done: int, total: int) -> None:
        """Say how far anything else is; a `detector.types.ProgressCallback`."""
        ...


@contextlib.contextmanager
def shown(view: AuditView, reading: Callable[[], Reading]) -> Iterator[None]:
    """Tell a view again and again how far an audit is, from a thread of its own, and once more at the end."""
    stopped = threading.Event()

    def keep_telling() -> None:
        # Where nobody reads any more, the main thread learns it when it writes next.
        with contextlib.suppress(OSError):
            while not stopped.wait(view.seconds_between):
                view.show(reading())

    thread = threading.Thread(target=keep_telling, name="progress", daemon=True)
    thread.start()
    try:
        yield
    finally:
        stopped.set()
        thread.join()
        view.show(reading())


def in_words(reading: Reading) -> str:
    """One short line: how far, how fast, what was found, how long it takes."""
    total = f"{reading.n_listed:,}" if reading.is_listed else f"at least {reading.n_listed:,}"
    parts = [f"{reading.n_done:,} of {total}"]
    if reading.images_per_second is not None:
        parts.append(f"{speed(reading.images_per_second)}/s")
    parts += [f"{reading.n_flagged:,} flagged", f"{reading.n_errors:,} unreadable"]
    if reading.seconds_left:
        parts.append(f"{timedelta(seconds=round(reading.seconds_left))} left")
    return "  ".join(parts)


def speed(images_per_second: float) -> str:
    """Images a second, as exactly as anybody needs them."""
    return f"{images_per_second:,.0f}" if images_per_second >= 10 else f"{images_per_second:.2g}"
