"""One detector's work in hand: images come and go between steps."""

import dataclasses
from collections.abc import Collection, Sequence
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from detector.evidence import Evidence
from detector.search.method import joined, rows_of
from detector.second_looks import SecondLooks, Ticket
from detector.types import Classifier, Images
from detector.verdict import Verdict

Decided = list[tuple[Ticket, Verdict]]


@runtime_checkable
class Inspector(Protocol):
    """What an inspection asks of a detector."""

    @property
    def classifier(self) -> Classifier: ...

    @property
    def images_per_step(self) -> int:
        """Images whose straight paths make up one forward pass."""
        ...

    def check_shape(self, images: Images) -> None:
        """Refuse images of another shape than the classifier takes."""
        ...

    def straight(self, images: Images) -> Evidence:
        """What the straight paths of one chunk of images show."""
        ...

    def in_doubt(self, evidence: Evidence) -> Bool[Tensor, " image"]:
        """Which images are decided by a second opinion."""
        ...

    def second_looks(self, images_per_step: int) -> SecondLooks | None:
        """Where images in doubt are searched; nothing for a bundle that asks no second opinion."""
        ...

    def revised(self, evidence: Evidence, found: Float[Tensor, "image feature"]) -> Evidence:
        """The evidence of images in doubt, their scores being those of the second opinion."""
        ...

    def verdicts(self, evidence: Evidence, false_positive_rates: Sequence[float]) -> list[Verdict]:
        """One verdict an image."""
        ...


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Doubt:
    """One image in doubt, and the rate that it is to be judged at."""

    evidence: Evidence
    false_positive_rate: float


class Inspection:
    """Judges images that are admitted, and may be dropped, between two steps; no verdict depends on another image.

    A step is short: either one forward pass of straight paths, or one step of all the searches under way. Where both
    wait they take turns, so that neither new images nor those in doubt starve. A step that raises leaves everything
    in hand, and may be tried again. Not thread-safe.

    Args:
        images_per_step: images whose straight paths are measured together, and whose paths are searched together;
            memory follows it. What the detector calls a chunk if not given.
    """

    def __init__(self, detector: Inspector, images_per_step: int | None = None) -> None:
        self._detector = detector
        self._images_per_step = detector.images_per_step if images_per_step is None else images_per_step
        if self._images_per_step < 1:
            raise ValueError(f"a step of {images_per_step} images judges nothing; give at least 1")
        self._waiting: dict[Ticket, tuple[Tensor, float]] = {}
        self._doubts: dict[Ticket, _Doubt] = {}
        self._second_looks = detector.second_looks(self._images_per_step)
        self._has_just_measured = False

    @property
    def n_free(self) -> int:
        """Images that may be admitted before the next step."""
        return self._images_per_step - len(self._waiting)

    @property
    def n_in_hand(self) -> int:
        """Images that were admitted and are neither decided nor dropped."""
        return len(self._waiting) + len(self._doubts)

    @property
    def is_idle(self) -> bool:
        """Whether a step would do nothing."""
        return self.n_in_hand == 0

    @property
    def tickets(self) -> tuple[Ticket, ...]:
        """Those of the images in hand."""
        return (*self._waiting, *self._doubts)

    def admit(self, tickets: Sequence[Ticket], images: Images, false_positive_rates: Sequence[float]) -> None:
        """Take images in hand; nothing is computed yet.

        Args:
            tickets: name the images; none may be in hand already.
            images: pixels in [0, 1], which `Detector.check` has seen to.
            false_positive_rates: one for each image, which the bundle supports.

        Raises:
            ImageError: the images have another shape than the classifier takes.
            ValueError: there are more images than `n_free`, or a ticket is in hand already.
        """
        self._detector.check_shape(images)
        if len(tickets) > self.n_free:
            raise ValueError(f"{len(tickets)} images came where {self.n_free} may be admitted; take a step first")
        in_hand = self._waiting.keys() | self._doubts.keys()
        if len(in_hand.union(tickets)) < len(in_hand) + len(tickets):
            raise ValueError("two images in hand would have the same ticket; give each its own")
        pixels = images.to(device=self._detector.classifier.device, dtype=torch.float32)
        self._waiting |= dict(zip(tickets, zip(pixels, false_positive_rates, strict=True), strict=True))

    def drop(self, tickets: Collection[Ticket]) -> None:
        """Let go of images that nobody waits for; the next step does not compute them. Others are passed over."""
        for ticket in tickets:
            self._waiting.pop(ticket, None)
        in_doubt = [ticket for ticket in tickets if self._doubts.pop(ticket, None) is not None]
        if self._second_looks is not None and in_doubt:
            self._second_looks.drop(in_doubt)

    @torch.no_grad()
    def step(self) -> Decided:
        """One forward pass of straight paths, or one step of the searches; the images that are decided with it."""
        if self._may_measure and not (self._has_just_measured and self._doubts):
            decided = self._measure()
            self._has_just_measured = True
            return decided
        self._has_just_measured = False
        return self._search(self._second_looks) if self._second_looks is not None else []

    @property
    def _may_measure(self) -> bool:
        """Whether images wait, and each of them would find a place if it were in doubt."""
        n_places = self._images_per_step if self._second_looks is None else self._second_looks.n_free
        return 0 < len(self._waiting) <= n_places

    def _measure(self) -> Decided:
        tickets = list(self._waiting)
        images = torch.stack([image for image, _ in self._waiting.values()])
        rates = [rate for _, rate in self._waiting.values()]
        evidence = self._detector.straight(images)
        in_doubt = self._detector.in_doubt(evidence)
        decided = self._judged(tickets, evidence, rates, (~in_doubt).nonzero()[:, 0])
        if self._second_looks is not None:
            self._doubt(self._second_looks, tickets, images, evidence, in_doubt.nonzero()[:, 0])
        self._waiting.clear()
        return decided

    def _doubt(
        self, second_looks: SecondLooks, tickets: Sequence[Ticket], images: Images, evidence: Evidence, rows: Tensor
    ) -> None:
        named = [tickets[row] for row in rows.tolist()]
        doubts = {
            ticket: _Doubt(evidence=rows_of(evidence, row[None]), false_positive_rate=self._waiting[ticket][1])
            for ticket, row in zip(named, rows, strict=True)
        }
        second_looks.admit(named, images[rows], evidence.paths.labels[rows])
        self._doubts |= doubts

    def _judged(self, tickets: Sequence[Ticket], evidence: Evidence, rates: Sequence[float], rows: Tensor) -> Decided:
        chosen = rows.tolist()
        verdicts = self._detector.verdicts(rows_of(evidence, rows), [rates[row] for row in chosen])
        return list(zip([tickets[row] for row in chosen], verdicts, strict=True))

    def _search(self, second_looks: SecondLooks) -> Decided:
        tickets, found = second_looks.step()
        if not tickets:
            return []
        evidence = self._doubts[tickets[0]].evidence
        for ticket in tickets[1:]:
            evidence = joined(evidence, self._doubts[ticket].evidence)
        rates = [self._doubts[ticket].false_positive_rate for ticket in tickets]
        verdicts = self._detector.verdicts(self._detector.revised(evidence, found), rates)
        # Only now: had the second opinion raised, the next step would give it the same paths again.
        self.drop(tickets)
        return list(zip(tickets, verdicts, strict=True))
