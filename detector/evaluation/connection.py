"""The path from one image to one target: straight, and as a search has lowered it."""

import dataclasses
from collections.abc import Mapping

import torch
from jaxtyping import Float
from torch import Tensor

from detector.detector import Detector
from detector.evaluation.detour import Detour, detour_around
from detector.evaluation.path_profiles import profiles_of
from detector.layerwise import LayerwiseBarriers, ResumableClassifier, layerwise_barriers
from detector.paths import barrier_height
from detector.search import (
    MethodName,
    PotentialKind,
    SearchOutcome,
    SearchResult,
    SearchSettings,
    label_potential,
    method_named,
    search_paths,
)
from detector.search.geometry import Nodes, sample_path, straight_nodes
from detector.types import DetectorError

N_PICTURES = 13
"""Points of a path that are shown as pictures."""

Picture = Float[Tensor, "channel height width"]
"""One image with pixels in [0, 1]."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class ExplanationSettings:
    """What is searched for, and how.

    Attributes:
        potential: what the search lowers, and by what the nearest prototype is chosen.
        search: its `final_resolution` is the resolution of every profile.
    """

    potential: PotentialKind = PotentialKind.CROSS_ENTROPY
    method: MethodName = MethodName.BYPASS
    search: SearchSettings = dataclasses.field(default_factory=SearchSettings)


@dataclasses.dataclass(frozen=True, kw_only=True)
class PathView:
    """One path from the image to its target.

    Attributes:
        strip: equally spaced along the path up to half a step, both ends included, pixels in [0, 1].
        profiles: every potential at `final_resolution` + 1 such points, in its own unit; NaN where it has no value.
    """

    strip: Float[Tensor, "picture channel height width"]
    profiles: Mapping[PotentialKind, Float[Tensor, " point"]]

    @property
    def barriers(self) -> dict[PotentialKind, float]:
        """Rise of each potential above the higher end; NaN where a point has no value."""
        return {kind: barrier_height(profile[None]).item() for kind, profile in self.profiles.items()}


@dataclasses.dataclass(frozen=True, kw_only=True)
class SearchRecord:
    """How the search for a lower path went.

    Attributes:
        barrier_before, barrier_after: in the unit of the potential that was lowered.
        forward_equivalents: what it cost, a gradient counting 3.
    """

    outcome: SearchOutcome
    barrier_before: float
    barrier_after: float
    n_steps: int
    forward_equivalents: int


@dataclasses.dataclass(frozen=True, kw_only=True)
class Connection:
    """What lies between the image and the one target that was chosen.

    Attributes:
        target: where the path ends, pixels in [0, 1].
        label: whose potentials are measured: the prototype's own, or the predicted one where the target is an image.
        prototype: index among the prototypes of that label; None where the target is an image.
        found: the path that the search found; None where there was none.
        search: None where there was none, and then `refusal` says why.
        detour: None where there was no search, or where it found nothing lower than the straight path.
        layerwise: of the straight path; None where the classifier cannot be cut, and then `layerwise_refusal` says why.
    """

    target: Picture
    label: int
    prototype: int | None
    straight: PathView
    found: PathView | None
    search: SearchRecord | None
    refusal: str | None
    detour: Detour | None
    layerwise: LayerwiseBarriers | None
    layerwise_refusal: str | None


def join(
    detector: Detector,
    image: Picture,
    target: Picture,
    label: int,
    prototype: int | None,
    settings: ExplanationSettings,
) -> Connection:
    """Measure the straight path from the image to the target, look for a lower one, and tell how they differ.

    Args:
        image: on the classifier's device.
        label: whose potentials are measured.
        prototype: index of the target among the prototypes of the label, if it is one.
    """
    device, method = detector.classifier.device, method_named(settings.method)
    starts, ends = image[None], target[None].to(device=device, dtype=torch.float32)
    labels = torch.tensor([label], device=device)
    found, refusal = None, None
    try:
        potential = label_potential(settings.potential, detector.classifier, labels, detector.bundle.gaussians)
        found = search_paths(potential, starts, ends, method, settings.search)
    except DetectorError as error:
        # What follows the first clause advises on presets, which play no part here.
        refusal = str(error).partition(";")[0]
    straight = straight_nodes(starts, ends, method.n_nodes)
    is_bent = found is not None and not torch.equal(found.nodes, straight)
    layerwise, layerwise_refusal = _layerwise(detector, starts, ends, labels, settings.search.final_resolution + 1)
    return Connection(
        target=target.cpu(),
        label=label,
        prototype=prototype,
        straight=_view(detector, straight, labels, settings),
        found=None if found is None else _view(detector, found.nodes, labels, settings),
        search=None if found is None else _record(found),
        refusal=refusal,
        detour=detour_around(straight, found.straight_profiles, found.nodes) if found and is_bent else None,
        layerwise=layerwise,
        layerwise_refusal=layerwise_refusal,
    )


def _layerwise(
    detector: Detector, starts: Tensor, ends: Tensor, labels: Tensor, n_points: int
) -> tuple[LayerwiseBarriers | None, str | None]:
    classifier = detector.classifier
    if not isinstance(classifier, ResumableClassifier):
        return None, "this classifier cannot be run from one of its stages on"
    try:
        return layerwise_barriers(classifier, starts, ends, labels, n_points), None
    except ValueError as error:
        # Errors of the classifier's own package are among them: not every network can be entered at its stages.
        return None, str(error).partition(";")[0]


def _view(detector: Detector, nodes: Nodes, labels: Tensor, settings: ExplanationSettings) -> PathView:
    points, _ = sample_path(nodes, settings.search.final_resolution + 1)
    profiles = profiles_of(detector, points, labels)
    strip, _ = sample_path(nodes, N_PICTURES)
    return PathView(strip=strip[0].cpu(), profiles={kind: values[0] for kind, values in profiles.items()})


def _record(found: SearchResult) -> SearchRecord:
    return SearchRecord(
        outcome=found.outcomes[0],
        barrier_before=found.straight_barriers[0].item(),
        barrier_after=found.barriers[0].item(),
        n_steps=int(found.n_steps[0]),
        forward_equivalents=int(found.forward_equivalents[0]),
    )
