"""How much goes into one forward pass, so that memory does not follow the number of images."""

import torch

from detector.types import Classifier, Images, Labels

PIXELS_PER_PASS = 2**18
"""Pixels that are worked on at a time: 256 waypoints of 32×32, 5 of 224×224. They bound the memory."""

CUDA_PIXELS_PER_PASS = 2**21
"""The same on a GPU, which few pixels leave idle: 2,048 waypoints of 32×32, 41 of 224×224."""

CACHED_PIXELS = 2**17
"""Pixels in one forward pass of one CPU thread: 128 points of 32×32, two of 224×224.

Residual networks hold about 16 numbers a pixel in their widest maps, so that these are 8 MiB; of more, each layer
writes what the cache has lost when the next one reads it. `tests/benchmarks/pipeline_speedups.py` measures the cost.
"""


def pixels_per_pass(device: torch.device) -> int:
    """Pixels that are worked on at a time on this device, where nobody says otherwise."""
    return CUDA_PIXELS_PER_PASS if device.type == "cuda" else PIXELS_PER_PASS


def points_per_forward(input_shape: tuple[int, int, int], device: torch.device) -> int | None:
    """Images of this shape (channel, height, width) in one call of a network: what caches hold; no bound on a GPU."""
    if device.type != "cpu":
        return None
    return waypoints_per_pass(input_shape, min(PIXELS_PER_PASS, CACHED_PIXELS * torch.get_num_threads()))


def waypoints_per_pass(input_shape: tuple[int, int, int], pixels_per_pass: int = PIXELS_PER_PASS) -> int:
    """How many images of this shape (channel, height, width) make up one forward pass; at least one."""
    return max(1, pixels_per_pass // (input_shape[1] * input_shape[2]))


def images_per_pass(input_shape: tuple[int, int, int], n_waypoints: int, pixels_per_pass: int = PIXELS_PER_PASS) -> int:
    """How many images with so many waypoints each make up one forward pass; at least one, with all its waypoints."""
    return max(1, waypoints_per_pass(input_shape, pixels_per_pass) // max(1, n_waypoints))


@torch.no_grad()
def predicted_labels(classifier: Classifier, images: Images, chunk: int | None = None) -> Labels:
    """The label that the classifier gives each image, on the device where the images are.

    Args:
        chunk: images in one forward pass; as many as `PIXELS_PER_PASS` allows if not given.
    """
    parts = torch.split(images, chunk or waypoints_per_pass(classifier.input_shape))
    return torch.cat([classifier(part.to(classifier.device)).logits.argmax(1).to(images.device) for part in parts])
