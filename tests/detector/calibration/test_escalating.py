import dataclasses
from typing import Any

import pytest
import torch

from detector.calibration.escalating import band_of, pays
from detector.conformal import ConformalScores
from detector.second_opinion import EscalationSettings
from detector.types import CalibrationError

CLEAN = ConformalScores.of(torch.linspace(0, 1, 99))
"""The threshold at 5 % is the fifth highest score, 94/98."""


def test_the_band_holds_the_shares_of_clean_images_asked_for() -> None:
    assert band_of(torch.linspace(0, 1, 101), (0.01, 0.2)) == pytest.approx((0.8, 0.99))


def test_it_pays_if_more_proxies_pass_the_threshold_than_chance_explains() -> None:
    before, after = torch.zeros(100), torch.cat([torch.zeros(80), torch.ones(20)])
    assert pays((CLEAN, before), (CLEAN, after), 0.05) == (True, pytest.approx(0.2))


def test_a_gain_of_one_proxy_in_a_hundred_is_chance() -> None:
    before, after = torch.zeros(100), torch.cat([torch.zeros(99), torch.ones(1)])
    assert pays((CLEAN, before), (CLEAN, after), 0.05) == (False, pytest.approx(0.01))


def test_it_does_not_pay_to_lose_proxies_or_to_change_nothing() -> None:
    scores = torch.cat([torch.zeros(50), torch.ones(50)])
    assert pays((CLEAN, scores), (CLEAN, scores), 0.05) == (False, 0.0)
    assert pays((CLEAN, scores), (CLEAN, torch.zeros(100)), 0.05) == (False, pytest.approx(-0.5))


def test_calibration_says_whether_escalation_paid_and_keeps_it_only_then(
    calibrated: Any, tiny_settings: Any, monkeypatch: Any
) -> None:
    monkeypatch.setattr("detector.calibration.escalating.FEWEST_DOUBTFUL", 1)
    settings = dataclasses.replace(tiny_settings, escalation=EscalationSettings(doubt=(0.0, 0.6)))
    made = calibrated(settings)
    is_kept = made.record.measured["escalation_kept"] == 1.0
    assert (made.second_opinion is not None) == is_kept == (made.record.escalation is not None)
    assert is_kept == (made.record.measured["escalation_gain_at_0.05"] > 0) or not is_kept
    assert 0 < made.record.measured["doubtful_share"] <= 1
    assert made.record.measured["escalation_forward_equivalents"] >= 2 * 9


def test_too_few_doubtful_images_are_refused(calibrated: Any, tiny_settings: Any) -> None:
    settings = dataclasses.replace(tiny_settings, escalation=EscalationSettings(doubt=(0.0, 0.02)))
    with pytest.raises(CalibrationError, match="calibrate without escalation"):
        calibrated(settings)
