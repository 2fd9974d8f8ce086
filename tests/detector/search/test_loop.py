import itertools
import math
from typing import Any

import pytest
import torch
from torch import Tensor

from detector.search import MethodName, SearchOutcome, SearchSettings, method_named, search_paths
from detector.search.bypass import Bypass
from detector.search.elastic_band import neb
from detector.search.fire import FireSettings
from detector.types import DetectorError

EVERY_METHOD = [pytest.param(method_named(name), id=name) for name in MethodName]
PLAIN_BYPASS = Bypass(deviation=0.0, high_frequency=0.0)


def pixels(*pairs: tuple[float, float]) -> Tensor:
    return torch.tensor(pairs, dtype=torch.float64).view(-1, 1, 1, 2)


def ridge(x: Tensor, y: Tensor) -> Tensor:
    """1 high at y = ½, a pass of 0.25 at y = 0.9."""
    return (0.25 + 0.75 * ((y - 0.9) / 0.4) ** 2) * torch.exp(-((x - 0.5) ** 2) / 0.02)


LEFT, RIGHT = (0.1, 0.5), (0.9, 0.5)
RIDGE_BARRIER = 1 - math.exp(-(0.4**2) / 0.02)
PASS_BARRIER = 0.25 - math.exp(-(0.4**2) / 0.02)


@pytest.mark.parametrize("method", EVERY_METHOD)
def test_a_quadratic_bowl_has_no_barrier_to_search(method: Any, surface: Any) -> None:
    bowl = surface(lambda x, y: (x - 0.3) ** 2 + 2 * (y - 0.6) ** 2)
    found = search_paths(bowl, pixels((0.1, 0.9)), pixels((0.8, 0.2)), method)
    assert found.outcomes == (SearchOutcome.NO_BARRIER,)
    assert found.barriers.tolist() == [0.0]
    assert found.n_steps.tolist() == [0]


@pytest.mark.parametrize("method", EVERY_METHOD)
def test_a_constant_potential_has_no_barrier_to_search(method: Any, surface: Any) -> None:
    found = search_paths(surface(lambda x, _: 0 * x + 3), pixels(LEFT), pixels(RIGHT), method)
    assert found.outcomes == (SearchOutcome.NO_BARRIER,)


@pytest.mark.parametrize("method", EVERY_METHOD)
def test_the_straight_barrier_is_the_ridges_height(method: Any, surface: Any) -> None:
    found = search_paths(surface(ridge), pixels(LEFT), pixels(RIGHT), method)
    assert found.straight_barriers.item() == pytest.approx(RIDGE_BARRIER, abs=1e-12)


@pytest.mark.parametrize("method", EVERY_METHOD)
def test_no_method_returns_a_path_above_the_straight_one_or_below_the_pass(method: Any, surface: Any) -> None:
    found = search_paths(surface(ridge), pixels(LEFT), pixels(RIGHT), method)
    assert PASS_BARRIER - 5e-3 <= found.barriers.item() <= 0.6


@pytest.mark.parametrize("method", EVERY_METHOD)
def test_ends_are_kept_and_every_node_stays_in_the_box(method: Any, surface: Any) -> None:
    hilly = surface(lambda x, y: torch.sin(9 * x) * torch.cos(7 * y))
    starts, ends = pixels((0.0, 0.0), (1.0, 0.0), (0.3, 1.0)), pixels((1.0, 1.0), (0.0, 1.0), (0.7, 0.0))
    found = search_paths(hilly, starts, ends, method)
    assert torch.equal(found.nodes[:, 0], starts)
    assert torch.equal(found.nodes[:, -1], ends)
    assert ((found.nodes >= 0) & (found.nodes <= 1)).all()


