"""Workers in processes of their own, wherever those are, and what is heard of them."""

import dataclasses
from collections.abc import Sequence
from typing import Protocol

from service.offline.work import JudgedShard, Shard, Tick


@dataclasses.dataclass(frozen=True, kw_only=True)
class Joined:
    """A worker has opened its detector and is ready.

    Attributes:
        place: where it runs, for people.
    """

    worker: int
    place: str


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Judged:
    """A shard has come back.

    Attributes:
        total: what its images came to.
    """

    worker: int
    shard: JudgedShard
    total: Tick


@dataclasses.dataclass(frozen=True, kw_only=True)
class Counted:
    """How far a worker is.

    Attributes:
        so_far: of each shard that it is at, since it took that up.
    """

    worker: int
    so_far: Sequence[Tick]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Failed:
    """Something raised on a worker.

    Attributes:
        shard: the number of the shard that it was at; None where the worker could not be opened.
        cause: as it was raised there.
    """

    worker: int
    shard: int | None
    cause: Exception


@dataclasses.dataclass(frozen=True, kw_only=True)
class Lost:
    """The process of a worker has died, or cannot be reached."""

    worker: int
    cause: Exception


Event = Joined | Judged | Counted | Failed | Lost


class Crew(Protocol):
    """Starts workers, gives them shards and tells what becomes of both."""

    def start(self) -> int:
        """Get ready to hire.

        Returns:
            How many workers there should be.

        Raises:
            InputError: it is not possible here.
        """
        ...

    def hire(self, worker: int) -> None:
        """Start a worker under a number that none had before."""
        ...

    def submit(self, worker: int, shard: Shard) -> None:
        """Have a shard judged by a worker that has joined."""
        ...

    def events(self) -> list[Event]:
        """Wait a moment, and tell what has happened: first of all which shards came back."""
        ...

    def dismiss(self, worker: int) -> None:
        """End a worker, if it still runs; nothing is heard of it any more."""
        ...

    def close(self) -> None:
        """End all workers, and what was started for them."""
        ...
