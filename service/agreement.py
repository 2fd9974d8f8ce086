"""Whether two renderings of one detector say the same of some images, in figures."""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import torch
from jaxtyping import Bool, Float64, Int64
from torch import Tensor

from detector.detector import Detector
from detector.evidence import Evidence
from detector.judging import NO_INDEX
from detector.types import Images, ProgressCallback, StoredImages, no_progress, to_pixels
from detector.verdict import Decision, Verdict

SCORE_TOLERANCE = 1e-4
"""Largest difference of two scores that counts as rounding, per unit of scores that are larger than 1."""

P_VALUE_STEPS = 3
"""How many calibration images a p-value may be off: so few score within the tolerance of one score."""

MOST_TIES = 1e-3
"""Share of images, rounded down, whose two strongest claims may be so close that rounding picks the suspect."""

_NOISE_IMAGES, _PROTOTYPES = 8, 8
_HALF_A_UNIT = 1e-9
_SINGLE = 1e-6


@dataclasses.dataclass(frozen=True, kw_only=True)
class Answers:
    """What is said of some images, one value each; numbers of undecided ones are NaN, labels that are none are -1."""

    is_adversarial: Bool[Tensor, " image"]
    scores: Float64[Tensor, " image"]
    p_values: Float64[Tensor, " image"]
    labels: Int64[Tensor, " image"]
    suspects: Int64[Tensor, " image"]

    @classmethod
    def of_verdicts(cls, verdicts: Sequence[Verdict]) -> "Answers":
        """As the protocol has them: undecided counts as adversarial."""
        return cls(
            is_adversarial=torch.tensor([verdict.decision is not Decision.CLEAN for verdict in verdicts]),
            scores=_numbers([verdict.score for verdict in verdicts]),
            p_values=_numbers([verdict.p_value for verdict in verdicts]),
            labels=torch.tensor([verdict.label for verdict in verdicts]),
            suspects=torch.tensor([_index(verdict.suspected_label) for verdict in verdicts]),
        )

    @classmethod
    def joined(cls, parts: Sequence["Answers"]) -> "Answers":
        """Of one batch after the other."""
        names = [field.name for field in dataclasses.fields(cls)]
        return cls(**{name: torch.cat([getattr(part, name) for part in parts]) for name in names})


@dataclasses.dataclass(frozen=True, kw_only=True)
class Agreement:
    """How far two renderings agree.

    Attributes:
        n_equal_decisions, n_equal_labels, n_equal_suspects: images of which they say the same.
        n_borderline: images with different decisions whose p-value is within one calibration image of the rate, where
            rounding may decide; the others with different decisions are faults.
        largest_score_difference, largest_p_value_difference: over images that both decide.
        faults: what is more than rounding, one sentence each.
    """

    n_images: int
    n_equal_decisions: int
    n_equal_labels: int
    n_equal_suspects: int
    n_borderline: int
    largest_score_difference: float
    largest_p_value_difference: float
    faults: tuple[str, ...]

    def to_record(self) -> dict[str, Any]:
        """As JSON takes it."""
        return dataclasses.asdict(self) | {"faults": list(self.faults), "agrees": not self.faults}

    def in_words(self) -> str:
        """One line for people."""
        n = self.n_images
        border = f" ({self.n_borderline} at the very rate)" if self.n_borderline else ""
        return (
            f"of {n} images {self.n_equal_decisions} decisions{border}, {self.n_equal_labels} labels and "
            f"{self.n_equal_suspects} suspects equal; scores within {self.largest_score_difference:.1e}, p-values "
            f"within {self.largest_p_value_difference:.1e}"
        )


