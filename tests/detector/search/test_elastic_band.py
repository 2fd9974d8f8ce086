"""Against a surface whose saddles are found by root finding, and against ASE's band on the same surface."""

import dataclasses
from typing import Any

import ase
import numpy as np
import pytest
import torch
from ase.calculators.calculator import Calculator, all_changes
from ase.mep import NEB
from ase.optimize import FIRE
from scipy.optimize import root
from torch import Tensor

from detector.search import SearchOutcome, SearchSettings, search_paths
from detector.search.elastic_band import ElasticBand, auto_neb, neb
from detector.search.fire import FireSettings
from detector.search.geometry import node_positions, straight_nodes
from detector.search.landscape import Landscape
from detector.search.method import Problem
from detector.types import DetectorError

SCALE, CORNER = 2.7, (-1.5, -0.4)
STIFF = FireSettings(first_step=1e-4, largest_step=2e-2, longest_move=0.05)
"""The surface falls by hundreds over the unit square."""


def energy(x: Tensor, y: Tensor) -> Tensor:
    """Müller & Brown 1979 (doi 10.1007/BF00547608)."""
    rows = (
        (-200.0, -1.0, 0.0, -10.0, 1.0, 0.0),
        (-100.0, -1.0, 0.0, -10.0, 0.0, 0.5),
        (-170.0, -6.5, 11.0, -6.5, -0.5, 1.5),
        (15.0, 0.7, 0.6, 0.7, -1.0, 1.0),
    )
    return torch.stack(
        [
            height * torch.exp(a * (x - x0) ** 2 + b * (x - x0) * (y - y0) + c * (y - y0) ** 2)
            for height, a, b, c, x0, y0 in rows
        ]
    ).sum(0)


def scaled(u: Tensor, v: Tensor) -> Tensor:
    return energy(SCALE * u + CORNER[0], SCALE * v + CORNER[1])


def slope(position: Any) -> Any:
    point = torch.tensor(position, dtype=torch.float64, requires_grad=True)
    (gradient,) = torch.autograd.grad(energy(point[0], point[1]), point)
    return gradient.numpy()


def stationary(x: float, y: float) -> tuple[float, float]:
    """The point nearby where the surface is level."""
    found = root(slope, (x, y), tol=1e-12)
    assert found.success
    return float(found.x[0]), float(found.x[1])


DEEP, SHALLOW, SADDLE = stationary(-0.55, 1.44), stationary(0.62, 0.03), stationary(-0.82, 0.62)


def height(point: tuple[float, float]) -> float:
    return float(energy(torch.tensor(point[0], dtype=torch.float64), torch.tensor(point[1], dtype=torch.float64)))


BARRIER = height(SADDLE) - height(SHALLOW)


def image(point: tuple[float, float]) -> Tensor:
    return torch.tensor([[(c - low) / SCALE for c, low in zip(point, CORNER, strict=True)]], dtype=torch.float64).view(
        1, 1, 1, 2
    )


def search(surface: Any, method: ElasticBand, pieces: int = 400) -> Any:
    # Looked at once, when the band has come to rest: on its way it cuts corners where a coarse look misses them.
    settings = SearchSettings(budget=10**6, resolution=pieces, final_resolution=pieces, check_every=10**6)
    return search_paths(surface(scaled), image(DEEP), image(SHALLOW), method, settings)


def test_the_published_saddle_is_the_one_found_by_root_finding() -> None:
    assert pytest.approx((-0.822, 0.624), abs=1e-3) == SADDLE
    assert height(SADDLE) == pytest.approx(-40.665, abs=1e-3)


@pytest.mark.parametrize(
    "method",
    [
        neb(41, spring=100.0, fire=STIFF, steps=800, climb_after=100, tolerance=0.5),
        pytest.param(
            auto_neb(5, 31, spring=100.0, fire=STIFF, steps=800, climb_after=200, tolerance=0.5, excess=0.002),
            marks=pytest.mark.slow,
        ),
    ],
    ids=["neb", "auto-neb"],
)
def test_the_barrier_of_muller_and_brown_is_met_within_a_thousandth(surface: Any, method: ElasticBand) -> None:
    found = search(surface, method)
    assert found.outcomes == (SearchOutcome.CONVERGED,)
    assert found.barriers.item() == pytest.approx(BARRIER, rel=1e-3)


def test_the_climbing_node_stands_on_the_saddle(surface: Any) -> None:
    found = search(surface, neb(15, spring=100.0, fire=STIFF, steps=800, climb_after=100, tolerance=0.2), pieces=14)
    nodes = found.nodes[0, :, 0, 0] * SCALE + torch.tensor(CORNER, dtype=torch.float64)
    assert (nodes - torch.tensor(SADDLE, dtype=torch.float64)).norm(dim=1).min() < 1e-3


class _Flatland(Calculator):  # type: ignore[misc]
    """The surface as ASE sees it: one atom, its third coordinate without meaning."""

    implemented_properties = ("energy", "forces")

    def calculate(self, atoms: Any = None, properties: Any = ("energy",), system_changes: Any = all_changes) -> None:
        super().calculate(atoms, properties, system_changes)
        x, y, _ = self.atoms.positions[0]
        downhill = -slope((x, y))
        self.results = {"energy": height((x, y)), "forces": np.array([[downhill[0], downhill[1], 0.0]])}


