import numpy as np
import pytest
import torch

from detector.search import SearchOutcome, SearchResult, SearchSettings
from detector.types import no_progress
from service.studies.bypassing import bypass_pairs, moves
from service.studies.subject import Pairs

SEARCH = SearchSettings(budget=300, patience=32)


def test_a_bypass_goes_round_a_disc_that_the_straight_path_crosses(radial):
    pairs = Pairs(
        starts=torch.tensor([[[[0.1, 0.45]]], [[[0.02, 0.0]]]]),
        ends=torch.tensor([[[[0.9, 0.45]]], [[[0.98, 0.0]]]]),
        labels=torch.tensor([0, 0]),
    )
    found = bypass_pairs(radial, pairs, SEARCH, no_progress)
    assert found.rises.tolist()[0]
    # One bend cannot be lower than the loss at the edge it passes, yet lies below the straight path's.
    assert found.once.barriers[0] < found.once.straight_barriers[0]
    assert found.forward_equivalents == sum(
        int(result.forward_equivalents.sum()) for result in (found.once, found.twice, found.gentle)
    )


def test_how_far_the_highest_point_moves_is_measured_in_percent_of_the_pixel_range():
    profile = torch.tensor([[0.0, 3.0, 1.0, 0.0, 0.0]] * 3)
    pairs = Pairs(starts=torch.zeros(3, 1, 1, 2), ends=torch.ones(3, 1, 1, 2), labels=torch.zeros(3, dtype=torch.int64))
    # The highest point stands at a quarter of the way: (0.25, 0.25).
    bends = torch.tensor([[0.25, 0.31], [0.25, 0.31], [0.25, 0.25]]).view(3, 1, 1, 1, 2)
    result = SearchResult(
        nodes=torch.cat([pairs.starts[:, None], bends, pairs.ends[:, None]], 1),
        profiles=profile,
        barriers=torch.tensor([0.0, 2.0, 0.0]),
        straight_profiles=profile,
        straight_barriers=torch.tensor([3.0, 3.0, 0.0]),
        n_steps=torch.ones(3, dtype=torch.int64),
        forward_equivalents=torch.ones(3, dtype=torch.int64),
        outcomes=(SearchOutcome.FLATTENED, SearchOutcome.CONVERGED, SearchOutcome.NO_BARRIER),
    )
    moved, share = moves(result, pairs, flat=1e-3)
    # The second of two pixels rose by 6 %; the other two paths keep their barrier, or never had one.
    assert moved[0] == pytest.approx(3)
    assert share[0] == pytest.approx(0.06 / 2**0.5)
    assert np.isnan(moved[1:]).all() and np.isnan(share[1:]).all()


def test_a_path_without_a_barrier_moves_nowhere(linear):
    points = torch.zeros(1, 1, 2, 2)
    pairs = Pairs(starts=points, ends=points + 0.01, labels=torch.tensor([0]))
    found = bypass_pairs(linear, pairs, SEARCH, no_progress)
    assert not found.rises.any()
    assert torch.tensor(found.moved).isnan().all()
