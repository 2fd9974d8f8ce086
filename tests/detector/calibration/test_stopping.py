import itertools
import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from detector.calibration.statistics import fit_gaussians
from detector.calibration.stopping import BestSoFar, Checker
from detector.calibration.stream import Batch
from detector.head import Head
from detector.profiles import PathProfiler
from detector.types import LabelledImages, to_pixels

MIXING = torch.tensor([0.3])


def _learned(value: float) -> tuple[Tensor, Tensor]:
    return torch.tensor([value]), torch.tensor([value])


def test_the_lowest_loss_is_kept_with_what_had_been_learned_by_then() -> None:
    best = BestSoFar(patience=3, kept=_learned(0))
    for step, loss in enumerate((0.6, 0.4, 0.5), 1):
        best.see(loss, step, _learned(step))
    assert (best.loss, best.step, best.waited) == (0.4, 2, 1)
    assert best.kept == _learned(2)


def test_it_is_over_after_as_many_checks_in_vain_as_patience_allows() -> None:
    best = BestSoFar(patience=2, kept=_learned(0))
    over = []
    for loss in (0.5, 0.6, 0.4, 0.4, 0.9):
        best.see(loss, 1, _learned(1))
        over.append(best.is_over)
    assert over == [False, False, False, False, True]


def test_a_loss_that_is_not_finite_is_never_the_lowest() -> None:
    best = BestSoFar(patience=2, kept=_learned(7))
    best.see(math.nan, 1, _learned(1))
    best.see(math.inf, 2, _learned(2))
    assert best.is_over
    assert (best.step, best.kept) == (0, _learned(7))


@pytest.fixture
def data(corner_images: Callable[..., LabelledImages]) -> LabelledImages:
    return corner_images(40, seed=1)


def _checker(data: LabelledImages, n_proxies: int) -> Checker:
    images = to_pixels(data.images)
    batch = Batch(clean=images[:6], proxies=images[6 : 6 + n_proxies], true_labels=data.labels[6 : 6 + n_proxies])
    return Checker.drawn(itertools.repeat(batch), 2)


def test_a_checker_holds_the_images_of_so_many_batches(data: LabelledImages) -> None:
    checker = _checker(data, 3)
    assert checker.is_proxy.tolist() == ([0.0] * 6 + [1.0] * 3) * 2
    assert torch.equal(checker.images[9:], to_pixels(data.images[:9]))


@pytest.mark.parametrize("n_proxies", [0, 4])
def test_a_head_that_knows_nothing_loses_what_a_coin_would_and_goes_on_learning(
    corners: Any, data: LabelledImages, n_proxies: int
) -> None:
    profiler = PathProfiler(classifier=corners, gaussians=fit_gaussians(corners, data, 64))
    prototypes = torch.full((4, 1, 1, 4, 4), 0.5)
    head = Head(profiler.features(to_pixels(data.images[:2]), prototypes, MIXING).shape[1], (), dropout=0.5)
    torch.nn.init.zeros_(head.layers[-1].weight)  # type: ignore[arg-type]
    torch.nn.init.zeros_(head.layers[-1].bias)  # type: ignore[arg-type]
    head.train()
    assert _checker(data, n_proxies).loss(profiler, head, prototypes, MIXING) == pytest.approx(math.log(2))
    assert head.training
