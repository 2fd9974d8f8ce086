"""Tangents of a band that do not jump (Henkelman & Jónsson 2000, doi 10.1063/1.1323224)."""

import torch
from jaxtyping import Float
from torch import Tensor

from detector.search.geometry import Nodes, norm


def tangents_along(nodes: Nodes, values: Float[Tensor, "path node"]) -> tuple[Tensor, Tensor, Tensor]:
    """Unit tangents towards the higher neighbour, and the distance to the node before and after.

    At a node higher or lower than both neighbours the two differences are weighed by how far their potentials are
    off, so that the tangent does not jump (Henkelman & Jónsson 2000, eqs. 8 to 11).
    """
    ahead, behind = torch.zeros_like(nodes), torch.zeros_like(nodes)
    ahead[:, :-1] = nodes[:, 1:] - nodes[:, :-1]
    behind[:, 1:] = nodes[:, 1:] - nodes[:, :-1]
    rise_after, rise_before = torch.zeros_like(values), torch.zeros_like(values)
    rise_after[:, :-1] = values[:, 1:] - values[:, :-1]
    rise_before[:, 1:] = values[:, :-1] - values[:, 1:]
    larger = torch.maximum(rise_after.abs(), rise_before.abs())
    smaller = torch.minimum(rise_after.abs(), rise_before.abs())
    next_is_higher = rise_after > rise_before
    weight_ahead = torch.where(next_is_higher, larger, smaller)
    weight_behind = torch.where(next_is_higher, smaller, larger)
    is_rising, is_falling = (rise_after > 0) & (rise_before < 0), (rise_after < 0) & (rise_before > 0)
    weight_ahead = torch.where(is_rising, 1.0, torch.where(is_falling, 0.0, weight_ahead))
    weight_behind = torch.where(is_rising, 0.0, torch.where(is_falling, 1.0, weight_behind))
    # On a flat stretch, where both weights are nothing, the path itself is the tangent.
    is_flat = larger == 0
    weight_ahead = weight_ahead.masked_fill(is_flat, 1.0)
    weight_behind = weight_behind.masked_fill(is_flat, 1.0)
    tangents = weight_ahead[..., None, None, None] * ahead + weight_behind[..., None, None, None] * behind
    length = norm(tangents)
    return tangents / length.clamp_min(1e-30), norm(behind), norm(ahead)
