import dataclasses
from typing import Any

import pytest
import torch

from detector.calibration.escalating import band_of, flagged_at, pays
from detector.detector import Detector
from detector.prototypes.prototype_set import PrototypeKind
from detector.second_opinion import EscalationSettings
from detector.types import CalibrationError, to_pixels


def test_the_band_holds_the_shares_of_clean_images_asked_for() -> None:
    assert band_of(torch.linspace(0, 1, 101), (0.01, 0.2)) == pytest.approx((0.8, 0.99))


def test_proxies_are_flagged_whose_p_value_is_at_most_the_rate() -> None:
    """Of 99 clean images the fifth highest is 94/98: a score above it has a p-value of at most 5/100."""
    clean = torch.linspace(0, 1, 99)
    assert flagged_at(0.05, clean, torch.tensor([0.5, 93.9 / 98, 94.1 / 98, 2.0])).tolist() == [
        False,
        False,
        True,
        True,
    ]


def flags(n_flagged: int) -> torch.Tensor:
    return torch.arange(100) < n_flagged


def test_it_pays_if_more_proxies_are_flagged_than_chance_explains() -> None:
    assert pays(flags(0), flags(20)) == (True, pytest.approx(0.2))


def test_a_gain_of_one_proxy_in_a_hundred_is_chance() -> None:
    assert pays(flags(50), flags(51)) == (False, pytest.approx(0.01))


def test_it_does_not_pay_to_lose_proxies_or_to_change_nothing() -> None:
    assert pays(flags(50), flags(50)) == (False, 0.0)
    assert pays(flags(50), flags(0)) == (False, pytest.approx(-0.5))


@pytest.fixture
def doubting(tiny_settings: Any, monkeypatch: Any) -> Any:
    """Settings that put many images in doubt, however few there are."""
    monkeypatch.setattr("detector.calibration.escalating.FEWEST_DOUBTFUL", 1)
    return dataclasses.replace(tiny_settings, escalation=EscalationSettings(doubt=(0.0, 0.6)))


@pytest.mark.slow
def test_a_second_opinion_that_does_not_pay_leaves_the_bundle_as_it_was(
    calibrated: Any, tiny_settings: Any, doubting: Any, monkeypatch: Any
) -> None:
    monkeypatch.setattr("detector.calibration.escalating.pays", lambda *_: (False, -0.1))
    plain, tried = calibrated(tiny_settings), calibrated(doubting)
    assert tried.second_opinion is None
    assert tried.record.escalation is None
    assert torch.equal(tried.conformal.scores, plain.conformal.scores)
    assert tried.expected_forward_equivalents == plain.forward_equivalents
    assert tried.record.measured["escalation_kept"] == 0.0
    assert tried.record.measured["escalation_gain_at_0.05"] == -0.1
    assert tried.record.measured["proxies_flagged_at_0.05"] == plain.record.measured["proxies_flagged_at_0.05"]


def test_a_second_opinion_that_pays_is_kept_with_the_scores_that_it_gives(
    calibrated: Any, tiny_settings: Any, doubting: Any, monkeypatch: Any
) -> None:
    monkeypatch.setattr("detector.calibration.escalating.pays", lambda *_: (True, 0.1))
    plain, made = calibrated(tiny_settings), calibrated(doubting)
    assert made.second_opinion is not None
    low, high = made.second_opinion.band
    is_sure = (plain.conformal.scores < low) | (plain.conformal.scores > high)
    kept = (made.conformal.scores < low) | (made.conformal.scores > high)
    assert torch.equal(made.conformal.scores[kept], plain.conformal.scores[is_sure])
    assert not torch.equal(made.conformal.scores, plain.conformal.scores)
    share, cost = (made.record.measured[name] for name in ("doubtful_share", "escalation_forward_equivalents"))
    assert 0 < share <= 1
    # Two prototypes, each path measured at nine points at least.
    assert cost >= 2 * 9
    assert made.expected_forward_equivalents == pytest.approx(made.forward_equivalents + share * cost)


@pytest.mark.slow
def test_p_values_keep_their_promise_with_a_second_opinion(
    calibrated: Any, doubting: Any, corners: Any, corner_images: Any, monkeypatch: Any
) -> None:
    monkeypatch.setattr("detector.calibration.escalating.pays", lambda *_: (True, 0.1))
    bundle = calibrated(doubting, held_out=corner_images(600, seed=2))
    fresh = corner_images(400, seed=77)
    pixels = to_pixels(fresh.images)
    is_clean = corners(pixels).logits.argmax(1) == fresh.labels
    p_values = bundle.conformal.p_values(Detector(corners, bundle).measure(pixels[is_clean]).scores)
    for rate in (0.05, 0.2, 0.5):
        n = len(p_values)
        # Three standard errors of the share itself and of the threshold, which rests on about a hundred images.
        room = 3 * (rate * (1 - rate) * (1 / n + 1 / len(bundle.conformal.scores))) ** 0.5
        assert (p_values <= rate).double().mean() <= rate + room


@pytest.mark.slow
def test_too_few_images_in_doubt_leave_the_bundle_as_it_was_and_say_so(calibrated: Any, tiny_settings: Any) -> None:
    settings = dataclasses.replace(tiny_settings, escalation=EscalationSettings(doubt=(0.04, 0.06)))
    made = calibrated(settings)
    assert made.second_opinion is None
    assert made.record.measured["escalation_kept"] == 0.0


def test_a_band_that_does_not_hold_the_rate_is_refused(tiny_settings: Any) -> None:
    with pytest.raises(CalibrationError, match="decides nothing"):
        dataclasses.replace(tiny_settings, escalation=EscalationSettings(doubt=(0.1, 0.2)))


def test_without_prototypes_there_is_nothing_to_search(tiny_settings: Any) -> None:
    with pytest.raises(CalibrationError, match="no paths to search"):
        dataclasses.replace(tiny_settings, prototype_kind=PrototypeKind.NONE, escalation=EscalationSettings())
