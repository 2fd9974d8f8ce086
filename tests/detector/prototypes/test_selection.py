from typing import Any

import pytest
import torch
from torch import Generator, Tensor

from detector.prototypes.selection import Candidates, candidates_by_label, medoids, spread_out
from detector.types import CalibrationError, LabelledImages


def _candidates(*values: float) -> Candidates:
    """Candidates on a line; their indices tell them from their places."""
    return Candidates(
        indices=torch.arange(len(values)) + 100, representations=torch.tensor(values, dtype=torch.float32)[:, None]
    )


def _greys(*quarters: tuple[int, int, int, int]) -> Tensor:
    """Images of 4×4 pixels whose quarters have these brightnesses."""
    quadrants = torch.tensor(quarters, dtype=torch.uint8).view(-1, 1, 2, 2)
    return quadrants.repeat_interleave(2, 2).repeat_interleave(2, 3)


def test_candidates_are_the_correctly_classified_with_the_surest_first(corners: Any) -> None:
    images = _greys((90, 80, 0, 0), (80, 90, 0, 0), (90, 0, 0, 0), (90, 70, 0, 0), (0, 0, 9, 0))
    references = LabelledImages(images=images, labels=torch.tensor([0, 0, 0, 0, 2]))
    found = candidates_by_label(corners, references, chunk=2)
    assert {label: part.indices.tolist() for label, part in found.items()} == {0: [2, 3, 0], 2: [4]}
    torch.testing.assert_close(found[2].representations, torch.tensor([[0.0, 0.0, 9 / 255, 0.0]]))
    assert max(corners.batches) == 2


def test_a_classifier_that_gets_nothing_right_is_refused(corners: Any) -> None:
    references = LabelledImages(images=_greys((9, 0, 0, 0)), labels=torch.tensor([3]))
    with pytest.raises(CalibrationError, match="none of the 1 reference images right"):
        candidates_by_label(corners, references, chunk=8)


def test_the_best_comes_first_then_always_the_farthest_from_all_chosen() -> None:
    # The second half, of higher loss, takes no part.
    candidates = _candidates(0.0, 1.0, 10.0, 6.0, 99.0, -99.0, 50.0, 50.0)
    assert spread_out(candidates, 3).tolist() == [100, 102, 103]


def test_few_candidates_take_part_whatever_their_loss() -> None:
    assert sorted(spread_out(_candidates(0.0, 1.0, 5.0), 3).tolist()) == [100, 101, 102]


def test_too_few_candidates_are_repeated() -> None:
    assert spread_out(_candidates(0.0), 3).tolist() == [100] * 3


def test_medoids_are_the_images_nearest_to_the_centres_of_the_clusters() -> None:
    candidates = _candidates(0.0, 1.0, 2.1, 50.0, 51.0, 52.1)
    assert sorted(medoids(candidates, 2, Generator().manual_seed(0)).tolist()) == [101, 104]


def test_fewer_distinct_images_than_medoids_are_repeated() -> None:
    found = medoids(_candidates(3.0, 3.0, 7.0), 4, Generator().manual_seed(0)).tolist()
    assert len(found) == 4
    assert set(found) <= {100, 101, 102}
    assert 102 in found


def test_choosing_draws_no_global_random_numbers(untouched_randomness: None) -> None:
    medoids(_candidates(0.0, 1.0, 5.0, 6.0), 2, Generator().manual_seed(0))