@pytest.mark.parametrize("method", EVERY_METHOD)
def test_a_path_alone_and_among_others_are_found_alike(method: Any, surface: Any) -> None:
    starts = pixels(*itertools.product((0.05, 0.1, 0.2), (0.3, 0.5, 0.7)))
    ends = pixels(*itertools.product((0.95, 0.9, 0.8), (0.4, 0.6, 0.5)))
    together = search_paths(surface(ridge), starts, ends, method, SearchSettings(paths_at_once=4))
    alone = [search_paths(surface(ridge), starts[i : i + 1], ends[i : i + 1], method) for i in range(len(starts))]
    assert torch.equal(together.nodes, torch.cat([one.nodes for one in alone]))
    assert torch.equal(together.barriers, torch.cat([one.barriers for one in alone]))
    assert torch.equal(together.n_steps, torch.cat([one.n_steps for one in alone]))
    assert torch.equal(together.forward_equivalents, torch.cat([one.forward_equivalents for one in alone]))
    assert together.outcomes == tuple(outcome for one in alone for outcome in one.outcomes)


@pytest.mark.parametrize("method", [PLAIN_BYPASS, neb(steps=60)], ids=["bypass", "neb"])
def test_turning_the_input_turns_the_path(method: Any, surface: Any) -> None:
    """Mirrored at the diagonal: Adam is not invariant under other rotations, which the next test gives to NEB alone."""
    plain = search_paths(surface(ridge), pixels(LEFT), pixels(RIGHT), method)
    turned = search_paths(surface(lambda x, y: ridge(y, x)), pixels(LEFT[::-1]), pixels(RIGHT[::-1]), method)
    torch.testing.assert_close(turned.nodes.flip(-1), plain.nodes, rtol=0, atol=1e-12)


def test_a_band_does_not_care_how_the_input_is_rotated(surface: Any) -> None:
    angle = math.radians(30)
    turn = torch.tensor([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]], dtype=torch.float64)

    def turned(points: Tensor, rotation: Tensor) -> Tensor:
        return ((points.flatten(1) - 0.5) @ rotation.T + 0.5).view_as(points)

    def rotated_ridge(x: Tensor, y: Tensor) -> Tensor:
        back = turned(torch.stack([x, y], 1).view(-1, 1, 1, 2), turn.T).flatten(1)
        return ridge(back[:, 0], back[:, 1])

    start, end = pixels((0.3, 0.5)), pixels((0.7, 0.5))
    # Short moves: at the walls of the box a turn would make a difference.
    method = neb(steps=20, fire=FireSettings(longest_move=0.02))
    plain = search_paths(surface(ridge), start, end, method)
    found = search_paths(surface(rotated_ridge), turned(start, turn), turned(end, turn), method)
    nodes = turned(found.nodes.flatten(0, 1), turn.T).view_as(plain.nodes)
    torch.testing.assert_close(nodes, plain.nodes, rtol=0, atol=1e-9)


def test_finished_paths_make_room_for_those_that_wait(surface: Any) -> None:
    potential = surface(ridge)
    starts, ends = pixels(*[LEFT] * 10), pixels(*[RIGHT] * 10)
    found = search_paths(potential, starts, ends, PLAIN_BYPASS, SearchSettings(paths_at_once=3))
    assert len(found.outcomes) == 10
    assert len(set(found.barriers.tolist())) == 1


def test_forward_passes_are_bounded_whatever_the_number_of_paths(surface: Any) -> None:
    potential = surface(ridge)
    settings = SearchSettings(paths_at_once=50, pixels_per_pass=2 * 7)
    search_paths(potential, pixels(*[LEFT] * 50), pixels(*[RIGHT] * 50), PLAIN_BYPASS, settings)
    assert max(potential.passes) == 7


def test_what_a_path_cost_is_what_was_evaluated(surface: Any) -> None:
    values, gradients = [], []

    def counting(points: Tensor, paths: Tensor) -> Tensor:
        (gradients if points.requires_grad else values).append(len(points))
        return ridge(points[:, 0, 0, 0], points[:, 0, 0, 1])

    found = search_paths(counting, pixels(LEFT), pixels(RIGHT), PLAIN_BYPASS)
    assert found.forward_equivalents.item() == sum(values) + 3 * sum(gradients)


