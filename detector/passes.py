"""How much goes into one forward pass, so that memory does not follow the number of images."""

import torch

from detector.types import Classifier, Images, Labels

PIXELS_PER_PASS = 2**18
"""Pixels in one forward pass: 256 waypoints of 32×32, 5 of 224×224. More does not run faster on a CPU."""


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
