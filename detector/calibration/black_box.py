"""Proxies of a classifier that gives no gradient: made from its logits alone, query by query.

Divide and conquer over the signs of a perturbation that lies in a corner of the L∞ ball, as in SignHunter (Al-Dujaili &
O'Reilly 2020, arXiv 1902.06894): flip all signs, then those of each half, of each quarter and so on, and keep every
flip that brings the goal nearer. Parts are blocks of the picture rather than runs of its memory, since classifiers look
at neighbourhoods, and lie elsewhere in every batch. Then the perturbation shrinks until the classifier is as sure as it
is to be: goals are those of `proxies`. No attack of an evaluation works like this.
"""

import dataclasses
import itertools
from collections.abc import Iterator

import torch
from jaxtyping import Bool, Float, Int64
from torch import Generator, Tensor

from detector.calibration.goals import (
    Goals,
    GoalShares,
    all_labels,
    check_radii,
    check_shares,
    first_reached,
    per_image,
)
from detector.calibration.randomness import log_uniform
from detector.types import CalibrationError, Classifier, Images, Labels


@dataclasses.dataclass(frozen=True, kw_only=True)
class BlackBoxSettings:
    """The family that proxies without gradients are drawn from.

    Attributes:
        smallest_radius, largest_radius: L∞ radius in pixel units of [0, 1], drawn log-uniformly between them. In
            smaller balls hardly a search succeeds with so few queries; small proxies are what large ones shrink to.
        targeted_share, boundary_share, unstopped_share: as those of `ProxySettings`.
        queries: images that the classifier may be asked about at most to make one proxy.
        bisections: halvings of the way from the image to where the search ended, after which the wanted confidence is
            met closely; they and the last look are part of the queries.
    """

    smallest_radius: float = 4 / 255
    largest_radius: float = 16 / 255
    targeted_share: float = 0.5
    boundary_share: float = 0.2
    unstopped_share: float = 0.2
    queries: int = 200
    bisections: int = 6

    def __post_init__(self) -> None:
        check_radii(self.smallest_radius, self.largest_radius)
        shares = (self.targeted_share, self.boundary_share, self.unstopped_share)
        check_shares(shares, self.boundary_share, self.unstopped_share)
        if self.bisections < 0 or self.queries < self.bisections + 3:
            raise CalibrationError(
                f"a proxy was to be made with {self.queries} queries, {self.bisections} of them bisections; give at "
                f"least {max(0, self.bisections) + 3} queries"
            )


@dataclasses.dataclass(frozen=True, kw_only=True)
class Attacked:
    """What an attack on some images came to.

    Attributes:
        succeeded: whether the classifier takes each for another label than its own.
        queries: how often it was asked about each.
    """

    images: Images
    succeeded: Bool[Tensor, " image"]
    queries: Int64[Tensor, " image"]


@torch.no_grad()
def make_black_box_proxies(
    classifier: Classifier,
    images: Images,
    labels: Labels,
    clean_margins: Float[Tensor, " clean"],
    settings: BlackBoxSettings,
    generator: Generator,
    allowed: Bool[Tensor, " label"] | None = None,
) -> Attacked:
    """Attack every image; `clean_margins`, in logits, are those to be matched.

    Args:
        allowed: labels that proxies may end in; all if not given.
    """
    allowed = all_labels(classifier) if allowed is None else allowed
    uniform = torch.rand(3, len(labels), generator=generator).to(labels.device)
    shares = GoalShares(
        targeted=settings.targeted_share, boundary=settings.boundary_share, unstopped=settings.unstopped_share
    )
    goals = Goals.drawn(labels, allowed, clean_margins, shares, uniform[1:], generator)
    radius = log_uniform(settings.smallest_radius, settings.largest_radius, uniform[0])
    search = _SignSearch(classifier, images, labels, goals, radius, generator)
    parts = halvings(blockwise_order(images.shape[1:], generator).to(images.device))
    search.run(itertools.islice(parts, settings.queries - settings.bisections - 2))
    attacked = first_reached(classifier, images, search.ends(), labels, goals, settings.bisections)
    succeeded = goals.is_met(classifier(attacked).logits.argmax(1), labels)
    return Attacked(images=attacked, succeeded=succeeded, queries=search.queries + settings.bisections + 1)


