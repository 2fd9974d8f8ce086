"""The procedure of Vrabel et al. (ICLR 2025, arXiv 2409.05800), in our own rendering.

One pair of images at a time: the chord is measured at 250 points, its highest point is moved by 1,024 steps of Adam
within the plane orthogonal to the chord, held near where it started, and both legs are measured at 250 points again.
"""

import dataclasses

import torch
from jaxtyping import Float
from torch import Tensor

from detector.paths import straight_paths
from detector.search import LabelPotential
from detector.search.geometry import along_plane, sample_path
from detector.types import Images

N_POINTS = 250
N_STEPS = 1024
LEARNING_RATE = 0.01


def forward_equivalents(n_steps: int = N_STEPS) -> float:
    """Of one pair; each step has one pass forward and one backward."""
    return float(N_POINTS + 3 * n_steps + 2 * N_POINTS)


@dataclasses.dataclass(frozen=True, kw_only=True)
class BentPaths:
    """What the procedure reached.

    Attributes:
        bends: where each path bends.
        highest: the largest potential on its two legs, ends included.
    """

    bends: Images
    highest: Float[Tensor, " path"]


@torch.no_grad()
def highest_on_chord(potential: LabelPotential, start: Tensor, end: Tensor, number: int) -> tuple[Tensor, Tensor]:
    """The highest of 250 points of one straight path, shape (1, channel, height, width), and the potential there.

    Args:
        number: which of the potential's paths it is.
    """
    points = straight_paths(start[None], end[None], torch.linspace(0, 1, N_POINTS).to(start))[0]
    values = potential(points, _on_path(number, start))
    highest = values.argmax()
    return points[highest][None], values[highest]


def papers_procedure(potential: LabelPotential, starts: Images, ends: Images, n_steps: int = N_STEPS) -> BentPaths:
    """The bend that it finds for each pair, one after the other."""
    bends, highest = [], []
    for number, (start, end) in enumerate(zip(starts, ends, strict=True)):
        top, _ = highest_on_chord(potential, start, end, number)
        bend = _descended(potential, top, (end - start)[None], number, n_steps)
        bends.append(bend)
        highest.append(_highest_on_legs(potential, torch.cat([start[None], bend, end[None]]), number))
    return BentPaths(bends=torch.cat(bends), highest=torch.stack(highest))


def _descended(potential: LabelPotential, top: Tensor, chord: Tensor, number: int, n_steps: int) -> Tensor:
    path = torch.tensor([number], device=top.device)
    bend = top.clone().requires_grad_(True)
    optimizer = torch.optim.Adam([bend], lr=LEARNING_RATE)
    for _ in range(n_steps):
        before = bend.detach().clone()
        with torch.enable_grad():
            loss = potential(bend, path).sum() + (bend - top).square().mean()
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        with torch.no_grad():
            bend.copy_((before + along_plane(bend - before, chord)).clamp(0, 1))
    return bend.detach()


@torch.no_grad()
def _highest_on_legs(potential: LabelPotential, corners: Tensor, number: int) -> Tensor:
    legs = (corners[:2], corners[1:])
    points = (sample_path(leg[None], N_POINTS)[0][0] for leg in legs)
    return torch.stack([potential(part, _on_path(number, corners)).amax() for part in points]).amax()


def _on_path(number: int, like: Tensor) -> Tensor:
    return torch.full((N_POINTS,), number, device=like.device)
