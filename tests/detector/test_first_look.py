import dataclasses
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from detector.bundle import Bundle
from detector.early_exit import Look
from detector.first_look import FirstLook
from detector.profiles import Auxiliary, PathEvidence, PathProfiler
from detector.search.method import rows_of
from detector.types import BundleError, LabelledImages, to_pixels

SETS = [(), (Look.AUXILIARY,), (Look.SMOOTHED,), (Look.AUXILIARY, Look.SMOOTHED)]


@pytest.fixture
def coarse(toy: Any, corners: Any) -> Any:
    return toy(lambda pixels: 0.1 * corners.logits(pixels), n_labels=4, input_shape=(1, 4, 4), name="coarse")


@pytest.fixture
def profiler(bundle: Bundle, corners: Any, coarse: Any) -> PathProfiler:
    """With a smoothed version, and an auxiliary classifier that looks at the image alone."""
    alone = bundle.profiler(corners, None)
    gaussians = {name: bundle.gaussians[name] for name in ("logits",)}
    seeing = PathProfiler.on_device(coarse, {"pixels": bundle.gaussians["logits"], **gaussians})
    coarse.representations = {"pixels": corners.logits}
    return dataclasses.replace(alone, auxiliary=Auxiliary(profiler=seeing, n_prototypes=0))


@pytest.fixture
def images(corner_images: Callable[..., LabelledImages]) -> Tensor:
    return to_pixels(corner_images(9, seed=31).images)


def assert_same(found: PathEvidence, expected: PathEvidence) -> None:
    for field in dataclasses.fields(PathEvidence):
        torch.testing.assert_close(getattr(found, field.name), getattr(expected, field.name), rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize("looks", SETS)
def test_two_stages_show_what_one_does_whatever_the_first_takes_in(
    profiler: PathProfiler, bundle: Bundle, images: Tensor, looks: tuple[Look, ...]
) -> None:
    expected = profiler.measure(images, bundle.prototypes.images, bundle.mixing)
    staged = FirstLook(profiler=profiler, looks=looks)
    glance, rows = staged.glance(images), torch.tensor([7, 2, 3])
    columns = staged.columns(expected.features.shape[1])
    torch.testing.assert_close(glance.features, expected.features[:, columns], rtol=1e-5, atol=1e-4)
    found = staged.completed(rows_of(glance, rows), images[rows], bundle.prototypes.images, bundle.mixing)
    assert_same(found, rows_of(expected, rows))


@pytest.mark.parametrize("looks", SETS)
def test_no_stage_asks_a_network_what_it_knows_already(
    profiler: PathProfiler, bundle: Bundle, corners: Any, coarse: Any, images: Tensor, looks: tuple[Look, ...]
) -> None:
    staged = FirstLook(profiler=profiler, looks=looks)
    glance = staged.glance(images)
    assert sum(corners.batches) + sum(coarse.batches) == len(images) * staged.forward_equivalents
    staged.completed(glance, images, bundle.prototypes.images, bundle.mixing)
    n_points = 2 + bundle.prototypes.n_prototypes * len(bundle.mixing)
    assert (sum(corners.batches), sum(coarse.batches)) == (len(images) * n_points, len(images))


@pytest.mark.parametrize("looks", SETS)
def test_the_first_stage_alone_is_a_profiler_without_prototypes(
    profiler: PathProfiler, bundle: Bundle, images: Tensor, looks: tuple[Look, ...]
) -> None:
    staged = FirstLook(profiler=profiler, looks=looks)
    alone = staged.alone.measure(images, bundle.prototypes.images[:, :0], bundle.mixing)
    torch.testing.assert_close(alone.features, staged.glance(images).features, rtol=1e-5, atol=1e-4)


def test_an_auxiliary_classifier_along_paths_has_no_first_look(profiler: PathProfiler) -> None:
    assert profiler.auxiliary is not None
    along = dataclasses.replace(profiler, auxiliary=dataclasses.replace(profiler.auxiliary, n_prototypes=1))
    with pytest.raises(BundleError, match="looks along paths, of which a first look has none"):
        FirstLook(profiler=along, looks=())
