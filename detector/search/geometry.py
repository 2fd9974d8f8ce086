"""Paths made of straight pieces, and the planes and the box that their corners stay in."""

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

Nodes = Float[Tensor, "path node channel height width"]
"""Corners of paths, ends included."""

Rows = Float[Tensor, "row channel height width"]

MOST_ITERATIONS = 40
"""Steps that place a point in plane and box at most; halvings alone would then reach the last digit of a float32."""


def straight_nodes(starts: Rows, ends: Rows, n_nodes: int) -> Nodes:
    """Nodes equally far from one another on the straight line, both ends exact."""
    mixing = torch.linspace(0, 1, n_nodes, dtype=starts.dtype, device=starts.device)
    return torch.lerp(starts[:, None], ends[:, None], mixing[None, :, None, None, None])


def node_positions(nodes: Nodes) -> Float[Tensor, "path node"]:
    """Length of the path up to each node, L2 over pixels."""
    pieces = (nodes[:, 1:] - nodes[:, :-1]).flatten(2).norm(dim=2)
    return functional.pad(pieces.cumsum(1), (1, 0))


def sample_path(
    nodes: Nodes, n_points: int
) -> tuple[Float[Tensor, "path point channel height width"], Float[Tensor, "path point"]]:
    """Points equally far from one another along the path, and their distance from its start.

    A point less than half a step from a node is moved onto it, so that a barrier which a method has put a node on
    top of is not missed.
    """
    positions = node_positions(nodes)
    total = positions[:, -1:]
    targets = torch.linspace(0, 1, n_points, dtype=nodes.dtype, device=nodes.device) * total
    distance = (targets[:, :, None] - positions[:, None]).abs()
    nearest = positions.gather(1, distance.argmin(2))
    targets = torch.where((nearest - targets).abs() <= total / (2 * (n_points - 1)), nearest, targets)
    return points_at(nodes, positions, targets), targets


def points_at(
    nodes: Nodes, positions: Float[Tensor, "path node"], targets: Float[Tensor, "path point"]
) -> Float[Tensor, "path point channel height width"]:
    """The points of the path at these distances from its start."""
    piece = (torch.searchsorted(positions, targets, right=True) - 1).clamp(0, nodes.shape[1] - 2)
    before, after = positions.gather(1, piece), positions.gather(1, piece + 1)
    length = after - before
    share = torch.where(length > 0, (targets - before) / length.clamp_min(1e-30), torch.zeros_like(length))
    row = torch.arange(len(nodes), device=nodes.device)[:, None]
    return torch.lerp(nodes[row, piece], nodes[row, piece + 1], share.clamp(0, 1)[:, :, None, None, None])


def dot(a: Tensor, b: Tensor) -> Tensor:
    """Inner product over the pixels (the last three axes), those axes kept."""
    return (a * b).sum((-3, -2, -1), keepdim=True)


def norm(a: Tensor) -> Tensor:
    """Length over the pixels (the last three axes), those axes kept."""
    return dot(a, a).sqrt()


def along_plane(vectors: Rows, normals: Rows) -> Rows:
    """The part of each vector that is orthogonal to its normal; a normal of length zero takes nothing away."""
    squares = dot(normals, normals)
    share = torch.where(squares > 0, dot(vectors, normals) / squares.clamp_min(1e-30), torch.zeros_like(squares))
    return vectors - share * normals


def into_plane_and_box(points: Rows, normals: Rows, anchors: Rows) -> Rows:
    """The nearest point that lies in [0, 1] and in the plane through the anchor, for anchors in [0, 1].

    The nearest point of a box in a plane is `clamp(point - s·normal)` for one number s; what it lacks to the plane
    falls as s grows and is linear between the values where a pixel meets its bound, so Newton's method finds s in a
    few steps, kept between bounds. A row that has arrived is left alone, so that no row depends on another.
    """
    level = dot(anchors, normals)
    tolerance = torch.finfo(points.dtype).eps * 8 * norm(normals)
    low, high = _bounds(points, normals, anchors, level)
    shift = torch.zeros_like(level)
    for _ in range(MOST_ITERATIONS):
        moved = points - shift * normals
        excess = dot(moved.clamp(0, 1), normals) - level
        is_open = excess.abs() > tolerance
        if not is_open.any():
            break
        low, high = torch.where(excess > 0, shift, low), torch.where(excess > 0, high, shift)
        slope = dot(((moved > 0) & (moved < 1)) * normals, normals)
        newton = shift + excess / slope.clamp_min(1e-30)
        is_inside = (slope > 0) & (newton > low) & (newton < high)
        shift = torch.where(is_open, torch.where(is_inside, newton, (low + high) / 2), shift)
    return (points - shift * normals).clamp(0, 1)


def _bounds(points: Rows, normals: Rows, anchors: Rows, level: Tensor) -> tuple[Tensor, Tensor]:
    """Numbers between which the shift lies; clamped pixels can push it beyond the unclamped distance."""
    high = norm(points - anchors) / norm(normals).clamp_min(1e-12) + 1
    low = -high
    for _ in range(MOST_ITERATIONS):
        is_short = dot((points - high * normals).clamp(0, 1), normals) > level
        is_long = dot((points - low * normals).clamp(0, 1), normals) < level
        if not (is_short | is_long).any():
            break
        high, low = torch.where(is_short, high * 2, high), torch.where(is_long, low * 2, low)
    return low, high


def roughness(images: Rows) -> Float[Tensor, " row"]:
    """Mean square of what is left of an image once the mean of each pixel's four neighbours is taken away."""
    padded = functional.pad(images, (1, 1, 1, 1), mode="replicate")
    vertical = padded[:, :, :-2, 1:-1] + padded[:, :, 2:, 1:-1]
    horizontal = padded[:, :, 1:-1, :-2] + padded[:, :, 1:-1, 2:]
    return (images - (vertical + horizontal) / 4).square().flatten(1).mean(1)


def highest_inner_point(
    nodes: Nodes, profile: Float[Tensor, "path point"]
) -> Float[Tensor, "path channel height width"]:
    """Where, between the ends of straight paths, the potential was found highest."""
    highest = profile[:, 1:-1].argmax(1) + 1
    share = (highest / (profile.shape[1] - 1)).to(nodes)[:, None, None, None]
    return torch.lerp(nodes[:, 0], nodes[:, -1], share)
