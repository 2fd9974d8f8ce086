import math

import pytest
import torch

from detector.conformal import ConformalScores
from detector.evidence import Evidence
from detector.judging import Judge
from detector.profiles import PathEvidence
from detector.verdict import Decision, Outcome

JUDGE = Judge(
    conformal=ConformalScores.of(torch.arange(9.0)),
    available=torch.tensor([True, False]),
    claim_weights=torch.tensor([1.0]),
)


def evidence(
    scores: list[float],
    labels: list[int],
    profiles: list[list[list[float]]] | None = None,
    left: list[bool] | None = None,
) -> Evidence:
    n_images = len(scores)
    return Evidence(
        paths=PathEvidence(
            labels=torch.tensor(labels),
            logits=torch.zeros(n_images, 2),
            features=torch.zeros(n_images, 1),
            profiles=torch.zeros(n_images, 1, 1),
            takeover=torch.zeros(n_images, 2),
            claims=torch.zeros(n_images, 2, 1),
        ),
        scores=torch.tensor(scores),
        profiles=torch.tensor(profiles or [[[0.0, 1.0, 0.5]]] * n_images),
        has_left=torch.tensor(left or [False] * n_images),
    )


@pytest.mark.parametrize(("rate", "decision"), [(0.3, Decision.ADVERSARIAL), (0.29, Decision.CLEAN)])
def test_an_image_is_flagged_where_its_p_value_is_at_most_its_own_rate(rate: float, decision: Decision) -> None:
    """Two of nine clean images score at least as high: (1 + 2) / (9 + 1)."""
    other, verdict = JUDGE.verdicts(evidence([7.0, 7.0], [0, 0]), [0.5, rate])
    assert verdict.p_value == pytest.approx(0.3)
    assert (verdict.decision, verdict.false_positive_rate) == (decision, rate)
    assert verdict.suspected_label == (1 if decision is Decision.ADVERSARIAL else None)
    assert (other.decision, other.false_positive_rate) == (Decision.ADVERSARIAL, 0.5)


def test_what_is_no_number_or_has_no_prototype_is_not_decided() -> None:
    found = evidence([math.nan, 1.0, 1.0, 1.0], [0, 0, 1, 0], [[[0.0, 0.0]]] * 3 + [[[0.0, math.inf]]])
    outcomes = [verdict.outcome for verdict in JUDGE.verdicts(found, [0.1] * 4)]
    assert outcomes == [Outcome.NON_FINITE, Outcome.DECIDED, Outcome.NO_PROTOTYPE, Outcome.NON_FINITE]
    assert JUDGE.is_decidable(found).tolist() == [False, True, False, False]


def test_the_lowest_of_the_paths_is_reported() -> None:
    (verdict,) = JUDGE.verdicts(evidence([1.0], [0], [[[0.0, 3.0, 1.0], [0.0, 1.5, 1.0]]]), [0.1])
    assert (verdict.prototype, verdict.barrier, verdict.profile) == (1, 0.5, (0.0, 1.5, 1.0))


def test_every_image_needs_a_rate() -> None:
    with pytest.raises(ValueError, match="1 rates came for 2 images"):
        JUDGE.verdicts(evidence([1.0, 2.0], [0, 0]), [0.1])


def test_of_an_image_that_left_no_path_is_reported_and_what_was_not_measured_need_be_no_number() -> None:
    found = evidence([-1.0, 1.0, math.nan], [0, 0, 0], [[[0.5, math.nan]]] * 3, left=[True, False, True])
    left, measured, broken = JUDGE.verdicts(found, [0.1] * 3)
    assert (left.decision, left.outcome) == (Decision.CLEAN, Outcome.LEFT_EARLY)
    assert (left.score, left.barrier, left.prototype, left.profile) == (-1.0, None, None, ())
    assert (measured.outcome, broken.outcome) == (Outcome.NON_FINITE, Outcome.NON_FINITE)
