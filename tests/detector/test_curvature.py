import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from detector.curvature import most_promising, predicted_barriers, rank_correlation
from detector.paths import barrier_height
from detector.types import DetectorError

COEFFICIENT = st.floats(-4, 4, width=32)
STARTS, ENDS = torch.zeros(1, 1, 1, 2), torch.tensor([[[[1.0, 0.5]]]])


def along_the_first_pixel(*coefficients: float):
    """A potential that is this polynomial of the first pixel, lowest power first; the second pixel bends it not."""

    def potential(points: Tensor, paths: Tensor) -> Tensor:
        return sum(value * points[:, 0, 0, 0] ** power for power, value in enumerate(coefficients))

    return potential


def bowl(points: Tensor, paths: Tensor) -> Tensor:
    """Upside down: 8 − 8·|point − ½|², so that the middle of the unit square is its top."""
    return 8 - 8 * (points - 0.5).square().flatten(1).sum(1)


@given(coefficients=st.lists(COEFFICIENT, min_size=1, max_size=4))
def test_every_polynomial_up_to_a_cubic_is_predicted_exactly(coefficients: list[float]) -> None:
    prediction = predicted_barriers(along_the_first_pixel(*coefficients), STARTS.double(), ENDS.double())
    places = torch.linspace(0, 1, 4001, dtype=torch.float64).view(-1, 1, 1, 1)
    profile = along_the_first_pixel(*coefficients)(places, torch.zeros(4001))
    assert prediction.barriers.item() == pytest.approx(barrier_height(profile.expand(4001)[None]).item(), abs=1e-5)


def test_slope_and_curvature_are_those_along_the_whole_chord() -> None:
    # 3x − 5x² + 2x³ with x = 2t is 6t − 20t² + …: slope 6, curvature −40.
    prediction = predicted_barriers(along_the_first_pixel(0.0, 3.0, -5.0, 2.0), STARTS, 2 * ENDS)
    assert prediction.slopes.tolist() == [6.0]
    assert prediction.curvatures.tolist() == [-40.0]


def test_an_upturned_bowl_rises_by_an_eighth_of_its_curvature_in_the_middle() -> None:
    prediction = predicted_barriers(bowl, STARTS, torch.ones(1, 1, 1, 2))
    assert prediction.curvatures.tolist() == [-32.0]
    assert prediction.barriers.tolist() == [4.0]


def test_a_path_that_leaves_a_minimum_for_an_end_of_its_height_rises_before_it_falls() -> None:
    # t²·(1 − t) is highest at two thirds: 4/27, where the curvature at the start, 2, over 8 would say a quarter.
    prediction = predicted_barriers(along_the_first_pixel(0.0, 0.0, 1.0, -1.0), STARTS, ENDS)
    assert prediction.barriers.item() == pytest.approx(4 / 27)


def test_a_known_end_value_takes_the_place_of_the_potential_there() -> None:
    # 1 − t² with an end at 1: the cubic is 1 − t² + t³, which never rises above its ends.
    flat = along_the_first_pixel(1.0, 0.0, -1.0)
    asked: list[int] = []

    def counted(points: Tensor, paths: Tensor) -> Tensor:
        asked.append(len(points))
        return flat(points, paths)

    assert predicted_barriers(counted, STARTS, ENDS, end_values=torch.tensor([1.0])).barriers.tolist() == [0.0]
    assert asked == [1]
    # With t − t² and an end at −2 it is t − t² − 2t³: highest at (√7 − 1)/6.
    place = (math.sqrt(7) - 1) / 6
    tilted = predicted_barriers(
        along_the_first_pixel(0.0, 1.0, -1.0), STARTS, ENDS, end_values=torch.tensor([-2.0])
    ).barriers.item()
    assert tilted == pytest.approx(place - place**2 - 2 * place**3)


@pytest.mark.parametrize("coefficients", [(2.0,), (0.0, 3.0), (0.0, -3.0)])
def test_a_constant_or_linear_potential_has_no_barrier(coefficients: tuple[float, ...]) -> None:
    prediction = predicted_barriers(along_the_first_pixel(*coefficients), STARTS, ENDS)
    assert prediction.barriers.tolist() == prediction.curvatures.tolist() == [0.0]


def test_a_path_to_itself_has_no_barrier() -> None:
    points = torch.rand(4, 1, 1, 2, generator=torch.Generator().manual_seed(0))
    prediction = predicted_barriers(bowl, points, points)
    assert prediction.barriers.tolist() == prediction.slopes.tolist() == prediction.curvatures.tolist() == [0.0] * 4


def test_a_path_does_not_depend_on_the_others_nor_on_the_size_of_a_pass() -> None:
    starts, ends = torch.rand(2, 7, 1, 1, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)

    def tilted(points: Tensor, paths: Tensor) -> Tensor:
        return bowl(points, paths) + torch.linspace(-3, 3, 7, dtype=points.dtype)[paths] * points[:, 0, 0, 0]

    together = predicted_barriers(tilted, starts, ends)
    in_threes = predicted_barriers(tilted, starts, ends, pixels_per_pass=6)
    # Alone, a path must still be the third for the potential to know it.
    alone = predicted_barriers(lambda points, paths: tilted(points, paths + 3), starts[3:4], ends[3:4])
    assert together.barriers.count_nonzero() > 2
    torch.testing.assert_close(in_threes.barriers, together.barriers, rtol=0, atol=1e-12)
    torch.testing.assert_close(alone.barriers[0], together.barriers[3], rtol=0, atol=1e-12)


