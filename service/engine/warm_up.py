"""The first steps of a detector, before anyone waits for them."""

from collections.abc import Callable

import torch
from torch import Tensor

from service.engine.hand import Hand
from service.engine.step_failures import FailureKind, failure_of, release_device_memory


def warm_up(hand: Hand, step: Callable[[Callable[[], object]], None]) -> None:
    """Judge a full batch of noise and then a single image; steps become smaller until they fit into memory.

    Args:
        step: does what it is given as one step of the engine.

    Raises:
        Exception: whatever the detector raises, memory for a single image missing included.
    """
    while (failed := _rehearsed(hand, hand.limit, step)) is not None:
        if hand.limit == 1:
            raise RuntimeError(f"the device has no memory for a single image: {failed}")
        hand.limit = hand.limit // 2
        hand.abandon()
        release_device_memory()
    hand.full = hand.limit
    _rehearsed(hand, 1, step)
    hand.abandon()


def _rehearsed(hand: Hand, n_images: int, step: Callable[[Callable[[], object]], None]) -> str | None:
    """Judge so much noise; what was said where memory did not suffice."""
    try:
        inspection, device = hand.inspection, hand.detector.classifier.device
        n_images = min(n_images, inspection.n_free)
        rates = [hand.detector.false_positive_rate] * n_images
        inspection.admit(list(range(n_images)), _noise(hand, n_images).to(device), rates)
        while not inspection.is_idle:
            step(inspection.step)
    except Exception as error:
        failure = failure_of(error)
        if failure.kind is not FailureKind.OUT_OF_MEMORY:
            raise
        return failure.text
    return None


def _noise(hand: Hand, n_images: int) -> Tensor:
    return torch.rand(n_images, *hand.detector.classifier.input_shape, generator=torch.Generator().manual_seed(0))
