import io

import numpy as np
import pyarrow.parquet as pq
import torch

from detector.evaluation.judgements import Judgement
from detector.evaluation.score_table import SCHEMA, Group, ScoredGroup, perturbation_sizes, scores_as_parquet
from detector.verdict import Decision, Outcome, Verdict


def _verdict(decision: Decision, score: float | None, suspect: int | None) -> Verdict:
    return Verdict(
        decision=decision,
        label=2,
        score=score,
        p_value=None if score is None else 0.25,
        false_positive_rate=0.05,
        barrier=None if score is None else 1.5,
        prototype=0,
        suspected_label=suspect,
        outcome=Outcome.DECIDED,
        profile=(),
    )


VERDICTS = (_verdict(Decision.ADVERSARIAL, 3.5, 1), _verdict(Decision.UNDECIDED, None, None))
ATTACKED = ScoredGroup(
    bundle="digits",
    group=Group.ATTACK,
    name="pgd8",
    sources=[b"\x01" * 8, b"\xff" * 8],
    true_labels=torch.tensor([1, 0]),
    judgement=Judgement(
        scores=np.array([3.5, np.inf]),
        p_values=np.array([0.25, 0.0]),
        barriers=np.array([1.5, 0.0]),
        suspected=np.array([1, -1]),
        verdicts=VERDICTS,
    ),
    sizes=(torch.tensor([2.0, 4.0]), torch.tensor([0.5, 0.25])),
)
BASELINE = ScoredGroup(
    bundle="energy",
    group=Group.CLEAN,
    sources=[b"\x02" * 8],
    true_labels=torch.tensor([3]),
    judgement=Judgement(
        scores=np.array([np.inf]), p_values=np.array([0.5]), barriers=np.array([np.nan]), suspected=np.array([-1])
    ),
)


def test_every_image_has_a_row_and_what_does_not_apply_is_null() -> None:
    table = pq.read_table(io.BytesIO(scores_as_parquet([ATTACKED, BASELINE])))
    assert table.schema.equals(SCHEMA)
    assert [tuple(row.values()) for row in table.to_pylist()] == [
        ("digits", "attack", "pgd8", "01" * 8, 1, 2, "adversarial", 3.5, 0.25, 1.5, 1, 2.0, 0.5),
        ("digits", "attack", "pgd8", "ff" * 8, 0, 2, "undecided", None, None, None, None, 4.0, 0.25),
        ("energy", "clean", "", "02" * 8, 3, None, None, None, 0.5, None, None, None, None),
    ]


def test_a_table_of_nothing_has_its_columns() -> None:
    assert pq.read_table(io.BytesIO(scores_as_parquet([]))).schema.equals(SCHEMA)


def test_sizes_of_perturbations_are_lengths_and_largest_changes() -> None:
    changed = torch.zeros(2, 1, 1, 2)
    changed[0, 0, 0] = torch.tensor([0.3, -0.4])
    l2, linf = perturbation_sizes(changed, torch.zeros_like(changed))
    torch.testing.assert_close(l2, torch.tensor([0.5, 0.0]))
    torch.testing.assert_close(linf, torch.tensor([0.4, 0.0]))
