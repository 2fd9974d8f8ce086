import math
from typing import Any

import pytest
import torch
from torch import Generator

from detector.types import LabelledImages
from service.bench.peers.papers_barrier import RealEnds, drawn_ends, papers_optimised, papers_statistic
from service.bench.peers.papers_procedure import N_POINTS

MIDDLE = 0.5


@pytest.fixture
def ends() -> RealEnds:
    """Of label 0, on the left edge; label 1 has none."""
    images = torch.tensor([[[[0.0, 0.5]]], [[[0.0, 0.0]]]])
    return RealEnds(images=images, is_there=torch.tensor([True, False]))


def test_the_statistic_is_the_cross_entropy_in_the_middle_of_what_lies_between(radial: Any, ends: RealEnds) -> None:
    # The path goes through the middle, where label 1 leads by 20 / 16; beside it, at 0.3, it does not reach label 1.
    images = torch.tensor([[[[1.0, 0.5]]], [[[0.0, 0.9]]]])
    peer = papers_statistic(radial, ends)
    through, beside = peer.scores(images).tolist()
    assert through == pytest.approx(math.log1p(math.exp(20 / 16)), abs=1e-3)
    # Label 0 is surest at the far end, and at the end of all paths it has the margin 20 · (1/4 − 1/16).
    assert beside == pytest.approx(math.log1p(math.exp(-20 * (0.25 - 1 / 16))), rel=1e-4)
    assert sum(radial.batches) == 2 * peer.forward_equivalents == 2 * (1 + N_POINTS)
    assert max(radial.batches) == N_POINTS


def test_an_image_of_a_label_without_an_end_scores_infinity(radial: Any, ends: RealEnds) -> None:
    middle = torch.full((1, 1, 1, 2), MIDDLE)
    for peer in (papers_statistic(radial, ends), papers_optimised(radial, ends)):
        assert peer.scores(middle).tolist() == [math.inf]


def test_the_bent_path_goes_round_the_disc_that_the_straight_one_crosses(radial: Any, ends: RealEnds) -> None:
    # A little beside the middle line, so that there is a slope to one side.
    image = torch.tensor([[[[1.0, 0.6]]]])
    straight = papers_statistic(radial, ends).scores(image).item()
    radial.batches.clear()
    n_steps = 150
    peer = papers_optimised(radial, ends, n_steps)
    bent = peer.scores(image).item()
    assert straight > math.log1p(math.exp(1))
    # A leg by way of the upper edge stays 0.39 from the middle of the disc.
    assert bent == pytest.approx(math.log1p(math.exp(20 * (0.25**2 - 0.39**2))), rel=0.3)
    assert sum(radial.batches) == peer.forward_equivalents - 2 * n_steps


def test_ends_are_fitting_images_of_their_label(toy: Any) -> None:
    classifier = toy(lambda pixels: pixels.flatten(1), n_labels=3, input_shape=(1, 1, 3))
    stored = torch.arange(60).view(20, 1, 1, 3).to(torch.uint8)
    fitting = LabelledImages(images=stored, labels=torch.arange(20) % 2)
    ends = drawn_ends(classifier, fitting, Generator().manual_seed(0))
    assert ends.is_there.tolist() == [True, True, False]
    for label in (0, 1):
        of_label = stored[fitting.labels == label].flatten(1).tolist()
        assert (ends.images[label] * 255).round().flatten().tolist() in of_label
