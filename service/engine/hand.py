"""The images of one bundle that are being computed, and how many may be at once."""

from collections import deque
from collections.abc import Callable, Collection, Hashable, Iterable, Sequence
from typing import Any, Protocol

import torch
from torch import Tensor

from detector.detector import Detector
from detector.types import to_pixels
from detector.verdict import Verdict
from service.engine.jobs import Ticket
from service.engine.work import Lane

SUCCESSES_TO_GROW = 100
"""Steps that go well before steps are made larger again."""


class InspectionLike(Protocol):
    """What the engine needs of `detector.inspection.Inspection`."""

    @property
    def n_free(self) -> int: ...

    @property
    def n_in_hand(self) -> int: ...

    @property
    def is_idle(self) -> bool: ...

    def admit(self, tickets: Sequence[Hashable], images: Tensor, false_positive_rates: Sequence[float]) -> None: ...

    def drop(self, tickets: Collection[Hashable]) -> None: ...

    def step(self) -> Sequence[tuple[Any, Verdict]]: ...


InspectionMaker = Callable[[Detector, int | None], InspectionLike]


class Hand:
    """One bundle's. The device thread's alone.

    Attributes:
        limit: images of one step at present; never above `full`.
        tickets: what the inspection holds.
    """

    def __init__(self, detector: Detector, full: int, make: InspectionMaker) -> None:
        self.detector, self.full, self.limit, self._make = detector, full, full, make
        self.inspection = make(detector, full)
        self.tickets: dict[Ticket, None] = {}
        self._again: deque[Ticket] = deque()
        self._n_successes = 0

    @property
    def n_free(self) -> int:
        """Images that may be taken for the next step."""
        # An inspection keeps its size: a larger one comes once this one is empty.
        if self._is_due_to_grow and not self.is_idle:
            return 0
        return max(0, self.inspection.n_free - len(self._again))

    @property
    def is_idle(self) -> bool:
        return not self.tickets and not self._again

    def lanes(self) -> set[Lane]:
        """Of the images in hand."""
        return {ticket.job.lane for tickets in (self.tickets, self._again) for ticket in tickets}

    def grow_if_due(self) -> None:
        """Make steps twice as large again after enough went well, as soon as nothing is in hand."""
        if self.is_idle and self._is_due_to_grow:
            self._resize(min(self.full, 2 * self.limit))

    def admit(self, tickets: Iterable[Ticket]) -> None:
        """Hand over images, at most `n_free`; those that ran out of memory come first. What is over is left out."""
        n_again = min(len(self._again), self.inspection.n_free)
        stored: dict[Ticket, Tensor] = {}
        pixels: dict[Ticket, Tensor] = {}
        for ticket in [*(self._again.popleft() for _ in range(n_again)), *tickets]:
            # Read once: a client that goes takes them away at any time.
            images = ticket.job.images
            if images is not None:
                (stored if images.dtype == torch.uint8 else pixels)[ticket] = images[ticket.index]
        device = self.detector.classifier.device
        # In hand before anything is copied, so that a failure finds them.
        self.tickets |= dict.fromkeys([*stored, *pixels])
        if stored:
            self._hand_over(list(stored), to_pixels(torch.stack(list(stored.values())), device))
        if pixels:
            self._hand_over(list(pixels), torch.stack(list(pixels.values())).to(device))

    def drop(self, tickets: Collection[Ticket]) -> None:
        """Images that nobody waits for leave."""
        for ticket in tickets:
            del self.tickets[ticket]
        if tickets:
            self.inspection.drop(tickets)

    def step(self) -> list[tuple[Ticket, Verdict]]:
        """One step; what was decided is in hand no more.

        Raises:
            RuntimeError: the inspection has lost images, or made some up.
        """
        decided = list(self.inspection.step())
        named = {ticket for ticket, _ in decided}
        n_left = len(self.tickets) - len(named)
        # Before any of them leaves: those of a step that failed are answered, too.
        if self.inspection.n_in_hand != n_left or not named <= self.tickets.keys():
            raise RuntimeError(f"{self.inspection.n_in_hand} images are in hand, {n_left} were to be")
        for ticket in named:
            del self.tickets[ticket]
        self._n_successes += 1
        return decided

    def abandon(self) -> list[Ticket]:
        """Begin anew without the images in hand, which are returned; what waits to be tried again still does."""
        lost = list(self.tickets)
        self._resize(self.limit)
        return lost

    def shrink(self) -> list[Ticket]:
        """Begin anew with half as large steps; images for which that was done before are returned, the others kept."""
        lost = [ticket for ticket in self.tickets if ticket.has_failed]
        kept = [ticket for ticket in self.tickets if not ticket.has_failed]
        for ticket in kept:
            ticket.has_failed = True
        self._again.extend(kept)
        self._resize(max(1, min(self.limit, len(self.tickets)) // 2))
        return lost

    @property
    def _is_due_to_grow(self) -> bool:
        return self.limit < self.full and self._n_successes >= SUCCESSES_TO_GROW

    def _resize(self, limit: int) -> None:
        self.tickets = {}
        self.limit, self._n_successes = limit, 0
        self.inspection = self._make(self.detector, limit)

    def _hand_over(self, tickets: list[Ticket], pixels: Tensor) -> None:
        self.inspection.admit(tickets, pixels, [ticket.job.false_positive_rate for ticket in tickets])
