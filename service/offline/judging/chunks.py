"""How many images of a shard are judged in one call."""

from detector.bundle import Bundle
from detector.passes import images_per_pass

MOST_IMAGES = 256

MOST_PIXELS = 2**23
"""Of a chunk's images together, before they are spread over paths."""


def chunk_images(bundle: Bundle) -> int:
    """By how many the images of a shard are judged at a time; only the last chunk of a shard may be smaller.

    It follows from the bundle alone: how many images share a forward pass shows in the last digits of their scores,
    and a shard that is judged again must come out the same. A bundle with a second opinion is given several steps'
    worth at once, because searches that end leave their places to those of other images.
    """
    shape = bundle.record.input_shape
    n_step = images_per_pass(shape, bundle.prototypes.n_prototypes * len(bundle.mixing))
    n_most = max(1, min(MOST_IMAGES, MOST_PIXELS // (shape[1] * shape[2])))
    if bundle.second_opinion is None or n_step >= n_most:
        return min(n_step, n_most)
    return n_most // n_step * n_step