def ase_band(climb: bool) -> np.ndarray[Any, Any]:
    """Nodes of ASE's band of fifteen, with improved tangents."""
    images = [ase.Atoms("H", positions=[(*DEEP, 0.0)]) for _ in range(N_NODES - 1)]
    images.append(ase.Atoms("H", positions=[(*SHALLOW, 0.0)]))
    for one in images:
        one.calc = _Flatland()
    band = NEB(images, k=SPRING, climb=climb, method="improvedtangent")
    band.interpolate()
    assert FIRE(band, logfile=None, dt=0.01, dtmax=0.05, maxstep=0.05).run(fmax=0.5, steps=400)
    return np.array([one.positions[0, :2] for one in images])


def our_band(surface: Any, climb_after: int | None) -> np.ndarray[Any, Any]:
    """Nodes of ours, in the surface's own coordinates; forces per unit are larger where the unit is."""
    method = neb(
        N_NODES, spring=SPRING * SCALE**2, fire=STIFF, steps=800, climb_after=climb_after, tolerance=0.5 * SCALE
    )
    found = search(surface, method, pieces=N_NODES - 1)
    return np.asarray(found.nodes[0, :, 0, 0] * SCALE + torch.tensor(CORNER, dtype=torch.float64))


N_NODES, SPRING = 15, 100.0


@pytest.mark.slow
def test_our_band_and_ases_climb_to_the_same_barrier(surface: Any) -> None:
    ours, ases = (max(height((x, y)) for x, y in nodes) for nodes in (our_band(surface, 50), ase_band(climb=True)))
    assert ours == pytest.approx(ases, abs=1e-3)


@pytest.mark.slow
def test_our_band_and_ases_come_to_rest_on_the_same_path(surface: Any) -> None:
    """Without climbing: which node climbs depends on how the band got there."""
    distances = np.linalg.norm(our_band(surface, None) - ase_band(climb=False), axis=1)
    assert distances.max() < 5e-3


def hump(x: Tensor, y: Tensor) -> Tensor:
    """A valley along y = ½ with a flat-topped hump a third wide in its middle, between the nodes of a band of four."""
    return (y - 0.5) ** 2 + torch.exp(-(((x - 0.5) / 0.15) ** 4))


def test_nodes_are_put_in_where_the_potential_exceeds_its_interpolation(surface: Any) -> None:
    start, end = (
        torch.tensor([[[[0.0, 0.5]]]], dtype=torch.float64),
        torch.tensor([[[[1.0, 0.5]]]], dtype=torch.float64),
    )
    method = auto_neb(4, 12, climb_after=None, spring=0.0, fire=FireSettings(first_step=1e-6, largest_step=1e-6))
    state = _last_state(method, surface(hump), start, end, 80)
    inner = state.nodes[0, : int(state.count), 0, 0, 0]
    # The middle of the hump first, then the middle of either flank: there the hump is .91, its neighbours' mean .61.
    assert int(state.count) == 7
    assert ((inner - 0.5).abs() < 0.15).sum() == 3


def _last_state(method: ElasticBand, potential: Any, start: Tensor, end: Tensor, steps: int) -> Any:
    landscape = Landscape(potential, 1, 64)
    nodes = straight_nodes(start, end, method.n_nodes)
    paths = torch.zeros(1, dtype=torch.int64)
    profile = potential(nodes[0], torch.zeros(method.n_nodes, dtype=torch.int64))[None]
    state = method.init(Problem(paths=paths, nodes=nodes, highest=nodes[:, 0], profile=profile))
    for _ in range(steps):
        state = method.step(state, landscape)
    return state


def test_a_band_that_is_missing_no_node_does_not_grow(surface: Any) -> None:
    start, end = (
        torch.tensor([[[[0.0, 0.5]]]], dtype=torch.float64),
        torch.tensor([[[[1.0, 0.5]]]], dtype=torch.float64),
    )
    tilted = surface(lambda x, y: x + (y - 0.5) ** 2)
    state = _last_state(auto_neb(4, 12), tilted, start, end, 40)
    assert int(state.count) == 4
    assert bool(state.is_complete)


def test_springs_keep_the_nodes_equally_far_apart(surface: Any) -> None:
    found = search(surface, neb(15, spring=500.0, fire=STIFF, steps=300, climb_after=None), pieces=14)
    pieces = node_positions(found.nodes).diff(dim=1)
    assert (pieces.max() / pieces.min()).item() == pytest.approx(1, abs=0.15)


@pytest.mark.parametrize("change", [{"first_nodes": 2}, {"first_nodes": 9, "n_nodes": 5}])
def test_a_band_needs_an_inner_node_and_does_not_shrink(change: dict[str, int]) -> None:
    with pytest.raises(DetectorError, match="its two ends"):
        dataclasses.replace(ElasticBand(), **change)