@pytest.mark.parametrize("method", EVERY_METHOD)
@pytest.mark.parametrize("budget", [0, 40, 100, 300])
def test_no_path_costs_more_than_its_budget_beyond_the_straight_path(method: Any, budget: int, surface: Any) -> None:
    found = search_paths(surface(ridge), pixels(LEFT), pixels(RIGHT), method, SearchSettings(budget=budget))
    assert found.forward_equivalents.item() <= max(budget, 33)


def test_without_a_budget_the_straight_path_is_what_one_gets(surface: Any) -> None:
    found = search_paths(surface(ridge), pixels(LEFT), pixels(RIGHT), PLAIN_BYPASS, SearchSettings(budget=0))
    assert found.outcomes == (SearchOutcome.OUT_OF_BUDGET,)
    assert found.barriers.item() == pytest.approx(RIDGE_BARRIER)
    assert found.n_steps.tolist() == [0]


def test_a_path_of_no_length_is_said_to_be_one(surface: Any) -> None:
    found = search_paths(surface(ridge), pixels(LEFT), pixels(LEFT), PLAIN_BYPASS)
    assert found.outcomes == (SearchOutcome.NO_LENGTH,)
    assert found.barriers.tolist() == [0.0]


@pytest.mark.parametrize("bad", [math.nan, math.inf])
@pytest.mark.parametrize("method", EVERY_METHOD)
def test_a_straight_path_that_is_not_finite_is_set_aside_and_disturbs_no_other(
    bad: float, method: Any, surface: Any
) -> None:
    def holed(points: Tensor, paths: Tensor) -> Tensor:
        x, y = points[:, 0, 0, 0], points[:, 0, 0, 1]
        return torch.where((paths == 0) & (x > 0.4) & (x < 0.6), bad, ridge(x, y))

    found = search_paths(holed, pixels(LEFT, LEFT), pixels(RIGHT, RIGHT), method)
    alone = search_paths(surface(ridge), pixels(LEFT), pixels(RIGHT), method)
    assert found.outcomes == (SearchOutcome.NON_FINITE, *alone.outcomes)
    assert torch.equal(found.nodes[1], alone.nodes[0])


@pytest.mark.parametrize("method", EVERY_METHOD)
def test_a_search_that_walks_into_what_is_not_finite_keeps_the_best_path_before(method: Any, surface: Any) -> None:
    def cliff(x: Tensor, y: Tensor) -> Tensor:
        return torch.where((y > 0.62) | (y < 0.38), torch.nan, ridge(x, y))

    settings = SearchSettings(check_every=1, patience=100, budget=5000)
    found = search_paths(surface(cliff), pixels(LEFT), pixels(RIGHT), method, settings)
    assert found.outcomes == (SearchOutcome.NON_FINITE,)
    assert found.profiles.isfinite().all()
    assert found.barriers.item() <= RIDGE_BARRIER


def test_a_barrier_that_stops_falling_ends_the_search(surface: Any) -> None:
    wall = surface(lambda x, _: torch.exp(-((x - 0.5) ** 2) / 0.02))
    settings = SearchSettings(check_every=2, patience=3, budget=10_000)
    found = search_paths(wall, pixels(LEFT), pixels(RIGHT), Bypass(steps_per_level=1000), settings)
    assert found.outcomes == (SearchOutcome.STALLED,)
    assert found.n_steps.tolist() == [6]
    assert found.barriers.item() == pytest.approx(RIDGE_BARRIER)


