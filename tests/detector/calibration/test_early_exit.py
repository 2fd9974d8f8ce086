import dataclasses
from typing import Any

import pytest
import torch

from detector.calibration import early_exit as module
from detector.calibration.early_exit_bound import HIGHEST_RATE, Tried, auroc, bound_on, why_no_room, why_not
from detector.detector import Detector
from detector.early_exit import FLOOR, EarlyExitSettings, Look
from detector.second_opinion import EscalationSettings
from detector.straight import StraightPaths
from detector.types import CalibrationError, to_pixels
from detector.verdict import Decision, Outcome

LENIENT = EarlyExitSettings(
    looks=(Look.AUXILIARY, Look.SMOOTHED),
    most_auroc_lost=1.0,
    most_proxies_leaving=1.0,
    most_leaving=0.5,
    least_gain=1.0,
    batches=12,
)

NATURAL = torch.arange(-100.0, 0.0)


def tried(first_clean: list[float], first_proxies: list[float], full_proxies: list[float] | None = None) -> Tried:
    """Clean images score 0 by the full evidence, and proxies 1 if nothing else is said."""
    full = full_proxies or [1.0] * len(first_proxies)
    return Tried(
        first=torch.tensor(first_clean + first_proxies),
        full=torch.tensor([0.0] * len(first_clean) + full),
        is_proxy=torch.tensor([0.0] * len(first_clean) + [1.0] * len(first_proxies)),
    )


def test_auroc_counts_pairs_and_half_of_those_that_score_the_same() -> None:
    """Of six pairs the first proxy wins one and ties one, the second wins three."""
    assert auroc(torch.tensor([0.0, 1.0, 2.0]), torch.tensor([1.0, 5.0])) == pytest.approx(4.5 / 6)


def test_a_proxy_that_leaves_scores_below_all_clean_images_that_do_not() -> None:
    found = tried([-3.0, -1.0, 1.0, 2.0], [-2.0, 3.0])
    assert found.auroc(-torch.inf) == 1.0
    assert found.leaving(0.0, 0) == 0.5
    assert found.leaving(0.0, 1) == 0.5
    # Of eight pairs the proxy that leaves wins one, against the clean image that looks clearer still.
    assert found.auroc(0.0) == pytest.approx(5 / 8)


def test_the_bound_is_the_highest_below_which_no_more_than_the_shares_allowed_leave() -> None:
    found = tried(NATURAL.tolist(), [-30.5] + [5.0] * 99)
    settings = EarlyExitSettings(most_leaving=0.9, most_proxies_leaving=0.0, most_auroc_lost=1.0)
    bound = bound_on(found, NATURAL, settings)
    assert bound is not None
    assert -32 < bound <= -30.5
    assert bound_on(found, NATURAL, dataclasses.replace(settings, most_leaving=0.5)) == pytest.approx(-50.5)
    roomy = bound_on(found, NATURAL, dataclasses.replace(settings, most_proxies_leaving=0.02))
    assert roomy == pytest.approx(-10.9)


def test_the_bound_keeps_the_auroc() -> None:
    """One proxy of 100 that leaves among the first 70 of 100 clean images costs 0.3 to 1 of its hundredth."""
    found = tried(NATURAL.tolist(), [-30.5] + [5.0] * 99)
    settings = EarlyExitSettings(most_leaving=0.9, most_proxies_leaving=1.0, most_auroc_lost=0.001)
    bound = bound_on(found, NATURAL, settings)
    assert bound is not None
    assert bound <= -30.5


def test_what_does_not_look_ordinary_is_no_bound_and_leaves_by_none() -> None:
    found = tried([*NATURAL.tolist(), torch.inf], [-200.0] + [torch.inf] * 9)
    natural = torch.cat([NATURAL[:20], torch.full((80,), torch.inf)])
    bound = bound_on(found, natural, EarlyExitSettings(most_proxies_leaving=0.1, most_auroc_lost=1.0))
    assert bound is not None
    assert -100 <= bound < -80
    assert found.leaving(1e30, 1) == 0.1


def test_without_any_bound_that_keeps_to_the_settings_there_is_none() -> None:
    found = tried([0.0] * 10, [-1.0] * 10)
    assert bound_on(found, torch.zeros(10), EarlyExitSettings(most_proxies_leaving=0.0)) is None


def test_an_early_exit_is_kept_only_where_it_pays_and_costs_nothing() -> None:
    good, settings = tried([-3.0] * 50 + [1.0] * 50, [3.0] * 10), EarlyExitSettings()
    assert why_not(good, 2.0, settings) is None
    assert "would cost 1.20 times less, and 1.3" in str(why_not(good, 1.2, settings))
    bad = tried([-3.0] * 50 + [1.0] * 50, [-3.0] + [3.0] * 9)
    assert "would fall by 0.0750" in str(why_not(bad, 2.0, settings))


