"""A potential with a meter: what every path has cost so far."""

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from detector.search.geometry import Nodes, sample_path
from detector.search.potential import Points, Potential
from detector.types import DetectorError

VALUE_COST = 1
GRADIENT_COST = 3
"""Forward equivalents: a backward pass counts 2."""


class Landscape:
    """Evaluates a potential in passes of bounded size and counts forward equivalents for each path.

    Args:
        n_paths: paths in all.
        points_per_pass: points that are evaluated together.
    """

    def __init__(self, potential: Potential, n_paths: int, points_per_pass: int) -> None:
        self.potential = potential
        self.points_per_pass = points_per_pass
        self.spent = torch.zeros(n_paths, dtype=torch.int64)

    @torch.no_grad()
    def values(self, points: Points, paths: Int64[Tensor, " point"]) -> Float[Tensor, " point"]:
        """The potential at the points; `paths` says on which path each lies."""
        self._charge(paths, VALUE_COST)
        return torch.cat([self.potential(*part) for part in self._parts(points, paths)] or [points.new_zeros(0)])

    def gradients(
        self, points: Points, paths: Int64[Tensor, " point"]
    ) -> tuple[Float[Tensor, " point"], Float[Tensor, "point channel height width"]]:
        """The potential at the points, and its gradient there.

        Raises:
            DetectorError: the potential cannot be differentiated.
        """
        self._charge(paths, GRADIENT_COST)
        values, gradients = [points.new_zeros(0)], [torch.zeros_like(points[:0])]
        for part, part_paths in self._parts(points, paths):
            value, gradient = _differentiated(self.potential, part, part_paths)
            values.append(value)
            gradients.append(gradient)
        return torch.cat(values), torch.cat(gradients)

    def profiles(
        self, nodes: Nodes, paths: Int64[Tensor, " path"], n_points: int, ends: Float[Tensor, "path end"] | None = None
    ) -> Float[Tensor, "path point"]:
        """The potential at so many points along each path, a pass of paths at a time.

        Args:
            ends: the potential at both ends, shape (path, 2), where it is known; it is then not measured again.
        """
        left_out = 0 if ends is None else 1
        size = max(1, self.points_per_pass // n_points)
        profiles = [torch.zeros(0, n_points - 2 * left_out).to(nodes)]
        for part, on_paths in zip(torch.split(nodes, size), torch.split(paths, size), strict=True):
            points, _ = sample_path(part, n_points)
            points = points[:, left_out : n_points - left_out]
            on_points = on_paths.repeat_interleave(points.shape[1])
            profiles.append(self.values(points.flatten(0, 1), on_points).view(points.shape[:2]))
        inner = torch.cat(profiles)
        return inner if ends is None else torch.cat([ends[:, :1], inner, ends[:, 1:]], 1)

    def forget(self, paths: Int64[Tensor, " path"]) -> None:
        """What these numbers have cost counts no more: they are given to other paths."""
        self.spent[paths.cpu()] = 0

    def _parts(self, points: Points, paths: Tensor) -> list[tuple[Tensor, Tensor]]:
        if len(points) == 0:
            return []
        cut = self.points_per_pass
        return list(zip(torch.split(points, cut), torch.split(paths, cut), strict=True))

    def _charge(self, paths: Tensor, cost: int) -> None:
        self.spent += cost * torch.bincount(paths.cpu(), minlength=len(self.spent))


@torch.enable_grad()
def _differentiated(potential: Potential, points: Points, paths: Tensor) -> tuple[Tensor, Tensor]:
    points = points.detach().requires_grad_(True)
    refusal = (
        "the classifier cannot be differentiated in its pixels, which a search for lower paths needs; "
        "use a preset with straight paths alone, such as fast or default"
    )
    try:
        values = potential(points, paths)
        if not values.requires_grad:
            raise DetectorError(refusal)
        (gradients,) = torch.autograd.grad(values.sum(), points, allow_unused=True)
    except RuntimeError as error:
        if not any(sign in str(error) for sign in _SIGNS_OF_NO_GRADIENT):
            raise
        raise DetectorError(f"{refusal} ({error})") from error
    if gradients is None:
        raise DetectorError(refusal)
    return values.detach(), gradients


_SIGNS_OF_NO_GRADIENT = ("require grad", "requires grad", "derivative", "autograd", "inference mode", "nference tensor")
"""Words of torch's errors about graphs that cannot be differentiated."""
