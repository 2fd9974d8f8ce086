"""Ways to make the straight paths faster, each as it was and as it became or would have become."""

import contextlib
import copy
import dataclasses
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor, nn

from detector import pooled_outputs, profiles
from detector.detector import Detector
from detector.half_precision import HalfPrecisionClassifier, Precision
from detector.paths import straight_paths
from detector.potentials import LabelGaussians
from detector.types import Images, to_pixels

POINTS = 32
"""In a forward pass where two renderings of the classifier are compared."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Idea:
    """One way to be faster, the ratio that was expected of it (of most, after a first trial), and what became of it.

    Attributes:
        make: from (detector, images) to two functions to be timed, the old rendering and the new one.
    """

    name: str
    predicted: float
    verdict: str
    make: Callable[[Detector, Images], tuple[Callable[[], object], Callable[[], object]]]


def pooled_by_var(maps: Tensor) -> Tensor:
    if maps.ndim == 2:
        return maps
    cells = maps.transpose(1, 2) if maps.ndim == 3 else maps.flatten(2)
    return torch.cat([cells.mean(2), (cells.var(2, unbiased=False) + 1e-8).sqrt()], 1)


def copied_fans(starts: Tensor, ends: Tensor, mixing: Tensor) -> Tensor:
    paths = straight_paths(starts.repeat_interleave(ends.shape[1], 0), ends.flatten(0, 1), mixing)
    return paths.view(len(starts), ends.shape[1], *paths.shape[1:])


@contextlib.contextmanager
def replaced(owner: Any, name: str, value: Any) -> Iterator[None]:
    """Another value of an attribute for a while."""
    before = getattr(owner, name)
    setattr(owner, name, value)
    try:
        yield
    finally:
        setattr(owner, name, before)


def patched(owner: Any, name: str, value: Any) -> Callable[[Detector, Images], Any]:
    """The detector with an attribute as it was, and as it is."""

    def make(detector: Detector, images: Images) -> Any:
        def old() -> None:
            with replaced(owner, name, value):
                detector.inspect(images)

        return old, lambda: detector.inspect(images)

    return make


def rectifying(detector: Detector, images: Images) -> Any:
    profiler = detector.straight_paths.profiler
    networks: list[Any] = [
        profiler.classifier,
        *([profiler.auxiliary.profiler.classifier] if profiler.auxiliary else []),
    ]
    rectifiers = [part for network in networks for part in network.modules() if isinstance(part, nn.ReLU)]

    def old() -> None:
        with contextlib.ExitStack() as stack:
            for rectifier in rectifiers:
                stack.enter_context(replaced(rectifier, "inplace", False))
            detector.inspect(images)

    return old, lambda: detector.inspect(images)


def whitened_beforehand(detector: Detector, images: Images) -> Any:
    """One product with the whitenings of all labels, their means whitened once."""
    kept: dict[int, tuple[Tensor, Tensor, Tensor]] = {}

    def log_distances(self: LabelGaussians, block: Tensor) -> Tensor:
        if id(self) not in kept:
            centre = self.means.mean(0)
            whitening = self.whitening.expand(len(self.means), -1, -1)
            means = torch.einsum("ld,led->le", self.means - centre, whitening)
            kept[id(self)] = (centre, whitening.flatten(0, 1).T.contiguous(), means)
        centre, whitening, means = kept[id(self)]
        white = ((block - centre) @ whitening).view(len(block), *means.shape)
        return ((white - means).square().mean(2) + 1e-6).log()

    def new() -> None:
        with replaced(LabelGaussians, "log_distances", log_distances):
            detector.inspect(images)

    return lambda: detector.inspect(images), new


def first_layer_mixed(detector: Detector, images: Images) -> Any:
    """The first convolution at images and prototypes alone: at a waypoint it is the mixture of the two."""
    classifier: Any = detector.classifier
    network, paths = classifier.network, detector.straight_paths
    mixing, n_prototypes = paths.mixing, paths.prototypes.shape[1]
    starts = images[: max(1, POINTS // (n_prototypes * len(mixing)))]
    ends = to_pixels(paths.prototypes[0]).expand(len(starts), -1, -1, -1, -1)
    first, rest = network.stem[0], network.stem[1:]
    at_ends = first((ends[0] - classifier.mean) / classifier.std)

    def old() -> Tensor:
        points: Tensor = profiles.fans(starts, ends, mixing).flatten(0, 2)
        return classifier.all_logits(points)  # type: ignore[no-any-return]

    def new() -> Tensor:
        at_starts = first((starts - classifier.mean) / classifier.std)
        mixed = profiles.fans(at_starts, at_ends.expand(len(starts), -1, -1, -1, -1), mixing)
        hidden = rest(mixed.flatten(0, 2).contiguous(memory_format=torch.channels_last))
        for stage in network.stages:
            hidden = stage(hidden)
        return network.head(network.flatten(network.pool(hidden)))  # type: ignore[no-any-return]

    torch.testing.assert_close(new(), old(), rtol=1e-3, atol=1e-3)
    return old, new


def rendered(render: Callable[[Any, Tensor], Callable[[Tensor], object]]) -> Callable[[Detector, Images], Any]:
    """The bare classifier as it is, and another rendering of it."""

    def make(detector: Detector, images: Images) -> Any:
        classifier, points = detector.classifier, images[:POINTS]
        other = render(classifier, points)
        return lambda: classifier(points), lambda: other(points)

    return make


class _Flat(nn.Module):
    """Logits and representations as a tuple, as tracers want them."""

    def __init__(self, classifier: Any) -> None:
        super().__init__()
        self.classifier = classifier

    def forward(self, points: Tensor) -> tuple[Tensor, ...]:
        outputs = self.classifier(points)
        return (outputs.logits, *outputs.representations.values())


def frozen_script(classifier: Any, points: Tensor) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        traced = torch.jit.trace(_Flat(classifier).eval(), points, check_trace=False)
        return torch.jit.optimize_for_inference(torch.jit.freeze(traced))


def compiled(classifier: Any, points: Tensor) -> Any:
    return torch.compile(_Flat(classifier).eval())


def in_bfloat16(classifier: Any, points: Tensor) -> Any:
    return HalfPrecisionClassifier(classifier, Precision.BFLOAT16)


def channels_first(classifier: Any, points: Tensor) -> Any:
    other = copy.deepcopy(classifier)
    for parameter in other.parameters():
        parameter.data = parameter.data.contiguous()
    return other


IDEAS = (
    Idea(
        name="forward passes that fit the cache",
        predicted=1.12,
        verdict="kept",
        make=patched(pooled_outputs, "points_per_forward", lambda _shape, _device: None),
    ),
    Idea(
        name="deviations by two means",
        predicted=1.12,
        verdict="kept",
        make=patched(pooled_outputs, "pooled", pooled_by_var),
    ),
    Idea(name="paths by broadcasting", predicted=1.01, verdict="kept", make=patched(profiles, "fans", copied_fans)),
    Idea(name="rectifiers in place", predicted=1.08, verdict="kept", make=rectifying),
    Idea(name="first convolution mixed", predicted=1.01, verdict="dropped", make=first_layer_mixed),
    Idea(name="means whitened beforehand", predicted=1.005, verdict="dropped", make=whitened_beforehand),
    Idea(name="classifier: frozen TorchScript", predicted=1.25, verdict="dropped", make=rendered(frozen_script)),
    Idea(name="classifier: torch.compile", predicted=1.3, verdict="dropped", make=rendered(compiled)),
    Idea(name="classifier: bfloat16 on a CPU", predicted=0.5, verdict="dropped", make=rendered(in_bfloat16)),
    Idea(name="classifier: channels first", predicted=0.85, verdict="dropped", make=rendered(channels_first)),
)
