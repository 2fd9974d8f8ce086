"""Verdicts and a served bundle without any network behind them."""

from collections.abc import Callable
from types import SimpleNamespace

import pytest
import torch

from detector.verdict import Decision, Outcome, Verdict
from service.runtime import ServedBundle


def make_verdict(p_value: float | None = 0.5, label: int = 0) -> Verdict:
    is_decided = p_value is not None
    flagged = Decision.ADVERSARIAL if is_decided and p_value <= 0.05 else Decision.CLEAN
    return Verdict(
        decision=flagged if is_decided else Decision.UNDECIDED,
        label=label,
        score=1.0 if is_decided else None,
        p_value=p_value,
        false_positive_rate=0.05,
        barrier=0.25,
        prototype=0,
        suspected_label=None,
        outcome=Outcome.DECIDED if is_decided else Outcome.NON_FINITE,
        profile=(0.0, 0.25, 0.0),
    )


@pytest.fixture
def verdict() -> Callable[..., Verdict]:
    return make_verdict


@pytest.fixture
def bundle() -> ServedBundle:
    """Two labels, 999 calibration images, all with scores of their own."""
    detector = SimpleNamespace(
        bundle=SimpleNamespace(conformal=SimpleNamespace(scores=torch.arange(999, dtype=torch.float64))),
        classifier=SimpleNamespace(device=torch.device("cpu")),
    )
    return ServedBundle(name="toy", digest="d" * 64, detector=detector, preprocessing=None, labels=("cat", "dog"))
