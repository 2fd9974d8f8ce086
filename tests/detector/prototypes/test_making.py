from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Generator, Tensor

from detector.prototypes import PrototypeKind, PrototypeSet, making
from detector.prototypes.making import Workshop, make_prototypes
from detector.prototypes.star import StarSettings
from detector.prototypes.synthesis import VisualisationSettings
from detector.types import LabelledImages, no_progress, to_stored


@pytest.fixture
def make(corners: Any, corner_images: Callable[..., LabelledImages]) -> Callable[..., PrototypeSet]:
    def run(kind: PrototypeKind, labels: tuple[int, ...] = (0, 1, 2, 3)) -> PrototypeSet:
        workshop = Workshop(
            classifier=corners,
            references=corner_images(40, seed=5),
            labels=labels,
            n_prototypes=2,
            visualisation=VisualisationSettings(steps=40, jitter=0, smoothness=0.0),
            star=StarSettings(steps=5, images=4),
            generator=Generator().manual_seed(0),
            chunk=16,
            progress=no_progress,
        )
        return make_prototypes(kind, workshop)

    return run


def _predicted(classifier: Any, prototypes: PrototypeSet) -> Tensor:
    return classifier(prototypes.pixels().flatten(0, 1)).logits.argmax(1).view(4, 2)


OWN = [[0, 0], [1, 1], [2, 2], [3, 3]]


@pytest.mark.parametrize(
    "kind", [PrototypeKind.REAL, PrototypeKind.MEDOID, PrototypeKind.FEATURE_VISUALISED, PrototypeKind.STAR]
)
def test_prototypes_are_taken_for_their_label(
    corners: Any, make: Callable[..., PrototypeSet], kind: PrototypeKind
) -> None:
    made = make(kind)
    assert _predicted(corners, made).tolist() == OWN
    assert made.kinds == (kind, kind)
    assert made.available.all()


def test_the_prototypes_of_another_label_are_those_of_the_one_before(
    corners: Any, make: Callable[..., PrototypeSet]
) -> None:
    made = make(PrototypeKind.OTHER_LABEL)
    assert torch.equal(made.images, make(PrototypeKind.REAL).images.roll(1, 0))
    assert _predicted(corners, made).tolist() == [OWN[3], *OWN[:3]]


@pytest.mark.parametrize("kind", [PrototypeKind.REAL, PrototypeKind.MEDOID])
def test_real_prototypes_are_references(
    make: Callable[..., PrototypeSet], corner_images: Callable[..., LabelledImages], kind: PrototypeKind
) -> None:
    references = {image.numpy().tobytes() for image in corner_images(40, seed=5).images}
    assert all(image.numpy().tobytes() in references for image in make(kind).images.flatten(0, 1))


def test_labels_that_calibration_saw_no_image_of_have_no_prototypes(make: Callable[..., PrototypeSet]) -> None:
    made = make(PrototypeKind.REAL, labels=(0, 2))
    assert made.available.tolist() == [True, False, True, False]
    assert (made.images[1] == 0).all()


def test_no_prototypes_are_made_where_none_are_wanted(make: Callable[..., PrototypeSet]) -> None:
    made = make(PrototypeKind.NONE)
    assert made.images.shape == (4, 0, 1, 4, 4)
    assert made.kinds == ()
    assert made.available.all()


def test_grey_is_the_byte_nearest_to_one_half(make: Callable[..., PrototypeSet]) -> None:
    assert (make(PrototypeKind.GREY).images == 128).all()


def test_star_centres_start_feature_visualised_and_move(make: Callable[..., PrototypeSet]) -> None:
    centres = make(PrototypeKind.STAR).images.int()
    starts = make(PrototypeKind.FEATURE_VISUALISED).images.int()
    moved = (centres - starts).abs()
    # Five steps of .05 in the logit move a pixel by at most 5 · .05 / 4 of the range, 16 of 255.
    assert 0 < moved.max() <= 17


MADE = [kind for kind in PrototypeKind if kind not in {PrototypeKind.LEARNED, PrototypeKind.LEARNED_FROM_IMAGES}]


@pytest.mark.parametrize("kind", MADE)
def test_one_seed_makes_one_set_without_global_random_numbers(
    make: Callable[..., PrototypeSet], untouched_randomness: None, kind: PrototypeKind
) -> None:
    assert torch.equal(make(kind).images, make(kind).images)


def test_pixels_are_rounded_to_the_nearest_byte() -> None:
    pixels = torch.tensor([0.0, 0.4 / 255, 0.6 / 255, 1.0]).view(1, 1, 1, 4)
    assert to_stored(pixels).flatten().tolist() == [0, 0, 1, 255]


@pytest.mark.parametrize("kind", [PrototypeKind.FEATURE_VISUALISED, PrototypeKind.NOISE, PrototypeKind.GREY])
def test_few_images_lie_in_memory_as_floats_at_once(
    make: Callable[..., PrototypeSet], monkeypatch: pytest.MonkeyPatch, kind: PrototypeKind
) -> None:
    sizes: list[int] = []

    def stored(pixels: Tensor) -> Tensor:
        sizes.append(len(pixels))
        return to_stored(pixels)

    monkeypatch.setattr(making, "NUMBERS_AT_ONCE", 3 * 16)
    monkeypatch.setattr(making, "to_stored", stored)
    assert make(kind).images.shape == (4, 2, 1, 4, 4)
    assert max(sizes) <= 3
