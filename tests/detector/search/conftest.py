"""Landscapes over images of two pixels, (across, along) in [0, 1]², whose passes are known."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

MULLER_BROWN_SCALE = 2.7
MULLER_BROWN_CORNER = (-1.5, -0.4)


class Surface:
    """A potential that is a function of the two pixels, the same for every path; counts the points it has seen."""

    def __init__(self, height: Callable[[Tensor, Tensor], Tensor]) -> None:
        self.height = height
        self.passes: list[int] = []

    def __call__(self, points: Tensor, paths: Tensor) -> Tensor:
        assert len(points) == len(paths)
        self.passes.append(len(points))
        return self.height(points[:, 0, 0, 0], points[:, 0, 0, 1])


def point(x: float, y: float) -> Tensor:
    """One image of two pixels."""
    return torch.tensor([[[[x, y]]]], dtype=torch.float64)


def muller_brown_energy(x: Tensor, y: Tensor) -> Tensor:
    """Müller & Brown 1979 (doi 10.1007/BF00547608), in its own coordinates."""
    rows = (
        (-200.0, -1.0, 0.0, -10.0, 1.0, 0.0),
        (-100.0, -1.0, 0.0, -10.0, 0.0, 0.5),
        (-170.0, -6.5, 11.0, -6.5, -0.5, 1.5),
        (15.0, 0.7, 0.6, 0.7, -1.0, 1.0),
    )
    parts = [
        height * torch.exp(a * (x - x0) ** 2 + b * (x - x0) * (y - y0) + c * (y - y0) ** 2)
        for height, a, b, c, x0, y0 in rows
    ]
    return torch.stack(parts).sum(0)


def muller_brown_scaled(u: Tensor, v: Tensor) -> Tensor:
    """The same over the unit square."""
    return muller_brown_energy(
        MULLER_BROWN_SCALE * u + MULLER_BROWN_CORNER[0], MULLER_BROWN_SCALE * v + MULLER_BROWN_CORNER[1]
    )


def muller_brown_point(x: float, y: float) -> Tensor:
    """An image that stands at these coordinates of the surface."""
    return point((x - MULLER_BROWN_CORNER[0]) / MULLER_BROWN_SCALE, (y - MULLER_BROWN_CORNER[1]) / MULLER_BROWN_SCALE)


def ridge_with_pass(x: Tensor, y: Tensor) -> Tensor:
    """A ridge along x = ½, 1 high at y = ½ and falling to a pass of 0.25 at y = 0.9; valleys of height 0 beside it."""
    crest = 0.25 + 0.75 * ((y - 0.9) / 0.4) ** 2
    return crest * torch.exp(-((x - 0.5) ** 2) / 0.02)


@pytest.fixture
def surface() -> type[Surface]:
    return Surface
