"""From evidence to verdicts. Nothing else decides."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Bool, Float, Float64, Int64
from torch import Tensor

from detector.conformal import ConformalScores
from detector.evidence import Evidence
from detector.paths import barrier_height
from detector.profiles import PathEvidence
from detector.types import Labels
from detector.verdict import Decision, Outcome, Verdict

NO_INDEX = -1
"""Of a label where none is suspected, and of a prototype where there are no paths."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Ruling:
    """What evidence comes to, whatever false-positive rate is asked for; the rows of images are independent.

    Attributes:
        labels: predicted ones.
        scores, p_values: what is compared with the rate, `(1 + k) / (n + 1)`, and the score that it was made of.
        suspects: the label, besides the predicted one, that has the strongest claim.
        barriers, prototypes, profiles: of the lowest path: height in nats, index of its prototype among those of the
            label, cross-entropy in nats at each waypoint; 0, `NO_INDEX` and 0 where there are no paths.
        has_left: whether the image left after a first look, before any path.
        is_finite, is_available: whether everything is a number, and whether the label has prototypes. Where one of
            them is false nothing can be decided, and only `labels` means something.
    """

    labels: Labels
    scores: Float[Tensor, " image"]
    p_values: Float64[Tensor, " image"]
    suspects: Labels
    barriers: Float[Tensor, " image"]
    prototypes: Int64[Tensor, " image"]
    profiles: Float[Tensor, "image waypoint"]
    has_left: Bool[Tensor, " image"]
    is_finite: Bool[Tensor, " image"]
    is_available: Bool[Tensor, " image"]

    @property
    def is_decidable(self) -> Bool[Tensor, " image"]:
        """Which images get a decision."""
        return self.is_finite & self.is_available

    def is_flagged(self, false_positive_rates: Float64[Tensor, " image"]) -> Bool[Tensor, " image"]:
        """Which of the images that can be decided are adversarial, each at its own rate."""
        return self.is_decidable & (self.p_values <= false_positive_rates)

    def verdicts(self, false_positive_rates: Sequence[float]) -> list[Verdict]:
        """One verdict an image, in order, each at its own rate.

        Raises:
            ValueError: there are not as many rates as images.
        """
        rates = torch.tensor(list(false_positive_rates), dtype=torch.float64)
        if len(rates) != len(self.labels):
            raise ValueError(f"{len(rates)} rates came for {len(self.labels)} images; give one an image")
        on_cpu = {field.name: getattr(self, field.name).cpu() for field in dataclasses.fields(self)}
        here = Ruling(**on_cpu)
        columns = {name: values.tolist() for name, values in on_cpu.items()}
        flagged = here.is_flagged(rates).tolist()
        return [
            _verdict({name: values[row] for name, values in columns.items()}, flagged[row], rate)
            for row, rate in enumerate(false_positive_rates)
        ]


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

    def ruling(self, evidence: Evidence) -> Ruling:
        """What the evidence comes to; made of operations on whole tensors alone, so that it can be exported."""
        labels, has_left = evidence.paths.labels, evidence.has_left
        barriers, prototypes, profiles = _lowest(evidence.profiles)
        return Ruling(
            labels=labels,
            scores=evidence.scores,
            p_values=self.conformal.p_values(evidence.scores),
            suspects=suspected_labels(evidence.paths, self.claim_weights),
            barriers=torch.where(has_left, 0, barriers),
            prototypes=torch.where(has_left, NO_INDEX, prototypes),
            profiles=torch.where(has_left[:, None], 0, profiles),
            has_left=has_left,
            is_finite=evidence.is_finite,
            is_available=self.available.to(labels.device)[labels],
        )

    def verdicts(self, evidence: Evidence, false_positive_rates: Sequence[float]) -> list[Verdict]:
        """One verdict an image, in order."""
        return self.ruling(evidence).verdicts(false_positive_rates)


def suspected_labels(paths: PathEvidence, claim_weights: Float[Tensor, " claim"]) -> Labels:
    """The label, besides the predicted one, whose claims weigh most; shape (image,)."""
    standing = paths.claims @ claim_weights
    return standing.scatter(1, paths.labels[:, None], -torch.inf).argmax(1)


def _verdict(found: dict[str, Any], is_flagged: bool, false_positive_rate: float) -> Verdict:
    if not found["is_finite"] or not found["is_available"]:
        outcome = Outcome.NO_PROTOTYPE if found["is_finite"] else Outcome.NON_FINITE
        return _undecided(found["labels"], false_positive_rate, outcome)
    has_paths = found["prototypes"] != NO_INDEX
    return Verdict(
        decision=Decision.ADVERSARIAL if is_flagged else Decision.CLEAN,
        label=found["labels"],
        score=found["scores"],
        p_value=found["p_values"],
        false_positive_rate=false_positive_rate,
        barrier=found["barriers"] if has_paths else None,
        prototype=found["prototypes"] if has_paths else None,
        suspected_label=found["suspects"] if is_flagged else None,
        outcome=Outcome.LEFT_EARLY if found["has_left"] else Outcome.DECIDED,
        profile=tuple(found["profiles"]) if has_paths else (),
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


def _lowest(
    profiles: Float[Tensor, "image prototype waypoint"],
) -> tuple[Float[Tensor, " image"], Int64[Tensor, " image"], Float[Tensor, "image waypoint"]]:
    """Barrier, index and profile of the lowest path of each image, the first of those equally low."""
    n_images, n_prototypes, n_waypoints = profiles.shape
    if n_prototypes == 0:
        first = profiles.new_zeros(n_images)
        return first, torch.full_like(first, NO_INDEX, dtype=torch.int64), profiles.new_zeros(n_images, n_waypoints)
    barriers = barrier_height(profiles.flatten(0, 1)).view(n_images, n_prototypes)
    prototypes = barriers.argmin(1)
    rows = prototypes[:, None]
    chosen = profiles.gather(1, rows[:, :, None].expand(-1, 1, n_waypoints))[:, 0]
    return barriers.gather(1, rows)[:, 0], prototypes, chosen