def agreement(expected: Answers, found: Answers, *, false_positive_rate: float, calibration_step: float) -> Agreement:
    """Compare what two renderings say of the same images.

    Args:
        calibration_step: what one calibration image more or less changes a p-value by.
    """
    differs = expected.is_adversarial != found.is_adversarial
    is_close = (expected.p_values - false_positive_rate).abs() <= calibration_step + _HALF_A_UNIT
    differences = (expected.scores - found.scores).abs()
    only_one = expected.scores.isnan() != found.scores.isnan()
    is_off = differences > SCORE_TOLERANCE * expected.scores.abs().clamp_min(1)
    equal_labels = expected.labels == found.labels
    is_far = (expected.p_values - found.p_values).abs() > P_VALUE_STEPS * calibration_step + _SINGLE
    other_suspects = expected.is_adversarial & found.is_adversarial & (expected.suspects != found.suspects)
    faults = [
        f"{int(rows.sum())} of {len(rows)} images {problem}"
        for rows, problem in (
            (differs & ~is_close, "get another decision"),
            (only_one, "are decided by one and not by the other"),
            (is_off, f"get a score that differs by more than {SCORE_TOLERANCE:g}·max(1, |score|)"),
            (~equal_labels, "get another label"),
            (is_far, f"get a p-value that differs by more than {P_VALUE_STEPS} calibration images"),
            (other_suspects & (other_suspects.double().mean() > MOST_TIES), "get another suspected label"),
        )
        if rows.any()
    ]
    return Agreement(
        n_images=len(differs),
        n_equal_decisions=int((~differs).sum()),
        n_equal_labels=int(equal_labels.sum()),
        n_equal_suspects=int((expected.suspects == found.suspects).sum()),
        n_borderline=int((differs & is_close).sum()),
        largest_score_difference=_largest(differences),
        largest_p_value_difference=_largest((expected.p_values - found.p_values).abs()),
        faults=tuple(faults),
    )


def agreement_with(
    detector: Detector,
    rendering: Callable[[Images, Evidence], Answers],
    images: Images | StoredImages,
    *,
    progress: ProgressCallback = no_progress,
) -> Agreement:
    """Compare a rendering with what PyTorch finds on straight paths alone, at the detector's own rate.

    Args:
        rendering: answers for one batch of images; it is given what PyTorch found of them, too.
        images: bytes, or pixels in [0, 1]; taken as many at once as the detector takes in one step.
    """
    rate, expected, found = detector.false_positive_rate, [], []
    parts = torch.split(images, detector.images_per_step)
    for number, stored in enumerate(parts):
        part = stored if stored.is_floating_point() else to_pixels(stored)
        detector.check(part)
        with torch.no_grad():
            evidence = detector.straight_paths(part.to(detector.classifier.device))
        expected.append(Answers.of_verdicts(detector.verdicts(evidence, [rate] * len(part))))
        found.append(rendering(part, evidence))
        progress("comparing with PyTorch", number + 1, len(parts))
    return agreement(
        Answers.joined(expected),
        Answers.joined(found),
        false_positive_rate=rate,
        calibration_step=1 / (len(detector.bundle.conformal.scores) + 1),
    )


def handful(detector: Detector) -> Images:
    """Images that every detector has: some of noise, and some of its prototypes."""
    shape = detector.classifier.input_shape
    noise = torch.rand(_NOISE_IMAGES, *shape, generator=torch.Generator().manual_seed(0))
    prototypes = detector.bundle.prototypes.images.flatten(0, 1)
    n_shown = min(_PROTOTYPES, len(prototypes))
    rows = torch.arange(n_shown) * len(prototypes) // max(1, n_shown)
    return torch.cat([noise, to_pixels(prototypes[rows])])


def _largest(differences: Float64[Tensor, " image"]) -> float:
    both = differences[~differences.isnan()]
    return float(both.max()) if len(both) else 0.0


def _numbers(values: Sequence[float | None]) -> Float64[Tensor, " image"]:
    return torch.tensor([torch.nan if value is None else value for value in values], dtype=torch.float64)


def _index(label: int | None) -> int:
    return NO_INDEX if label is None else label