class _SignSearch:
    """All images of a batch in step; those that have reached their goal have left."""

    def __init__(
        self,
        classifier: Classifier,
        images: Images,
        labels: Labels,
        goals: Goals,
        radius: Float[Tensor, " image"],
        generator: Generator,
    ) -> None:
        self.classifier = classifier
        self.images = images
        self.labels = labels
        self.goals = goals
        self.radius = per_image(radius)
        # Which way all pixels move first is tossed up; the first flip tries the other.
        coins = torch.rand(len(images), 1, generator=generator).to(images.device)
        self.signs = torch.where(coins < 0.5, -1.0, 1.0).expand(-1, images[0].numel()).clone()
        self.best = torch.full((len(images),), -torch.inf, device=images.device)
        self.queries = torch.zeros(len(images), dtype=torch.int64, device=images.device)
        self.active = torch.arange(len(images), device=images.device)
        self._ask(self.signs)

    def run(self, parts: Iterator[Int64[Tensor, " pixel"]]) -> None:
        """Flip one part after the other, as long as an image is on its way."""
        for part in parts:
            if len(self.active) == 0:
                return
            flipped = self.signs[self.active]
            flipped[:, part] *= -1
            self._ask(flipped)

    def ends(self) -> Images:
        """Where the search has come to, in [0, 1]."""
        return self._moved(self.signs, slice(None))

    def _ask(self, signs: Float[Tensor, "active pixel"]) -> None:
        rows = self.active
        logits = self.classifier(self._moved(signs, rows)).logits
        self.queries[rows] += 1
        goals, labels = self.goals.of(rows), self.labels[rows]
        gain = goals.gain(logits, labels)
        is_better = gain > self.best[rows]
        kept = rows[is_better]
        self.signs[kept], self.best[kept] = signs[is_better], gain[is_better]
        self.active = rows[~(is_better & goals.has_reached(logits, labels))]

    def _moved(self, signs: Tensor, rows: Tensor | slice) -> Images:
        images = self.images[rows]
        return (images + self.radius[rows] * signs.view_as(images)).clamp(0, 1)


def halvings(order: Int64[Tensor, " pixel"]) -> Iterator[Int64[Tensor, " part"]]:
    """Everything, each half, each quarter and so on, down to each single place of the order."""
    n_parts, n_places = 1, len(order)
    while True:
        yield from torch.tensor_split(order, min(n_parts, n_places))
        if n_parts >= n_places:
            return
        n_parts *= 2


def blockwise_order(shape: tuple[int, ...], generator: Generator) -> Int64[Tensor, " pixel"]:
    """Places of an image of this shape (channel, height, width) so that halving the order halves blocks of it.

    Channels, in random order, part first; then rows and columns are halved in turn (Morton 1966). The picture is
    shifted at random, around its edges.
    """
    channels, height, width = shape
    shifts = torch.rand(2, generator=generator).tolist()
    rows, columns = (
        _halves((torch.arange(size) + int(shift * size)) % size, size)
        for size, shift in zip((height, width), shifts, strict=True)
    )
    plane = (_spread(rows)[:, None] * 2 + _spread(columns)[None, :]).flatten().argsort(stable=True)
    planes = torch.randperm(channels, generator=generator) * height * width
    return (planes[:, None] + plane[None, :]).flatten()


_BITS = 12
"""Halvings of a side that are told apart; sides of more than 4,096 pixels end in blocks."""


def _halves(places: Int64[Tensor, " side"], size: int) -> Int64[Tensor, " side"]:
    """In which half of the side each place lies, in which half of that, and so on, as binary digits."""
    halves: Tensor = places * 2**_BITS // size
    return halves


def _spread(digits: Int64[Tensor, " side"]) -> Int64[Tensor, " side"]:
    """The binary digits with a zero before each."""
    bits = torch.arange(_BITS)
    spread: Tensor = (((digits[:, None] >> bits) & 1) << (2 * bits)).sum(1)
    return spread
