from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Generator

from detector.potentials import cross_entropy
from detector.types import no_progress
from models.registry import registered
from service.errors import InputError
from service.studies.report import StudyRequest
from service.studies.serialised import as_document
from service.studies.untrained import run, settings_for, study_untrained
from service.studies.untrained_networks import (
    Reading,
    logits_of,
    noise_inputs,
    optimised_inputs,
    standardised,
    take_batch_statistics,
)
from service.studies.untrained_report import findings_of, gain, share_below, unanimous
from service.studies.untrained_searching import MAIN, ROUNDS, STRAIGHT, TWO, Condition, Searched, UntrainedSettings

DIGITS = registered("digits")


def searched(condition: Condition, joined_by: dict[str, int], n_pairs: int = 40) -> Searched:
    """Pairs of which so many are joined by each effort."""
    efforts = (STRAIGHT, *condition.rounds)
    highest = {name: np.where(np.arange(n_pairs) < joined_by.get(name, n_pairs), 0.01, 1.0) for name in efforts}
    return Searched(
        condition=condition,
        highest=highest,
        profiles={name: np.zeros((n_pairs, 3)) for name in efforts},
        networks=np.zeros(n_pairs),
        n_dropped=0,
        forward_equivalents=1,
        spread=0.1,
        least_raw_loss=2.0,
    )


@pytest.mark.parametrize("reading", Reading)
def test_standardised_logits_are_centred_and_as_spread_as_their_reading_says(reading: Reading) -> None:
    noise = noise_inputs(64, DIGITS.input_shape, Generator().manual_seed(0))
    logits = standardised(DIGITS, reading, 0, noise)(noise).logits
    assert torch.allclose(logits.mean(0), torch.zeros(10), atol=1e-3)
    assert logits.std().item() == pytest.approx(4 if reading is Reading.SHARP else 1, rel=0.02)


def test_batch_statistics_are_those_of_the_one_batch_and_weights_stay() -> None:
    network = DIGITS.untrained(0)
    weights = network.network.stages[0][0].weight.clone()
    noise = noise_inputs(32, DIGITS.input_shape, Generator().manual_seed(0))
    take_batch_statistics(network, noise)
    with torch.no_grad():
        hidden = network.network.stages[0][0]((noise - network.mean) / network.std)
    assert torch.allclose(network.network.stages[0][1].running_mean, hidden.mean((0, 2, 3)), atol=1e-5)
    assert torch.equal(network.network.stages[0][0].weight, weights)
    assert torch.equal(logits_of(network, noise), logits_of(network, noise))


def test_optimised_inputs_have_the_loss_that_is_said_and_stop_when_it_is_low() -> None:
    generator = Generator().manual_seed(0)
    classifier = standardised(DIGITS, Reading.NORMALISED, 0, noise_inputs(64, DIGITS.input_shape, generator))
    labels = torch.arange(4)
    inputs, losses = optimised_inputs(classifier, labels, low=0.05, most_steps=200, generator=generator)
    assert torch.allclose(cross_entropy(classifier(inputs).logits, labels), losses, atol=1e-4)
    assert (losses <= 0.05).all()
    assert float(inputs.min()) >= 0
    assert float(inputs.max()) <= 1


def test_without_steps_inputs_are_noise_of_high_loss() -> None:
    generator = Generator().manual_seed(0)
    classifier = standardised(DIGITS, Reading.SHARP, 0, noise_inputs(64, DIGITS.input_shape, generator))
    _, losses = optimised_inputs(classifier, torch.arange(10), low=0.01, most_steps=1, generator=generator)
    assert losses.mean() > 1


def test_a_share_under_a_threshold_counts_what_is_no_higher() -> None:
    shares = share_below(np.array([0.1, 0.2, 0.4]), np.array([0.05, 0.2, 1]))
    assert shares.tolist() == pytest.approx([0, 2 / 3, 1])


def test_the_gain_of_a_round_is_the_share_it_adds() -> None:
    found = gain(searched(MAIN[0], {"one round": 10, TWO: 30}), "one round", TWO, 0.1, seed=0)
    assert found is not None
    assert found.value == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("low_ends", "lower_ends", "expected"), [(38, 38, True), (2, 2, False), (2, 38, None), (20, 20, None)]
)
def test_two_rounds_agree_only_if_they_do_for_ends_of_every_height(
    low_ends: int, lower_ends: int, expected: bool | None
) -> None:
    counts = zip(MAIN, (lower_ends, low_ends), strict=True)
    found = [searched(condition, {STRAIGHT: 0, "one round": 0, TWO: n}) for condition, n in counts]
    assert findings_of(found, 0.1, seed=0)[0].agrees is expected


def test_verdicts_that_differ_leave_it_open() -> None:
    assert (unanimous([True, True]), unanimous([True, False]), unanimous([False, False])) == (True, None, False)


@pytest.mark.usefixtures("few_resamples")
def test_the_smallest_study_lowers_its_paths_with_every_effort() -> None:
    settings = UntrainedSettings(networks=1, pairs=2, noise=32, joined=0.3)
    report = study_untrained("digits", settings, 0, no_progress)
    assert len(report.findings) == 4
    conditions = as_document(report)["data"]["conditions"]
    assert len(conditions) == 4
    for found in conditions.values():
        efforts = np.array([found["highest"][name] for name in (STRAIGHT, *ROUNDS) if name in found["highest"]])
        assert efforts.shape[1] == 2 - found["dropped_pairs"] > 0
        assert (np.diff(efforts, axis=0) <= 0).all()


def test_pairs_are_made_a_dozen_a_network() -> None:
    assert (settings_for(48).networks, settings_for(48).pairs) == (4, 12)
    assert (settings_for(5).networks, settings_for(5).pairs) == (1, 5)


@pytest.mark.parametrize("asked", [{"train": "digits:training"}, {"held_out": "x"}, {"device": "cuda"}, {"limit": 1}])
def test_what_the_study_has_no_use_for_is_refused(asked: dict[str, str | int]) -> None:
    with pytest.raises(InputError):
        run(StudyRequest(out=Path("unused"), **asked), no_progress)
