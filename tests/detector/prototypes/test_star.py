from typing import Any

import pytest
import torch
from torch import Generator, Tensor

from detector.paths import barrier_height, straight_paths
from detector.potentials import cross_entropy
from detector.prototypes.star import StarSettings, _stratified, star_centres
from detector.types import StoredImages, no_progress, to_pixels

MIXING = torch.linspace(0, 1, 41)
AROUND = torch.tensor([[13, 128], [128, 13]], dtype=torch.uint8).view(2, 1, 1, 2)
"""Two images of label 0, to the left of the disc of label 1 and above it."""


def _centre(
    classifier: Any, start: Tensor, members: StoredImages, settings: StarSettings, seed: int = 0, chunk: int = 7
) -> Tensor:
    generator = Generator().manual_seed(seed)
    label = torch.zeros(len(start), dtype=torch.int64)
    # Images that are no members stand before the members.
    references = torch.cat([255 - members, members])
    own = {0: torch.arange(len(members), 2 * len(members))}
    return star_centres(classifier, label, start, references, own, settings, generator, chunk, no_progress)


def _mean_barrier(classifier: Any, centre: Tensor, members: StoredImages) -> float:
    """In nats, over the straight paths from one centre to every image of label 0."""
    images = to_pixels(members)
    paths = straight_paths(images, centre.expand_as(images), MIXING)
    labels = torch.zeros(paths.shape[0] * paths.shape[1], dtype=torch.int64)
    profile = cross_entropy(classifier(paths.flatten(0, 1)).logits, labels)
    return barrier_height(profile.view(len(images), -1)).mean().item()


def test_a_centre_moves_to_where_the_disc_hides_none_of_its_class(radial: Any) -> None:
    """From the right the disc hides the image on the left; from the upper left corner both are in view."""
    start = torch.tensor([0.8, 0.1]).view(1, 1, 1, 2)
    found = _centre(radial, start, AROUND, StarSettings(steps=300, images=16))
    before, after = (_mean_barrier(radial, centre, AROUND) for centre in (start, found))
    # The line to the left passes the middle at d = .2106, that to the top at .4434: log(1 + exp(20 · (1/16 - d²))) is
    # .8910 and .0662 nats there, and .0600 at the images themselves, which lie higher than the start.
    assert before == pytest.approx((0.8910 + 0.0662) / 2 - 0.0600, abs=0.002)
    assert after < 0.02


def test_a_centre_that_sees_all_of_its_class_stays_in_it(corners: Any) -> None:
    bright = torch.full((3, 1, 4, 4), 76, dtype=torch.uint8)
    bright[:, 0, :2, :2] = torch.tensor([90, 100, 110], dtype=torch.uint8)[:, None, None]
    start = torch.full((2, 1, 4, 4), 0.3)
    start[:, 0, 2:, 2:] += 0.1
    found = _centre(corners, start, bright, StarSettings(steps=100, images=8))
    assert corners(start).logits.argmax(1).tolist() == [3, 3]
    assert corners(found).logits.argmax(1).tolist() == [0, 0]
    assert _mean_barrier(corners, found[:1], bright) < 1e-3 < _mean_barrier(corners, start[:1], bright) + 1
    assert ((found > 0) & (found < 1)).all()


def test_without_a_step_only_the_ends_of_the_range_are_pulled_in(radial: Any) -> None:
    start = torch.tensor([[0.0, 0.3], [0.5, 1.0]]).view(2, 1, 1, 2)
    found = _centre(radial, start, AROUND, StarSettings(steps=0))
    torch.testing.assert_close(found.flatten(), torch.tensor([0.02, 0.3, 0.5, 0.98]))


def test_how_points_are_cut_into_passes_does_not_matter_and_bounds_them(radial: Any) -> None:
    start = torch.tensor([[0.1, 0.3], [0.7, 0.9]]).view(2, 1, 1, 2)
    settings = StarSettings(steps=3, images=5)
    whole = _centre(radial, start, AROUND, settings, chunk=100)
    assert max(radial.batches) == 10
    radial.batches.clear()
    torch.testing.assert_close(_centre(radial, start, AROUND, settings, chunk=3), whole)
    assert max(radial.batches) == 3


def test_one_seed_finds_one_centre_without_global_random_numbers(radial: Any, untouched_randomness: None) -> None:
    start = torch.tensor([0.1, 0.3]).view(1, 1, 1, 2)
    first, second, other = (_centre(radial, start, AROUND, StarSettings(steps=5), seed) for seed in (0, 0, 1))
    assert torch.equal(first, second)
    assert not torch.equal(first, other)


def test_every_part_of_the_way_is_visited_once() -> None:
    drawn = _stratified(8, Generator().manual_seed(0))
    assert (8 * drawn).floor().sort().values.tolist() == list(range(8))
    assert drawn.tolist() != sorted(drawn.tolist())
