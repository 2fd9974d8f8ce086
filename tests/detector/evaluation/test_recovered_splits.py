from collections.abc import Callable
from typing import Any

import pytest
import torch

from detector.bundle import Bundle
from detector.calibration import CalibrationSettings
from detector.calibration.splits import split_held_out
from detector.evaluation.recovered_splits import recover_splits
from detector.types import BundleError, ImageError, LabelledImages

PARTS = ("statistics", "learning", "conformal")


def test_recovered_parts_are_those_that_the_bundle_was_calibrated_with(
    bundle: Bundle, corner_images: Callable[..., LabelledImages], tiny_settings: CalibrationSettings
) -> None:
    held_out, references = corner_images(240, seed=2), corner_images(60, seed=1)
    expected = split_held_out(held_out, references, tiny_settings.shares, tiny_settings.seed)
    found = recover_splits(bundle, held_out)
    for part in PARTS:
        assert len(getattr(found, part)) > 0
        assert torch.equal(getattr(found, part).images, getattr(expected, part).images)
        assert torch.equal(getattr(found, part).labels, getattr(expected, part).labels)


def test_order_repetition_and_other_images_do_not_matter(
    bundle: Bundle, corner_images: Callable[..., LabelledImages]
) -> None:
    held_out, others = corner_images(240, seed=2), corner_images(30, seed=9)
    order = torch.randperm(240, generator=torch.Generator().manual_seed(0))
    mixed = LabelledImages(
        images=torch.cat([others.images, held_out.images[order], held_out.images[:5]]),
        labels=torch.cat([others.labels, held_out.labels[order], held_out.labels[:5]]),
    )
    for part in PARTS:
        expected = getattr(recover_splits(bundle, held_out), part)
        assert torch.equal(getattr(recover_splits(bundle, mixed), part).images, expected.images)


def test_a_file_that_lacks_an_image_of_the_calibration_is_refused(
    bundle: Bundle, corner_images: Callable[..., LabelledImages]
) -> None:
    expected = r"calibrated with 240 images \(240 by its counts\), and 239 of them are among the 239 given; give the"
    with pytest.raises(ImageError, match=expected):
        recover_splits(bundle, corner_images(240, seed=2)[1:])


def _with_measured(bundle: Bundle, measured: dict[str, Any]) -> Bundle:
    return bundle.replaced(record=bundle.record.model_copy(update={"measured": measured}))


def test_counts_that_do_not_add_up_are_refused(bundle: Bundle, corner_images: Callable[..., LabelledImages]) -> None:
    more = bundle.record.measured | {"learning_images": bundle.record.measured["learning_images"] + 1}
    with pytest.raises(ImageError, match=r"240 images \(241 by its counts\)"):
        recover_splits(_with_measured(bundle, more), corner_images(240, seed=2))


def test_a_bundle_that_does_not_tell_its_counts_is_refused(
    bundle: Bundle, corner_images: Callable[..., LabelledImages]
) -> None:
    with pytest.raises(BundleError, match="does not say how many conformal images"):
        recover_splits(_with_measured(bundle, {}), corner_images(240, seed=2))