def test_memory_is_bounded_by_the_pass() -> None:
    largest = []

    def watched(points: Tensor, paths: Tensor) -> Tensor:
        largest.append(len(points))
        return bowl(points, paths)

    predicted_barriers(watched, STARTS.expand(10, -1, -1, -1), ENDS.expand(10, -1, -1, -1), pixels_per_pass=8)
    assert max(largest) == 4


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_a_potential_that_is_not_finite_gives_nan_on_its_own_path_alone(bad: float) -> None:
    def broken(points: Tensor, paths: Tensor) -> Tensor:
        return torch.where(paths == 1, bad, bowl(points, paths))

    prediction = predicted_barriers(broken, STARTS.expand(3, -1, -1, -1), torch.ones(3, 1, 1, 2))
    assert prediction.barriers.isnan().tolist() == [False, True, False]


def test_gradients_are_found_even_where_the_caller_wants_none() -> None:
    with torch.no_grad():
        prediction = predicted_barriers(bowl, STARTS, torch.ones(1, 1, 1, 2))
    assert prediction.barriers.tolist() == [4.0]
    assert not prediction.barriers.requires_grad


def test_no_path_gives_no_prediction() -> None:
    assert predicted_barriers(bowl, STARTS[:0], ENDS[:0]).barriers.shape == (0,)


def test_the_most_promising_prototype_is_the_one_whose_path_does_not_cross_the_ridge() -> None:
    prototypes = torch.tensor([[1.0, 1.0], [0.0, 0.25], [1.0, 0.0]]).view(1, 3, 1, 1, 2).repeat(2, 1, 1, 1, 1)
    # The second image stands at (1, 1): there it is the first prototype that does not lead over the top.
    images = torch.tensor([[0.0, 0.0], [1.0, 1.0]]).view(2, 1, 1, 2)
    steep = most_promising(bowl, images, prototypes)
    assert steep.tolist() == [1, 0]


def test_prototypes_share_the_pass_at_the_image() -> None:
    asked: list[int] = []

    def counted(points: Tensor, paths: Tensor) -> Tensor:
        asked.append(len(points))
        return bowl(points, paths)

    prototypes = torch.rand(2, 3, 1, 1, 2, generator=torch.Generator().manual_seed(0))
    values = bowl(prototypes.flatten(0, 1), torch.zeros(6)).view(2, 3)
    known = most_promising(counted, torch.zeros(2, 1, 1, 2), prototypes, end_values=values)
    assert asked == [2]
    assert torch.equal(known, most_promising(bowl, torch.zeros(2, 1, 1, 2), prototypes))


def test_prototypes_of_a_star_are_predicted_as_if_each_were_alone() -> None:
    generator = torch.Generator().manual_seed(3)
    images = torch.rand(20, 1, 1, 2, generator=generator)
    prototypes = torch.rand(20, 3, 1, 1, 2, generator=generator)
    columns = [predicted_barriers(bowl, images, prototypes[:, column]).barriers for column in range(3)]
    chosen = most_promising(bowl, images, prototypes)
    assert torch.equal(chosen, torch.stack(columns, 1).argmin(1))
    assert len(chosen.unique()) > 1


def test_a_prediction_that_is_not_finite_is_never_preferred() -> None:
    prototypes = torch.tensor([[0.0, 0.25], [1.0, 1.0]]).view(1, 2, 1, 1, 2)
    assert most_promising(bowl, STARTS, prototypes).tolist() == [0]
    assert most_promising(bowl, STARTS, prototypes, end_values=torch.tensor([[math.nan, 4.0]])).tolist() == [1]


def test_choosing_among_no_prototypes_is_refused() -> None:
    with pytest.raises(DetectorError, match="no prototype to choose from"):
        most_promising(bowl, STARTS, torch.zeros(1, 0, 1, 1, 2))


def test_rank_correlation_sees_order_alone_and_shares_ranks_between_ties() -> None:
    values = torch.tensor([0.0, 1.0, 2.0, 5.0])
    assert rank_correlation(values.exp(), values) == pytest.approx(1)
    assert rank_correlation(-values, values) == pytest.approx(-1)
    # Ranks 1, 2.5, 2.5, 4 against 1, 2, 3, 4: 4.5 / √(4.5 · 5).
    assert rank_correlation(torch.tensor([0.0, 1.0, 1.0, 2.0]), values) == pytest.approx(math.sqrt(0.9))


def test_what_does_not_vary_has_no_rank_correlation() -> None:
    assert math.isnan(rank_correlation(torch.zeros(3), torch.arange(3.0)))
    assert math.isnan(rank_correlation(torch.tensor([0.0, math.nan, 1.0]), torch.arange(3.0)))


@pytest.mark.parametrize(("n_predicted", "n_true"), [(1, 1), (3, 2)])
def test_too_few_or_unpaired_values_are_refused(n_predicted: int, n_true: int) -> None:
    with pytest.raises(DetectorError, match=f"{n_predicted} predictions came with {n_true} true values"):
        rank_correlation(torch.zeros(n_predicted), torch.zeros(n_true))
