"""Random crops and flips of whole batches, drawn from a generator that the caller owns."""

import torch
from jaxtyping import UInt8
from torch import Generator, Tensor
from torch.nn import functional


def random_crops(
    images: UInt8[Tensor, "image channel height width"], padding: int, generator: Generator
) -> UInt8[Tensor, "image channel height width"]:
    """Shift every image by up to `padding` pixels each way; what comes in from outside is the reflected border."""
    if padding == 0:
        return images
    n_images, _, height, width = images.shape
    padded = functional.pad(images.float(), (padding,) * 4, mode="reflect").to(torch.uint8)
    top, left = torch.randint(0, 2 * padding + 1, (2, n_images), generator=generator)
    rows = top[:, None, None] + torch.arange(height)[None, :, None]
    columns = left[:, None, None] + torch.arange(width)[None, None, :]
    # Indexed axes that a slice separates come first in the result, so the channels arrive last.
    cropped = padded[torch.arange(n_images)[:, None, None], :, rows, columns]
    return cropped.permute(0, 3, 1, 2)


def random_flips(
    images: UInt8[Tensor, "image channel height width"], generator: Generator
) -> UInt8[Tensor, "image channel height width"]:
    """Mirror each image left to right with probability one half."""
    flipped = torch.rand(len(images), generator=generator) < 0.5
    return torch.where(flipped[:, None, None, None], images.flip(3), images)
