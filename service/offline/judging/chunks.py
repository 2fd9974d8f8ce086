"""How many images of a shard are judged in one call."""

import torch

from detector.bundle import Bundle
from detector.passes import pixels_per_pass
from detector.straight import images_in_full, images_per_step
from service.options import RuntimeName

MOST_IMAGES = 256
CUDA_MOST_IMAGES = 2048
"""A GPU needs more of them to be busy."""

MOST_PIXELS = 2**23
"""Of a chunk's images together, before they are spread over paths."""


def chunk_images(bundle: Bundle, device: str, runtime: RuntimeName) -> int:
    """By how many the images of a shard are judged at a time; only the last chunk of a shard may be smaller.

    As many as a step of the detector takes. They are fixed when an audit begins: how many images share a forward pass
    shows in the last digits of their scores, and a shard that is judged again must come out the same. A bundle with a
    second opinion is given several steps' worth at once, because searches that end leave their places to those of
    other images.

    Args:
        device: the kind of it, `cpu` or `cuda`.
    """
    step = images_in_full if runtime is RuntimeName.ONNXRUNTIME else images_per_step
    n_step, n_most = step(bundle, pixels_per_pass(torch.device(device))), most_images(bundle.record.input_shape, device)
    return min(n_step, n_most) if bundle.second_opinion is None else whole_steps(n_step, n_most)


def most_images(input_shape: tuple[int, int, int], device: str) -> int:
    """The largest chunk of images of this shape (channel, height, width); at least one."""
    most = CUDA_MOST_IMAGES if device == "cuda" else MOST_IMAGES
    return max(1, min(most, MOST_PIXELS // (input_shape[1] * input_shape[2])))


def whole_steps(n_step: int, n_most: int) -> int:
    """As many whole steps as fit; a part of one where not even one does."""
    return n_most if n_step >= n_most else n_most // n_step * n_step
