"""Paths through input space, and what a potential does along them."""

import torch
from jaxtyping import Float
from torch import Tensor

from detector.types import Images, Profile, Waypoints


def straight_paths(starts: Images, ends: Images, mixing: Float[Tensor, " waypoint"]) -> Waypoints:
    """Points `(1 - m)·start + m·end` on the straight line from each start to its end, one for each mixing weight.

    Both ends lie in [0, 1] and the mixing weights too, so every waypoint does.
    """
    weights = mixing[None, :, None, None, None]
    return torch.lerp(starts[:, None], ends[:, None], weights)


def fans(
    starts: Images,
    ends: Float[Tensor, "image prototype channel height width"],
    mixing: Float[Tensor, " waypoint"],
) -> Float[Tensor, "image prototype waypoint channel height width"]:
    """The same points on the straight lines from each start to all of its own ends; no start is copied."""
    return torch.lerp(starts[:, None, None], ends[:, :, None], mixing[:, None, None, None])


def barrier_height(profile: Profile) -> Float[Tensor, " path"]:
    """Rise of the highest waypoint above the higher endpoint, in the profile's unit; 0 for a path that never rises.

    The barrier of Vrabel et al. 2025 (arXiv 2409.05800) and of linear mode connectivity (Frankle et al. 2020,
    arXiv 1912.05671), here with the higher endpoint as ground, so that it does not grow with a bad endpoint.
    """
    higher_endpoint = torch.maximum(profile[:, 0], profile[:, -1])
    return profile.amax(1) - higher_endpoint
