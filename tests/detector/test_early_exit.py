import itertools
import math

import pytest
import torch

from detector.conformal import ConformalScores
from detector.early_exit import FLOOR, EarlyExit, EarlyExitSettings, Look, require_full_evidence, squashed
from detector.head import Head
from detector.types import CalibrationError
from detector.typicality import Typicality


def exit_below(bound: float, ordinary_below: float = math.inf) -> EarlyExit:
    """The head says the one feature x that there is; its distance from what is ordinary is ln x²."""
    head = Head(1, ()).eval().requires_grad_(False)
    head.layers[0].weight.fill_(1)
    head.layers[0].bias.zero_()
    return EarlyExit(looks=(), head=head, ordinary=Typicality(1), leave_below=bound, ordinary_below=ordinary_below)


def test_squashing_gives_the_known_values() -> None:
    """(x + √(x² + 4)) / 2: of 3/2 it is (3/2 + 5/2) / 2, of −3/2 (5/2 − 3/2) / 2."""
    assert squashed(torch.tensor([-1.5, 0.0, 1.5])).tolist() == [FLOOR + 0.5, FLOOR + 1.0, FLOOR + 2.0]


def test_squashed_scores_lie_above_the_floor_in_their_order() -> None:
    scores = torch.cat([-torch.logspace(6, -3, 200), torch.zeros(1), torch.logspace(-3, 6, 200)])
    found = squashed(scores)
    assert (found > FLOOR).all()
    assert (found.diff() > 0).all()


def test_a_score_that_is_no_number_stays_none() -> None:
    found = squashed(torch.tensor([math.nan, -math.inf, math.inf]))
    assert not found.isfinite().any()


def test_an_image_leaves_below_the_bound_and_one_without_a_number_does_not() -> None:
    early = exit_below(-2.0)
    first = early.first_scores(torch.tensor([-3.0, -2.0, -1.0, math.nan, -math.inf])[:, None])
    assert early.leaves(first).tolist() == [True, False, False, False, False]
    assert early.combined(first, torch.zeros(5)).tolist() == [FLOOR - 1, *[FLOOR + 1] * 4]


def test_what_is_not_ordinary_stays_however_clear_the_head_finds_it() -> None:
    """Of −1, −3 and −5 the head finds the last two clear, and only the first two lie within e² of the centre."""
    early = exit_below(-2.0, ordinary_below=2 * math.log(4))
    features = torch.tensor([[-1.0], [-3.0], [-5.0]])
    first = early.first_scores(features)
    assert early.leaves(first).tolist() == [False, True, False]
    # The nearer bound decides: −3 is 1 from the head's and 2 ln 4/3 from that of what is ordinary.
    assert first.tolist() == pytest.approx([1, -2 * math.log(4 / 3), 2 * math.log(5 / 4)], abs=1e-5)
    assert early.judged(features).tolist() == [-1, -3, math.inf]
    assert torch.equal(early.passing_gradients(features), first)


def test_a_cut_off_hides_no_gradient_of_either_judge() -> None:
    features = torch.tensor([[-50.0]], requires_grad=True)
    for ordinary_below in (math.inf, 0.0):
        [gradient] = torch.autograd.grad(exit_below(-2.0, ordinary_below).passing_gradients(features).sum(), features)
        assert gradient.item() != 0


def test_both_judges_move_and_leave_those_that_they_were_made_of() -> None:
    early = exit_below(-2.0)
    moved = early.to(torch.device("meta"))
    for one, kind in ((moved, "meta"), (early, "cpu")):
        tensors = [*one.head.state_dict().values(), *one.ordinary.state_dict().values()]
        assert {tensor.device.type for tensor in tensors} == {kind}


def test_the_first_score_is_no_number_where_the_look_shows_none() -> None:
    """The head cuts features off, so that an infinite one would give a number."""
    first = exit_below(0.0).first_scores(torch.tensor([[-math.inf], [math.nan], [-2.0]]))
    assert first.isnan().tolist() == [True, True, False]
    assert first[2] == -2


def test_the_next_float_below_the_bound_scores_below_the_floor() -> None:
    bound = torch.tensor([1.0e-3, -2.5317811965942383, 300.0])
    for value in bound:
        early = exit_below(float(value))
        below = early.first_scores(torch.nextafter(value, torch.tensor(-torch.inf))[None, None])
        assert early.leaves(below).all()
        assert (early.combined(below, torch.zeros(1)) < FLOOR).all()


def test_what_an_attacker_pursues_is_below_the_threshold_exactly_where_an_image_passes() -> None:
    early, threshold = exit_below(-2.0), 1.5
    pairs = list(itertools.product(torch.linspace(-5, 3, 33).tolist(), torch.linspace(-6, 6, 33).tolist()))
    features, full = torch.tensor(pairs).unbind(1)
    first = early.first_scores(features[:, None])
    passes = early.combined(first, full) < threshold
    assert 0 < int(passes.sum()) < len(pairs)
    assert torch.equal(early.pursued(first, full, threshold) < threshold, passes)


def test_an_attacker_follows_the_nearer_road() -> None:
    """Two nats are missing to leave; a full score of 1.5 squashed is 2, half above the threshold."""
    first, full = (torch.tensor(values, requires_grad=True) for values in ([2.0, 2.0], [1.5, 50.0]))
    found = exit_below(-2.0).pursued(first, full, 1.5)
    assert found.tolist() == [2.0, 3.5]
    found.sum().backward()
    assert first.grad is not None
    assert full.grad is not None
    assert first.grad.tolist() == [0, 1]
    assert (full.grad != 0).tolist() == [True, False]


def test_a_rate_at_which_images_that_leave_would_be_flagged_is_refused() -> None:
    """Of nine images six leave; the highest three have the p-values 0.2, 0.3 and 0.4."""
    conformal = ConformalScores.of(torch.tensor([-1.0] * 6 + [1.0, 2.0, 3.0]))
    require_full_evidence(conformal, 0.39)
    with pytest.raises(CalibrationError, match=r"6 of 9 clean images leave .* rate of 0\.4 .* less than 0\.4,"):
        require_full_evidence(conformal, 0.4)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"most_leaving": 1.0}, "share of 1.0 of the clean images"),
        ({"most_leaving": 0.0}, "between 0 and 1"),
        ({"ordinary_share": 1.0}, "share of 1.0 of the clean images was to look ordinary"),
        ({"most_auroc_lost": -0.1}, "losses of at least 0"),
        ({"least_gain": 0.9}, "a ratio of at least 1"),
    ],
)
def test_settings_that_make_no_sense_are_refused(changes: dict[str, float], reason: str) -> None:
    with pytest.raises(CalibrationError, match=reason):
        EarlyExitSettings(**changes)


def test_the_looks_read_as_the_words_of_the_command() -> None:
    assert [str(look) for look in Look] == ["auxiliary", "smoothed"]
