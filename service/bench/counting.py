"""How many forward passes a detector takes an image, counted while it judges."""

import contextlib
from collections.abc import Iterator
from typing import Any

from torch import Tensor, nn

from detector.detector import Detector
from detector.types import Classifier, Images


def counted_forward_equivalents(detector: Detector, images: Images) -> float | None:
    """Images that went through the classifier and the auxiliary, an image judged.

    A bundle that leaves early, or asks a second opinion, takes another number on other images.

    Returns:
        None where passes cannot be seen: a classifier need not be a module, and one that is replayed as a CUDA
        graph is none.
    """
    profiler = detector.straight_paths.profiler
    auxiliary = profiler.auxiliary
    networks = [profiler.classifier, *([] if auxiliary is None else [auxiliary.profiler.classifier])]
    if not all(isinstance(network, nn.Module) for network in networks):
        return None
    with _counting(networks) as seen:
        detector.inspect(images)
    return sum(seen) / len(images) if seen else None


@contextlib.contextmanager
def _counting(networks: list[Classifier]) -> Iterator[list[int]]:
    seen: list[int] = []

    def count(_module: nn.Module, arguments: tuple[Any, ...]) -> None:
        if arguments and isinstance(arguments[0], Tensor):
            seen.append(len(arguments[0]))

    modules = [network for network in networks if isinstance(network, nn.Module)]
    handles = [module.register_forward_pre_hook(count) for module in modules]
    try:
        yield seen
    finally:
        for handle in handles:
            handle.remove()
