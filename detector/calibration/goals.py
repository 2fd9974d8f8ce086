"""Where a proxy is to end: at which label, and how sure the classifier is to be of it."""

import dataclasses

import torch
from jaxtyping import Bool, Float
from torch import Generator, Tensor

from detector.potentials import log_odds_against, margin
from detector.types import CalibrationError, Classifier, Images, Labels


@dataclasses.dataclass(frozen=True, kw_only=True)
class GoalShares:
    """How often which goal is drawn.

    Attributes:
        targeted: share driven towards one random other label.
        boundary: share stopped as soon as the classifier is fooled, without any confidence to match: attacks that look
            for the smallest perturbation end there.
        unstopped: share never stopped, which end surer than any clean image.
    """

    targeted: float
    boundary: float
    unstopped: float


def check_shares(shares: tuple[float, ...], boundary: float, unstopped: float) -> None:
    """Refuse shares that nothing can be drawn by.

    Raises:
        CalibrationError: one is not in [0, 1], or those of boundary and unstopped exceed 1 together.
    """
    if min(shares) < 0 or max(shares) > 1 or boundary + unstopped > 1:
        raise CalibrationError(
            f"shares of the proxies are {shares}; each must lie in [0, 1], and those stopped at the boundary and "
            "those never stopped may not exceed 1 together"
        )


def check_radii(smallest: float, largest: float) -> None:
    """Refuse sizes that are no range.

    Raises:
        CalibrationError: they are not a smaller and a larger one within 0 and 1.
    """
    if not 0 < smallest <= largest <= 1:
        raise CalibrationError(
            f"the sizes of the proxies run from {smallest} to {largest}; "
            "give a smaller and a larger one between 0 and 1, e.g. 0.003 and 0.03"
        )


@dataclasses.dataclass(frozen=True, kw_only=True)
class Goals:
    """What was drawn for each image of a batch.

    Attributes:
        is_targeted, target: whether, and to which label, it is driven; else to any other that it may end in.
        wanted_margin: in logits, of whatever wrong label wins; where it is reached the proxy stops.
        allowed: labels that it may end in.
    """

    is_targeted: Bool[Tensor, " image"]
    target: Labels
    wanted_margin: Float[Tensor, " image"]
    allowed: Bool[Tensor, " label"]

    @classmethod
    def drawn(
        cls,
        labels: Labels,
        allowed: Bool[Tensor, " label"],
        clean_margins: Float[Tensor, " clean"],
        shares: GoalShares,
        uniform: Float[Tensor, "2 image"],
        generator: Generator,
    ) -> "Goals":
        """Draw them; the two uniform numbers an image say whether it is targeted, and how it is stopped.

        Args:
            labels: the true ones; they are among those allowed, of which there are at least two.
        """
        n_images, device = len(labels), labels.device
        clean_margin = clean_margins[torch.randint(len(clean_margins), (n_images,), generator=generator)].to(device)
        wanted_margin = torch.where(uniform[1] < shares.boundary, 0.0, clean_margin)
        places = allowed.nonzero()[:, 0]
        offset = torch.randint(1, len(places), (n_images,), generator=generator).to(device)
        return cls(
            is_targeted=uniform[0] < shares.targeted,
            target=places[(torch.searchsorted(places, labels) + offset) % len(places)],
            wanted_margin=torch.where(uniform[1] > 1 - shares.unstopped, torch.inf, wanted_margin),
            allowed=allowed,
        )

    def of(self, chosen: Tensor) -> "Goals":
        """The goals of some of the images."""
        return Goals(
            is_targeted=self.is_targeted[chosen],
            target=self.target[chosen],
            wanted_margin=self.wanted_margin[chosen],
            allowed=self.allowed,
        )

    def gain(self, logits: Float[Tensor, "image label"], labels: Labels) -> Float[Tensor, " image"]:
        """What an attack raises: log-odds of the target, or of all it may end in together, in nats."""
        towards, away = -log_odds_against(logits, self.target), self._log_odds_of_others(logits, labels)
        return torch.where(self.is_targeted, towards, away)

    def has_reached(self, logits: Float[Tensor, "image label"], labels: Labels) -> Bool[Tensor, " image"]:
        """Whether another label than the true one has won, by the margin that was wanted."""
        predicted = logits.argmax(1)
        return self.is_met(predicted, labels) & (margin(logits, predicted) >= self.wanted_margin)

    def is_met(self, predicted: Labels, labels: Labels) -> Bool[Tensor, " image"]:
        """Whether what is predicted is another label than the true one, and allowed."""
        return (predicted != labels) & self.allowed[predicted]

    def _log_odds_of_others(self, logits: Float[Tensor, "image label"], labels: Labels) -> Float[Tensor, " image"]:
        is_wanted = self.allowed.expand(len(logits), -1).scatter(1, labels[:, None], value=False)
        wanted, others = (logits.masked_fill(hidden, -torch.inf).logsumexp(1) for hidden in (~is_wanted, is_wanted))
        return wanted - others


def all_labels(classifier: Classifier) -> Bool[Tensor, " label"]:
    """Every label, on the classifier's device."""
    return torch.ones(len(classifier.labels), dtype=torch.bool, device=classifier.device)


@torch.no_grad()
def first_reached(
    classifier: Classifier, before: Images, after: Images, labels: Labels, goals: Goals, bisections: int
) -> Images:
    """The first point on the way of each image where it has the confidence it is to have; its end if none has."""
    low = torch.zeros(len(before), device=before.device)
    high = torch.ones_like(low)
    for _ in range(bisections):
        middle = (low + high) / 2
        is_reached = goals.has_reached(classifier(torch.lerp(before, after, per_image(middle))).logits, labels)
        high = torch.where(is_reached, middle, high)
        low = torch.where(is_reached, low, middle)
    return torch.lerp(before, after, per_image(high))


def per_image(values: Tensor) -> Tensor:
    """One value an image, ready to meet pixels."""
    return values[:, None, None, None]
