"""How high the barrier of a straight path will be, told from its ends alone: one second-order expansion, no waypoint.

After the second-order account of barrier height of Singh et al. 2024 (arXiv 2406.16300). There both ends are minima of
equal height and the barrier is an eighth of the chord curvature dᵀHd; an attacked image is no minimum and a prototype
not as high as the image, so here the slope and the height of the far end take part: the potential along the chord is
the cubic with the start's value, slope and curvature and the end's value.

The logits of a ReLU network are piecewise linear in the pixels. Within a piece all curvature is the softmax's (the
Gauss–Newton part), and what the kinks between pieces bend cannot be seen from the start.
"""

import dataclasses

import torch
from jaxtyping import Float, Int64
from scipy.stats import rankdata
from torch import Tensor

from detector.passes import PIXELS_PER_PASS, waypoints_per_pass
from detector.search.potential import Potential, check_same_shape
from detector.types import DetectorError, Images

PIXELS_PER_EXPANSION = PIXELS_PER_PASS // 8
"""Pixels expanded at once: a second derivative keeps the intermediate results of a pass and of its gradient."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class CurvaturePrediction:
    """What the ends of straight paths say about their barriers, all in the potential's unit, with the chord as 1.

    Attributes:
        barriers: predicted rise above the higher endpoint, shape (path,).
        slopes: first derivative of the potential along the chord, at the start, shape (path,).
        curvatures: second derivative there, dᵀHd for a chord d, shape (path,).
    """

    barriers: Float[Tensor, " path"]
    slopes: Float[Tensor, " path"]
    curvatures: Float[Tensor, " path"]


def predicted_barriers(
    potential: Potential,
    starts: Images,
    ends: Images,
    *,
    end_values: Float[Tensor, " path"] | None = None,
    pixels_per_pass: int = PIXELS_PER_EXPANSION,
) -> CurvaturePrediction:
    """Predict the barrier of the straight path from each start to its end; NaN where the potential is not finite.

    Costs one pass, one gradient and one gradient of that along the chord: nine forward equivalents a path, with a
    backward counted as two, and one more where `end_values` are not given.

    Args:
        potential: differentiable twice; called with points and, for each, the index of its path.
        starts, ends: one of each a path.
        end_values: the potential at the ends, where it is known.
        pixels_per_pass: how much goes into one expansion, so that memory does not follow the number of paths.

    Raises:
        DetectorError: starts and ends do not pair up.
    """
    check_same_shape(starts, ends)
    known = None if end_values is None else end_values[:, None]
    star = _predict(potential, starts, ends[:, None], known, pixels_per_pass)
    return CurvaturePrediction(barriers=star.barriers[:, 0], slopes=star.slopes[:, 0], curvatures=star.curvatures[:, 0])


def most_promising(
    potential: Potential,
    images: Images,
    prototypes: Float[Tensor, "image prototype channel height width"],
    *,
    end_values: Float[Tensor, "image prototype"] | None = None,
    pixels_per_pass: int = PIXELS_PER_EXPANSION,
) -> Int64[Tensor, " image"]:
    """Index of the prototype with the lowest predicted barrier, for each image; the first of those equally low.

    All chords start at the image, so they share its pass and its gradient: `3 + 6·prototype` forward equivalents an
    image, and one more a prototype where `end_values` are not given. They depend on label and prototype alone, so who
    has a bundle knows them. A prediction that is not finite is never preferred to one that is.

    Args:
        potential: differentiable twice; called with points and, for each, the index of its image.
        prototypes: those of each image's label.
        end_values: the potential at the prototypes, for the image's label.

    Raises:
        DetectorError: there is no prototype to choose from.
    """
    if prototypes.shape[1] == 0:
        raise DetectorError("there is no prototype to choose from; give at least one an image")
    barriers = _predict(potential, images, prototypes, end_values, pixels_per_pass).barriers
    return barriers.nan_to_num(nan=torch.inf).argmin(1)


def rank_correlation(predicted: Float[Tensor, " prediction"], true: Float[Tensor, " path"]) -> float:
    """Spearman's rank correlation, ties sharing their mean rank; NaN where either is constant or holds a NaN.

    Raises:
        DetectorError: fewer than two pairs, or not as many predictions as true values.
    """
    if len(predicted) != len(true) or len(true) < 2:
        raise DetectorError(
            f"{len(predicted)} predictions came with {len(true)} true values; give one each for at least two paths"
        )
    ranks = torch.stack([torch.from_numpy(rankdata(values.detach().cpu())) for values in (predicted, true)])
    centred = ranks.double() - ranks.double().mean(1, keepdim=True)
    return ((centred[0] * centred[1]).sum() / centred.square().sum(1).prod().sqrt()).item()


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Stars:
    """Predictions for chords that share their start, each of shape (start, end)."""

    barriers: Float[Tensor, "start end"]
    slopes: Float[Tensor, "start end"]
    curvatures: Float[Tensor, "start end"]


def _predict(
    potential: Potential,
    starts: Images,
    ends: Float[Tensor, "start end channel height width"],
    end_values: Float[Tensor, "start end"] | None,
    pixels_per_pass: int,
) -> _Stars:
    channels, height, width = starts.shape[1:]
    per_pass = waypoints_per_pass((channels, height, width), pixels_per_pass)
    values, slopes, curvatures, at_ends = [], [], [], []
    for paths in torch.split(torch.arange(len(starts), device=starts.device), per_pass):
        value, slope, curvature = _expand(potential, starts[paths], ends[paths], paths)
        values.append(value)
        slopes.append(slope)
        curvatures.append(curvature)
        at_ends.append(_at_ends(potential, ends[paths], paths) if end_values is None else end_values[paths])
    slope, curvature = torch.cat(slopes), torch.cat(curvatures)
    barriers = _cubic_barrier(torch.cat(values)[:, None], slope, curvature, torch.cat(at_ends))
    return _Stars(barriers=barriers, slopes=slope, curvatures=curvature)


def _expand(
    potential: Potential,
    starts: Images,
    ends: Float[Tensor, "start end channel height width"],
    paths: Int64[Tensor, " start"],
) -> tuple[Float[Tensor, " start"], Float[Tensor, "start end"], Float[Tensor, "start end"]]:
    """Value at each start, and first and second derivative along each of its chords.

    Differentiating in the place on the chord, not in the pixels, gives dᵀHd without writing down Hd.
    """
    chords = ends - starts[:, None]
    places = starts.new_zeros(chords.shape[:2]).requires_grad_(True)
    with torch.enable_grad():
        points = starts + torch.einsum("se,sechw->schw", places, chords)
        # The square adds nothing, but gives a potential that is linear, or constant, a second derivative of zero.
        values = potential(points, paths) + 0 * places.square().sum(1)
        (slopes,) = torch.autograd.grad(values.sum(), places, create_graph=True)
        columns = range(chords.shape[1])
        curvatures = [
            torch.autograd.grad(slopes[:, column].sum(), places, retain_graph=True)[0][:, column] for column in columns
        ]
    return values.detach(), slopes.detach(), torch.stack(curvatures, 1)


@torch.no_grad()
def _at_ends(
    potential: Potential,
    ends: Float[Tensor, "start end channel height width"],
    paths: Int64[Tensor, " start"],
) -> Float[Tensor, "start end"]:
    return torch.stack([potential(ends[:, column], paths) for column in range(ends.shape[1])], 1)


def _cubic_barrier(
    start: Float[Tensor, "start 1"],
    slope: Float[Tensor, "start end"],
    curvature: Float[Tensor, "start end"],
    end: Float[Tensor, "start end"],
) -> Float[Tensor, "start end"]:
    """Rise above the higher endpoint, over [0, 1], of the cubic with these values and derivatives at 0, and at 1."""
    cubic = end - start - slope - curvature / 2
    # Roots of slope + curvature·t + 3·cubic·t², in the form that stays exact as the cubic term vanishes.
    root = (curvature.square() - 12 * cubic * slope).sqrt()
    sum_of_both = -(curvature + torch.where(curvature < 0, -root, root)) / 2
    ground = torch.maximum(start, end)
    highest = torch.zeros_like(slope)
    for place in (sum_of_both / (3 * cubic), slope / sum_of_both):
        height = start + place * (slope + place * (curvature / 2 + place * cubic))
        is_inside = (place > 0) & (place < 1)
        highest = torch.where(is_inside, torch.maximum(highest, height - ground), highest)
    return highest.where((ground + slope + curvature).isfinite(), torch.nan)
