import math

import pytest
import torch

from detector.head import Head
from detector.second_opinion import EscalationSettings, SecondOpinion
from detector.types import CalibrationError


def opinion(low: float, high: float) -> SecondOpinion:
    """A head that hands its one feature through."""
    head = Head(1, ())
    with torch.no_grad():
        head.layers[0].weight.fill_(1.0)
        head.layers[0].bias.zero_()
    return SecondOpinion(settings=EscalationSettings(), band=(low, high), head=head.eval())


def test_scores_within_the_band_are_in_doubt_and_no_others() -> None:
    scores = torch.tensor([-1.1, -1.0, 0.0, 2.0, 2.1, math.nan])
    assert opinion(-1.0, 2.0).is_doubtful(scores).tolist() == [False, True, True, True, False, False]


def test_revised_scores_stay_within_the_band_and_rise_with_the_opinion() -> None:
    revised = opinion(-1.0, 3.0).revised(torch.tensor([[-7.0], [0.0], [7.0]]))
    assert revised.tolist() == pytest.approx([-1 + 4 / (1 + math.exp(7)), 1.0, 3 - 4 / (1 + math.exp(7))])


@pytest.mark.parametrize("doubt", [(0.2, 0.2), (0.3, 0.1), (-0.1, 0.2), (0.5, 1.1)])
def test_a_band_of_doubt_needs_two_shares_in_order(doubt: tuple[float, float]) -> None:
    with pytest.raises(CalibrationError, match="the smaller first"):
        EscalationSettings(doubt=doubt)


@pytest.mark.parametrize("change", [{"budget": 0}, {"resolution": 1}])
def test_a_search_that_finds_nothing_is_refused(change: dict[str, int]) -> None:
    with pytest.raises(CalibrationError, match="finds nothing"):
        EscalationSettings(**change)  # type: ignore[arg-type]