@pytest.mark.parametrize(
    ("leaving", "rates", "refused"),
    [(0.7, (0.05,), None), (0.7, (0.05, 0.35), 0.35), (0.85, (0.05,), HIGHEST_RATE), (1.0, (0.05,), HIGHEST_RATE)],
)
def test_room_is_left_for_all_rates_that_the_bundle_is_to_serve(
    leaving: float, rates: tuple[float, ...], refused: float | None
) -> None:
    found = why_no_room(leaving, rates)
    assert found is None if refused is None else str(found).endswith(f"at a rate of {refused:g}")


def correct(corners: Any, data: Any) -> Any:
    """Pixels of the images that the classifier gets right."""
    pixels = to_pixels(data.images)
    return pixels[corners(pixels).logits.argmax(1) == data.labels]


@pytest.fixture
def made(calibrated: Any, tiny_settings: Any, corner_images: Any) -> Any:
    return calibrated(dataclasses.replace(tiny_settings, early_exit=LENIENT), held_out=corner_images(400, seed=2))


def test_a_bundle_with_an_early_exit_says_what_it_saves_and_keeps_its_promise(
    made: Any, corners: Any, corner_images: Any
) -> None:
    record = made.record.early_exit
    assert record is not None, made.record.notes
    # It asks no auxiliary classifier, which a first look was to take in, too.
    assert (record.looks, made.early_exit.looks) == ((Look.SMOOTHED,), (Look.SMOOTHED,))
    assert made.record.measured["early_exit_kept"] == 1.0
    first = 1 + len(made.record.smoothings)
    share = record.leaving_share
    assert 0.2 < share < 0.9
    assert record.forward_equivalents == pytest.approx(share * first + (1 - share) * made.forward_equivalents)
    assert made.expected_forward_equivalents == record.forward_equivalents
    pixels = correct(corners, corner_images(400, seed=77))
    verdicts = Detector(corners, made, HIGHEST_RATE).inspect(pixels)
    flagged = sum(verdict.decision is Decision.ADVERSARIAL for verdict in verdicts) / len(verdicts)
    # Three standard errors of the share itself and of the threshold, which rests on some sixty images.
    n_both = 1 / len(verdicts) + 1 / len(made.conformal.scores)
    assert flagged <= HIGHEST_RATE + 3 * (HIGHEST_RATE * (1 - HIGHEST_RATE) * n_both) ** 0.5
    left = sum(verdict.outcome is Outcome.LEFT_EARLY for verdict in verdicts) / len(verdicts)
    assert left == pytest.approx(share, abs=3 * (0.25 * n_both) ** 0.5)
    assert float((made.conformal.scores < FLOOR).double().mean()) == share


@pytest.mark.parametrize(("share", "least", "most"), [(0.98, 0.75, 1.0), (0.5, 0.2, 0.8)])
def test_so_many_clean_images_are_ordinary_as_were_to_be(
    calibrated: Any, tiny_settings: Any, corners: Any, corner_images: Any, share: float, least: float, most: float
) -> None:
    """Within what the quantile of a dozen images may be off by."""
    settings = dataclasses.replace(LENIENT, looks=(), ordinary_share=share, most_leaving=0.2)
    made = calibrated(dataclasses.replace(tiny_settings, early_exit=settings), held_out=corner_images(400, seed=2))
    assert made.early_exit is not None, made.record.notes
    pixels = correct(corners, corner_images(400, seed=78))
    features = StraightPaths.of(made, corners, None).complete(pixels).paths.features
    shown = features[:, : made.early_exit.head.n_features]
    is_ordinary = made.early_exit.ordinary(shown) < made.early_exit.ordinary_below
    assert least < float(is_ordinary.double().mean()) <= most


@pytest.mark.parametrize("reason", ["why_not", "why_no_room"])
def test_one_that_does_not_pay_leaves_the_bundle_as_it_was_and_says_why(
    calibrated: Any, bundle: Any, tiny_settings: Any, monkeypatch: Any, reason: str
) -> None:
    monkeypatch.setattr(module, reason, lambda *_: "it does not pay")
    found = calibrated(dataclasses.replace(tiny_settings, early_exit=LENIENT))
    assert (found.early_exit, found.record.early_exit) == (None, None)
    assert torch.equal(found.conformal.scores, bundle.conformal.scores)
    assert found.record.measured["early_exit_kept"] == 0.0
    assert found.record.notes == ("An early exit was tried and left out: it does not pay.",)
    assert found.expected_forward_equivalents == bundle.forward_equivalents


def test_a_bundle_that_searches_gets_no_early_exit(tiny_settings: Any) -> None:
    with pytest.raises(CalibrationError, match="ask for one of them"):
        dataclasses.replace(tiny_settings, early_exit=LENIENT, escalation=EscalationSettings())


def test_settings_that_an_early_exit_cannot_learn_with_are_refused(tiny_settings: Any) -> None:
    with pytest.raises(CalibrationError, match="learns from proxies"):
        dataclasses.replace(
            tiny_settings, early_exit=LENIENT, stream=dataclasses.replace(tiny_settings.stream, proxies=None)
        )
    with pytest.raises(CalibrationError, match="look along 2 paths"):
        dataclasses.replace(tiny_settings, early_exit=LENIENT, auxiliary_prototypes=2)
