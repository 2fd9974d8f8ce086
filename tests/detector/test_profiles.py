import dataclasses
import math
from typing import Any

import pytest
import torch
from torch import Tensor

from detector import passes
from detector.path_features import largest_other
from detector.potentials import LabelGaussians
from detector.profiles import PathEvidence, PathProfiler

N_POINT_FEATURES = 2 * 2 + 4
"""Two blocks (pixels, logits) with two distances each, and four scalars."""


def _image(*values: float) -> Tensor:
    return torch.tensor(values).view(1, 1, 2, 2)


def _profiler(classifier: Any) -> PathProfiler:
    sizes = {"pixels": 4, "logits": 2}
    gaussians = {
        name: LabelGaussians(means=torch.stack([torch.zeros(size), torch.ones(size)]), whitening=torch.eye(size)[None])
        for name, size in sizes.items()
    }
    return PathProfiler(classifier=classifier, gaussians=gaussians)


def _prototypes(*per_label: Tensor) -> Tensor:
    """The same prototypes for both labels."""
    return torch.stack([torch.cat(per_label)] * 2)


WHITE_CORNER = _image(0.5, 0.5, 0.5, 1.0)
"""Score 6: label 1."""
BLACK_CORNER = _image(0.5, 0.5, 0.5, 0.0)
"""Score −6: label 0."""


def _softplus(value: float) -> float:
    return math.log1p(math.exp(value))


def test_profiles_hold_the_cross_entropy_of_the_predicted_label_along_each_path(linear: Any) -> None:
    prototypes = _prototypes(BLACK_CORNER, WHITE_CORNER)
    evidence = _profiler(linear).measure(WHITE_CORNER, prototypes, torch.tensor([0.25, 0.75]))
    assert evidence.labels.tolist() == [1]
    # The score falls from 6 to −6 on the way to the first, and stays on the way to the second.
    expected = [[_softplus(-6), _softplus(-3), _softplus(3)], [_softplus(-6)] * 3]
    torch.testing.assert_close(evidence.profiles[0], torch.tensor(expected))


def test_the_label_that_gains_on_the_predicted_one_is_seen_in_the_takeover(linear: Any) -> None:
    prototypes = _prototypes(BLACK_CORNER)
    evidence = _profiler(linear).measure(WHITE_CORNER, prototypes, torch.tensor([0.25, 0.75]))
    # Label 0 gains 3, then 9, logits on label 1.
    torch.testing.assert_close(evidence.takeover, torch.tensor([[6.0, 0.0]]))


def test_claims_are_log_odds_takeover_and_distances_with_their_change(linear: Any) -> None:
    evidence = _profiler(linear).measure(WHITE_CORNER, _prototypes(BLACK_CORNER), torch.tensor([0.25, 0.75]))
    # Label 0 lies 6 logits behind and gains 6 on average; its mean pixels are black: distance² (3·¼ + 1) / 4.
    claims = evidence.claims[0, 0]
    torch.testing.assert_close(claims[:2], torch.tensor([-6.0, 6.0]))
    assert claims[2].item() == pytest.approx(math.log(1.75 / 4), abs=1e-4)
    # On the way the last pixel falls to ¾, then to ¼.
    change = (math.log((0.75 + 0.75**2) / 4) + math.log((0.75 + 0.25**2) / 4)) / 2 - math.log(1.75 / 4)
    assert claims[4].item() == pytest.approx(change, abs=1e-4)
    assert evidence.claims.shape == (1, 2, 2 + 2 * 2)


def test_images_of_any_number_pass_in_parts_whose_paths_fit(toy: Any) -> None:
    wide = toy(lambda pixels: pixels.flatten(1)[:, :2], n_labels=2, input_shape=(1, 256, 256))
    wide.representations = {"pixels": lambda pixels: pixels[:, 0, 0, :4]}
    # Four such images are worked on at a time, so that one has its two waypoints and another its own two beside it.
    prototypes = torch.rand(2, 2, 1, 256, 256, generator=torch.Generator().manual_seed(0))
    features = _profiler(wide).features(torch.rand(5, 1, 256, 256), prototypes, torch.tensor([0.5]))
    assert len(features) == 5
    assert max(wide.batches) == passes.points_per_forward(wide.input_shape, torch.device("cpu"))


@pytest.mark.parametrize("n_pixels", [4, 12, 2**15])
def test_calls_of_any_size_give_the_same_evidence(linear: Any, monkeypatch: pytest.MonkeyPatch, n_pixels: int) -> None:
    generator = torch.Generator().manual_seed(0)
    images, prototypes = torch.rand(5, 1, 2, 2, generator=generator), torch.rand(2, 3, 1, 2, 2, generator=generator)
    mixing = torch.tensor([0.2, 0.7])
    expected = _profiler(linear).measure(images, prototypes, mixing)
    linear.batches.clear()
    monkeypatch.setattr(passes, "CACHED_PIXELS", n_pixels)
    found = _profiler(linear).measure(images, prototypes, mixing)
    assert max(linear.batches) <= n_pixels // 4
    for field in dataclasses.fields(PathEvidence):
        one, other = getattr(found, field.name), getattr(expected, field.name)
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-5)