def test_a_ridge_with_an_end_is_flattened_by_walking_round_it(surface: Any) -> None:
    tongue = surface(lambda x, y: torch.sigmoid((0.7 - y) / 0.02) * torch.exp(-((x - 0.5) ** 2) / 0.005))
    method = Bypass(deviation=0.0, high_frequency=0.0, rate=0.05, steps_per_level=200)
    settings = SearchSettings(flat=0.01, budget=10_000, patience=100)
    found = search_paths(tongue, pixels((0.1, 0.65)), pixels((0.9, 0.65)), method, settings)
    assert found.outcomes == (SearchOutcome.FLATTENED,)
    assert found.barriers.item() <= 0.01


def test_ends_that_do_not_pair_up_are_refused(surface: Any) -> None:
    with pytest.raises(DetectorError, match="one end for each start"):
        search_paths(surface(ridge), pixels(LEFT), pixels(RIGHT, RIGHT), PLAIN_BYPASS)


def test_no_paths_give_an_empty_result(surface: Any) -> None:
    found = search_paths(surface(ridge), pixels(LEFT)[:0], pixels(LEFT)[:0], PLAIN_BYPASS)
    assert found.outcomes == ()
    assert found.barriers.shape == (0,)


def test_a_potential_without_gradient_is_refused_naming_the_presets_that_need_none(surface: Any) -> None:
    blind = surface(lambda x, y: ridge(x.detach(), y.detach()))
    with pytest.raises(DetectorError, match="fast or default"):
        search_paths(blind, pixels(LEFT), pixels(RIGHT), PLAIN_BYPASS)


def test_progress_ends_with_every_path_done(surface: Any) -> None:
    calls: list[tuple[str, int, int]] = []
    search_paths(
        surface(ridge), pixels(LEFT, LEFT), pixels(RIGHT, LEFT), PLAIN_BYPASS, progress=lambda *call: calls.append(call)
    )
    assert calls[-1] == ("searching paths", 2, 2)


def bumpy(x: Tensor, y: Tensor) -> Tensor:
    """A ridge with ripples finer than a coarse look, so that what seems flat is not."""
    return ridge(x, y) + 0.05 * torch.sin(190 * x) * torch.sin(170 * y)


@pytest.mark.parametrize("method", [*EVERY_METHOD, pytest.param(Bypass(depth=3, probes=1), id="few-probes")])
@pytest.mark.parametrize("resolutions", [(4, 32), (8, 8), (16, 32)])
def test_budgets_hold_on_rough_ground_too(method: Any, resolutions: tuple[int, int], surface: Any) -> None:
    starts = pixels(*itertools.product((0.05, 0.1, 0.2), (0.3, 0.5, 0.7)))
    ends = pixels(*itertools.product((0.95, 0.9, 0.8), (0.4, 0.6, 0.5)))
    for budget in (60, 90, 130, 200):
        settings = SearchSettings(
            budget=budget, resolution=resolutions[0], final_resolution=resolutions[1], check_every=1, flat=0.06
        )
        found = search_paths(surface(bumpy), starts, ends, method, settings)
        assert found.forward_equivalents.max() <= max(budget, resolutions[1] + 1)


@pytest.mark.parametrize("bad", [math.inf, -math.inf, math.nan])
def test_a_straight_path_that_is_not_finite_has_no_barrier_to_report(bad: float, surface: Any) -> None:
    holed = surface(lambda x, y: torch.where((x > 0.4) & (x < 0.6), bad, ridge(x, y)))
    found = search_paths(holed, pixels(LEFT), pixels(RIGHT), PLAIN_BYPASS)
    assert found.barriers.isnan().all()
    assert found.straight_barriers.isnan().all()


def test_a_backward_pass_that_fails_is_refused_too(surface: Any) -> None:
    class Forward(torch.autograd.Function):
        @staticmethod
        def forward(_ctx: Any, x: Tensor) -> Tensor:
            return x.clone()

    def one_way(x: Tensor, y: Tensor) -> Tensor:
        return ridge(Forward.apply(x), y)

    with pytest.raises(DetectorError, match="cannot be differentiated"):
        search_paths(surface(one_way), pixels(LEFT), pixels(RIGHT), PLAIN_BYPASS)
