import dataclasses

import pytest
import torch
from torch import Generator

from detector.detector import Detector
from detector.low_rank import LowRankGaussians
from detector.presets import Preset, settings_for
from models.registry import load_classifier, registered
from service.bench.made_up import made_up_bundle, random_gaussians
from service.bundles import open_bundle

PASSES = {Preset.FAST: 4, Preset.DEFAULT: 8, Preset.THOROUGH: 26}


@pytest.fixture(scope="module")
def digits():
    return load_classifier("digits").classifier


@pytest.mark.parametrize("preset", Preset)
def test_a_made_up_bundle_costs_what_the_preset_says(digits, preset):
    bundle = made_up_bundle(digits, settings_for(preset), Generator().manual_seed(0))
    assert bundle.forward_equivalents == PASSES[preset]
    images = torch.rand(3, 1, 8, 8, generator=Generator().manual_seed(1))
    assert len(Detector(digits, bundle).inspect(images)) == 3


def test_it_has_the_shapes_of_a_shipped_bundle_that_was_calibrated_with_these_settings(digits):
    settings = dataclasses.replace(settings_for(Preset.DEFAULT), smoothings=())
    bundle, shipped = made_up_bundle(digits, settings, Generator()), open_bundle("digits")
    assert bundle.record.n_features == shipped.record.n_features
    assert bundle.claim_weights.shape == shipped.claim_weights.shape
    assert bundle.record.blocks == shipped.record.blocks


def test_one_seed_makes_one_bundle_and_draws_no_global_numbers(digits):
    state = torch.random.get_rng_state()
    one, other = (made_up_bundle(digits, settings_for(Preset.FAST), Generator().manual_seed(3)) for _ in range(2))
    assert torch.equal(torch.random.get_rng_state(), state)
    for name, tensor in one.head.state_dict().items():
        assert torch.equal(tensor, other.head.state_dict()[name])
    assert torch.equal(one.prototypes.images, other.prototypes.images)


def test_large_blocks_are_of_the_highest_rank_that_calibration_keeps():
    gaussians = random_gaussians(registered("cifar10-resnet18").untrained(0), Generator())
    low = {name: fit for name, fit in gaussians.items() if isinstance(fit, LowRankGaussians)}
    # Of 256 and 512 channels means and deviations are twice as many numbers; flat features are 512, logits 10.
    assert set(low) == {"stages.2", "stages.3", "flatten"}
    assert all(fit.basis.shape[1] == 64 + 9 for fit in low.values())
    basis = low["flatten"].basis
    assert torch.allclose(basis.T @ basis, torch.eye(73), atol=1e-5)


def test_it_says_that_it_is_made_up(digits):
    assert "Made up" in made_up_bundle(digits, settings_for(Preset.FAST), Generator()).record.notes[0]
