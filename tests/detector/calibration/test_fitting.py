import itertools
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Generator, Tensor

from detector.calibration.fitting import (
    Examples,
    FittingSettings,
    balanced_loss,
    collect_examples,
    fit_claim_weights,
    fit_head,
    require_proxies,
)
from detector.calibration.statistics import fit_gaussians
from detector.calibration.stream import Batch
from detector.profiles import PathProfiler
from detector.types import CalibrationError, LabelledImages, no_progress, to_pixels

SETTINGS = FittingSettings(epochs=60, batch_size=32, learning_rate=2e-2)


def _examples(n_clean: int, n_proxies: int, distance: float, seed: int = 0) -> Examples:
    """Two clouds that far apart along every axis."""
    features = torch.randn(n_clean + n_proxies, 4, generator=Generator().manual_seed(seed))
    features[n_clean:] += distance
    return Examples(
        features=features,
        is_proxy=torch.cat([torch.zeros(n_clean), torch.ones(n_proxies)]),
        claims=torch.zeros(n_proxies, 3, 1),
        labels=torch.zeros(n_proxies, dtype=torch.int64),
        true_labels=torch.ones(n_proxies, dtype=torch.int64),
    )


def _fit(learn: Examples, validate: Examples, hidden: tuple[int, ...] = ()) -> Tensor:
    """Scores that the fitted head gives to what it learned from."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return fit_head(learn, validate, hidden, SETTINGS)(learn.features)


@pytest.mark.parametrize("hidden", [(), (8,)])
def test_a_head_separates_what_can_be_separated(hidden: tuple[int, ...]) -> None:
    learn, validate = _examples(60, 40, distance=4.0), _examples(30, 20, distance=4.0, seed=1)
    scores = _fit(learn, validate, hidden)
    assert ((scores > 0) == (learn.is_proxy > 0)).float().mean() > 0.98


def test_a_kind_that_is_rare_counts_as_much_as_the_other() -> None:
    """Where nothing separates them, the head is at a loss, not at the more frequent kind."""
    learn, validate = _examples(200, 10, distance=0.0), _examples(200, 10, distance=0.0, seed=1)
    assert _fit(learn, validate).mean().abs() < 0.5


@pytest.mark.parametrize("absent", [(20, 0), (0, 20)])
def test_a_kind_that_is_absent_from_validation_counts_nothing(absent: tuple[int, int]) -> None:
    scores = _fit(_examples(60, 40, distance=4.0), _examples(*absent, distance=4.0, seed=1))
    assert scores.isfinite().all()


def test_thebalanced_loss_is_the_mean_of_both_kinds() -> None:
    scores, is_proxy = torch.tensor([0.0, 0.0, 0.0, 100.0]), torch.tensor([0.0, 0.0, 0.0, 1.0])
    assert balanced_loss(scores, is_proxy).item() == pytest.approx(0.6931 / 2, abs=1e-4)
    assert balanced_loss(scores[:3], is_proxy[:3]).item() == pytest.approx(0.6931, abs=1e-4)


def test_features_that_are_not_finite_are_refused() -> None:
    learn = _examples(20, 20, distance=4.0)
    learn.features[0] = torch.nan
    with pytest.raises(CalibrationError, match="never finite"):
        _fit(learn, _examples(20, 20, distance=4.0))


def test_the_weights_kept_are_those_of_the_lowest_validation_loss() -> None:
    """Validated by its own contrary, a head can only get worse: what is kept is the first epoch's."""
    learn, validate = _examples(60, 40, distance=4.0), _examples(60, 40, distance=-4.0)
    long, short = (
        _fit_for(learn, validate, FittingSettings(epochs=epochs, batch_size=32, patience=100)) for epochs in (40, 1)
    )
    assert torch.equal(long, short)


def _fit_for(learn: Examples, validate: Examples, settings: FittingSettings) -> Tensor:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return fit_head(learn, validate, (), settings)(learn.features)


def test_claims_that_point_at_the_true_label_get_weight_and_others_none() -> None:
    random = Generator().manual_seed(0)
    labels = torch.randint(0, 5, (300,), generator=random)
    true_labels = (labels + torch.randint(1, 5, (300,), generator=random)) % 5
    claims = torch.randn(300, 5, 2, generator=random)
    claims[torch.arange(300), true_labels, 0] += 3
    examples = Examples(
        features=torch.zeros(300, 1), is_proxy=torch.ones(300), claims=claims, labels=labels, true_labels=true_labels
    )
    weights = fit_claim_weights(examples)
    # Unit normals shifted by 3 for one label: its log-odds are 3 · claim, up to what regularisation takes.
    assert weights[0].item() == pytest.approx(3, abs=0.6)
    assert weights[1].abs() < 0.3


def test_a_claim_that_never_changes_gets_no_weight() -> None:
    assert fit_claim_weights(_examples(0, 20, distance=0.0)).tolist() == [0.0]


def _profiler(classifier: Any, data: LabelledImages) -> PathProfiler:
    return PathProfiler(classifier=classifier, gaussians=fit_gaussians(classifier, data, 64))


def _batches(data: LabelledImages, n_proxies: int) -> Any:
    images = to_pixels(data.images)
    batch = Batch(clean=images[:6], proxies=images[6 : 6 + n_proxies], true_labels=data.labels[6 : 6 + n_proxies])
    return itertools.repeat(batch)


def test_examples_are_clean_images_and_proxies_of_so_many_batches(
    corners: Any, corner_images: Callable[..., LabelledImages]
) -> None:
    data = corner_images(40, seed=1)
    profiler, prototypes, mixing = _profiler(corners, data), torch.rand(4, 2, 1, 4, 4), torch.tensor([0.3])
    found = collect_examples(profiler, prototypes, mixing, _batches(data, 3), 2, no_progress)
    assert found.is_proxy.tolist() == ([0.0] * 6 + [1.0] * 3) * 2
    expected = profiler.measure(to_pixels(data.images[:9]), prototypes, mixing)
    torch.testing.assert_close(found.features[:9], expected.features)
    torch.testing.assert_close(found.claims[3:], expected.claims[6:9])
    assert found.labels.tolist() == expected.labels[6:9].tolist() * 2
    assert found.true_labels.tolist() == data.labels[6:9].tolist() * 2


def test_proxies_none_of_which_succeeded_are_refused(
    corners: Any, corner_images: Callable[..., LabelledImages]
) -> None:
    data = corner_images(40, seed=1)
    with pytest.raises(CalibrationError, match="none of the proxies fooled the classifier"):
        require_proxies(
            collect_examples(
                _profiler(corners, data),
                torch.rand(4, 2, 1, 4, 4),
                torch.tensor([0.3]),
                _batches(data, 0),
                2,
                no_progress,
            )
        )
