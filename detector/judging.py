"""From evidence to verdicts. Nothing else decides."""

import dataclasses
from collections.abc import Sequence

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from detector.conformal import ConformalScores
from detector.paths import barrier_height
from detector.profiles import PathEvidence
from detector.verdict import Decision, Outcome, Verdict


@dataclasses.dataclass(frozen=True, kw_only=True)
class Evidence:
    """What the detector knows about some images before it decides.

    Attributes:
        paths: what the paths show.
        scores: log-odds of the head, shape (image,).
        profiles: cross-entropy in nats from image to prototype, shape (image, prototype, waypoint), ends included.
    """

    paths: PathEvidence
    scores: Float[Tensor, " image"]
    profiles: Float[Tensor, "image prototype waypoint"]

    @property
    def is_finite(self) -> Bool[Tensor, " image"]:
        """Whether everything that a verdict reports is a number."""
        parts = (self.scores[:, None], self.paths.logits, self.profiles.flatten(1))
        return torch.cat(parts, 1).isfinite().all(1)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Judge:
    """Decides images by their evidence, each at the false-positive rate that was asked for it.

    Attributes:
        conformal: scores of clean images.
        available: which labels have prototypes.
        claim_weights: how much each claim of a label weighs where a suspect is named.
    """

    conformal: ConformalScores
    available: Bool[Tensor, " label"]
    claim_weights: Float[Tensor, " claim"]

    def is_decidable(self, evidence: Evidence) -> Bool[Tensor, " image"]:
        """Which images get a decision, unless a second opinion is no number."""
        return evidence.is_finite & self.available.to(evidence.paths.labels.device)[evidence.paths.labels]

    def verdicts(self, evidence: Evidence, false_positive_rates: Sequence[float]) -> list[Verdict]:
        """One verdict an image, in order."""
        p_values = self.conformal.p_values(evidence.scores).tolist()
        suspects = suspected_labels(evidence.paths, self.claim_weights).tolist()
        available = self.available.tolist()
        scores, profiles = evidence.scores.tolist(), evidence.profiles.cpu()
        is_finite = evidence.is_finite.tolist()
        verdicts = []
        for index, (label, rate) in enumerate(zip(evidence.paths.labels.tolist(), false_positive_rates, strict=True)):
            if not is_finite[index]:
                verdicts.append(_undecided(label, rate, Outcome.NON_FINITE))
            elif not available[label]:
                verdicts.append(_undecided(label, rate, Outcome.NO_PROTOTYPE))
            else:
                found = scores[index], p_values[index], suspects[index], profiles[index]
                verdicts.append(_decided(label, rate, *found))
        return verdicts


def suspected_labels(paths: PathEvidence, claim_weights: Float[Tensor, " claim"]) -> Tensor:
    """The label, besides the predicted one, whose claims weigh most; shape (image,)."""
    standing = paths.claims @ claim_weights
    return standing.scatter(1, paths.labels[:, None], -torch.inf).argmax(1)


def _decided(
    label: int, false_positive_rate: float, score: float, p_value: float, suspect: int, profiles: Tensor
) -> Verdict:
    is_flagged = p_value <= false_positive_rate
    barrier, prototype, profile = _lowest(profiles)
    return Verdict(
        decision=Decision.ADVERSARIAL if is_flagged else Decision.CLEAN,
        label=label,
        score=score,
        p_value=p_value,
        false_positive_rate=false_positive_rate,
        barrier=barrier,
        prototype=prototype,
        suspected_label=suspect if is_flagged else None,
        outcome=Outcome.DECIDED,
        profile=tuple(profile),
    )


def _undecided(label: int, false_positive_rate: float, outcome: Outcome) -> Verdict:
    return Verdict(
        decision=Decision.UNDECIDED,
        label=label,
        score=None,
        p_value=None,
        false_positive_rate=false_positive_rate,
        barrier=None,
        prototype=None,
        suspected_label=None,
        outcome=outcome,
        profile=(),
    )


def _lowest(profiles: Float[Tensor, "prototype waypoint"]) -> tuple[float | None, int | None, Sequence[float]]:
    """Barrier, index and profile of the lowest path; nothing where there are no paths."""
    if len(profiles) == 0:
        return None, None, ()
    barriers = barrier_height(profiles)
    prototype = int(barriers.argmin())
    return float(barriers[prototype]), prototype, profiles[prototype].tolist()