def test_each_image_meets_the_prototypes_of_its_own_label(linear: Any) -> None:
    prototypes = torch.stack([BLACK_CORNER, WHITE_CORNER])
    images = torch.cat([WHITE_CORNER, BLACK_CORNER])
    evidence = _profiler(linear).measure(images, prototypes, torch.tensor([0.5]))
    torch.testing.assert_close(evidence.profiles, torch.full((2, 1, 2), _softplus(-6)))


@pytest.mark.parametrize(
    ("n_prototypes", "n_waypoints", "n_features"),
    [
        (0, 2, N_POINT_FEATURES),
        (2, 0, N_POINT_FEATURES),
        (1, 2, N_POINT_FEATURES + 2 * (N_POINT_FEATURES + 1)),
        (3, 2, N_POINT_FEATURES + 2 * 2 * (N_POINT_FEATURES + 1)),
    ],
)
def test_there_are_as_many_features_as_potentials_and_waypoints_make(
    linear: Any, n_prototypes: int, n_waypoints: int, n_features: int
) -> None:
    prototypes = torch.rand(2, n_prototypes, 1, 2, 2, generator=torch.Generator().manual_seed(0))
    mixing = torch.linspace(0.1, 0.5, n_waypoints)
    evidence = _profiler(linear).measure(torch.cat([WHITE_CORNER, BLACK_CORNER]), prototypes, mixing)
    assert evidence.features.shape == (2, n_features)
    assert evidence.features.isfinite().all()
    assert evidence.profiles.shape == (2, n_prototypes, n_waypoints + 1)
    assert sum(linear.batches) == 2 * (1 + n_prototypes * n_waypoints)


def test_features_do_not_depend_on_the_order_of_the_prototypes(linear: Any) -> None:
    prototypes = torch.rand(2, 3, 1, 2, 2, generator=torch.Generator().manual_seed(0))
    mixing = torch.tensor([0.2, 0.4])
    found = _profiler(linear).measure(WHITE_CORNER, prototypes, mixing).features
    turned = _profiler(linear).measure(WHITE_CORNER, prototypes.flip(1), mixing).features
    torch.testing.assert_close(found, turned)


def test_gradients_reach_prototypes_and_mixing_weights_but_not_the_images(linear: Any) -> None:
    prototypes = torch.rand(2, 3, 1, 2, 2, generator=torch.Generator().manual_seed(0)).requires_grad_(True)
    mixing = torch.tensor([0.2, 0.4], requires_grad=True)
    images = torch.cat([WHITE_CORNER, WHITE_CORNER * 0.9])
    evidence = _profiler(linear).measure(images, prototypes, mixing)
    evidence.features.sum().backward()
    assert prototypes.grad is not None
    assert mixing.grad is not None
    assert prototypes.grad.isfinite().all()
    assert prototypes.grad[1].abs().sum() > 0
    assert prototypes.grad[0].abs().sum() == 0
    assert mixing.grad.isfinite().all()
    assert mixing.grad.abs().min() > 0


def test_an_image_that_is_its_own_prototype_has_flat_paths(linear: Any) -> None:
    evidence = _profiler(linear).measure(WHITE_CORNER, _prototypes(WHITE_CORNER), torch.tensor([0.2, 0.4]))
    torch.testing.assert_close(evidence.profiles, torch.full((1, 1, 3), _softplus(-6)))
    assert evidence.takeover.tolist() == [[0.0, 0.0]]


def test_the_largest_other_leaves_out_the_label_in_question() -> None:
    values = torch.tensor([[5.0, 1.0, 2.0], [0.0, 1.0, -1.0]])
    assert largest_other(values, torch.tensor([0, 0])).tolist() == [[2.0], [1.0]]


def _rows(evidence: PathEvidence, index: int) -> Tensor:
    return torch.cat([evidence.features[index], evidence.profiles[index].flatten(), evidence.takeover[index]])


def test_the_evidence_of_an_image_does_not_depend_on_the_others(linear: Any) -> None:
    random = torch.Generator().manual_seed(0)
    images, prototypes = torch.rand(70, 1, 2, 2, generator=random), torch.rand(2, 3, 1, 2, 2, generator=random)
    mixing = torch.tensor([0.2, 0.4])
    together = _profiler(linear).measure(images, prototypes, mixing)
    for index in range(0, 70, 7):
        alone = _profiler(linear).measure(images[index : index + 1], prototypes, mixing)
        torch.testing.assert_close(_rows(alone, 0), _rows(together, index), atol=1e-5, rtol=1e-5)


def test_straight_paths_given_as_waypoints_show_the_same(corners: Any) -> None:
    gaussians = {
        name: LabelGaussians(means=torch.zeros(4, size), whitening=torch.eye(size)[None])
        for name, size in (("map", 4), ("means", 4), ("logits", 4))
    }
    profiler = PathProfiler(classifier=corners, gaussians=gaussians)
    generator = torch.Generator().manual_seed(0)
    images, prototypes = torch.rand(5, 1, 4, 4, generator=generator), torch.rand(4, 2, 1, 4, 4, generator=generator)
    mixing = torch.tensor([0.25, 0.5])
    straight = profiler.measure(images, prototypes, mixing)
    ends = prototypes[straight.labels]
    waypoints = torch.stack([torch.lerp(images[:, None], ends, weight) for weight in mixing.tolist()], 2)
    given = profiler.measure_paths(images, waypoints)
    for name in ("labels", "logits", "features", "profiles", "takeover", "claims"):
        torch.testing.assert_close(getattr(given, name), getattr(straight, name))
