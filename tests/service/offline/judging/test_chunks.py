import dataclasses
from types import SimpleNamespace

import pytest
import torch

from detector.passes import PIXELS_PER_PASS
from service.bundles import ClassifierChoice, open_bundle, open_detector
from service.offline.judging.chunks import chunk_images


@dataclasses.dataclass(frozen=True, kw_only=True)
class Sized:
    """What of a bundle decides."""

    side: int
    n_paths: int
    n_waypoints: int = 2
    second_opinion: object = None

    @property
    def record(self):
        return SimpleNamespace(input_shape=(3, self.side, self.side))

    @property
    def prototypes(self):
        return SimpleNamespace(n_prototypes=self.n_paths)

    @property
    def mixing(self):
        return torch.zeros(self.n_waypoints)


@pytest.mark.parametrize(
    ("bundle", "expected"),
    [
        # 256 waypoints a pass, 6 of an image.
        (Sized(side=32, n_paths=3), 42),
        (Sized(side=224, n_paths=3), 1),
        # 4096 waypoints a pass, and no chunk is larger than 256.
        (Sized(side=8, n_paths=3), 256),
        # Six passes of 42 are 252.
        (Sized(side=32, n_paths=3, second_opinion="asked"), 252),
        # 2²³ pixels are 167 images.
        (Sized(side=224, n_paths=3, second_opinion="asked"), 167),
        (Sized(side=4096, n_paths=3, second_opinion="asked"), 1),
    ],
)
def test_a_chunk_is_a_pass_or_where_images_are_searched_as_many_whole_passes_as_fit(bundle, expected) -> None:
    assert PIXELS_PER_PASS == 2**18
    assert chunk_images(bundle) == expected


def test_the_bundle_alone_says_what_its_detector_says() -> None:
    opened = open_detector("cifar10-resnet20", false_positive_rate=0.05, choice=ClassifierChoice(device="cpu"))
    assert chunk_images(open_bundle("cifar10-resnet20")) == opened.detector.images_per_step
