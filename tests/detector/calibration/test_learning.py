import itertools
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Generator

from detector import profiles
from detector.calibration.learning import LearningSettings, _backpropagate, learn_prototypes, new_head
from detector.calibration.proxies import ProxySettings
from detector.calibration.statistics import fit_gaussians
from detector.calibration.stream import Batch, StreamSettings, stream
from detector.profiles import PathProfiler
from detector.prototypes import PrototypeKind, PrototypeSet
from detector.types import CalibrationError, LabelledImages, no_progress

STREAM = StreamSettings(
    images=20, sources=40, crop_padding=0, flip=False, proxies=ProxySettings(smallest_radius=0.05, largest_radius=0.2)
)
MIXING = torch.tensor([0.2, 0.4])


def _start() -> PrototypeSet:
    """Black, white and grey: the ends of the range, where a sigmoid would have no slope, among them."""
    images = torch.tensor([0, 255, 128], dtype=torch.uint8).view(1, 3, 1, 1, 1).repeat(4, 1, 1, 4, 4)
    return PrototypeSet(
        images=images, available=torch.ones(4, dtype=torch.bool), kinds=(PrototypeKind.FEATURE_VISUALISED,) * 3
    )


@pytest.fixture
def learn(corners: Any, corner_images: Callable[..., LabelledImages]) -> Callable[..., Any]:
    data = corner_images(120, seed=1)
    profiler = PathProfiler(classifier=corners, gaussians=fit_gaussians(corners, data, 64))

    def run(settings: LearningSettings, progress: Any = no_progress, batches: Any = None) -> Any:
        given = batches or stream(corners, data, STREAM, Generator().manual_seed(0), 64)
        with torch.random.fork_rng():
            torch.manual_seed(0)
            return learn_prototypes(profiler, _start(), MIXING, given, settings, (16,), progress)

    run.profiler = profiler  # type: ignore[attr-defined]
    run.batches = lambda: stream(corners, data, STREAM, Generator().manual_seed(0), 64)  # type: ignore[attr-defined]
    return run


def test_the_loss_falls_while_prototypes_are_learned(learn: Callable[..., Any]) -> None:
    losses: list[float] = []
    learn(LearningSettings(steps=60, head_rate=1e-2), lambda stage, *_: losses.append(float(stage.split()[-1])))
    assert len(losses) == 60
    # In nats; a coin would have .693.
    assert losses[-1] < 0.5 < losses[0]


def test_learned_prototypes_move_and_stay_in_range(learn: Callable[..., Any]) -> None:
    prototypes, mixing = learn(LearningSettings(steps=10, prototype_rate=0.3))
    assert prototypes.kinds == (PrototypeKind.LEARNED,) * 3
    assert prototypes.images.dtype == torch.uint8
    assert (prototypes.images != _start().images).float().mean() > 0.5
    assert ((mixing > 0) & (mixing < 1)).all()
    assert not torch.allclose(mixing, MIXING, atol=1e-3)


def test_without_a_step_nothing_moves_beyond_the_pulled_in_ends(learn: Callable[..., Any]) -> None:
    prototypes, mixing = learn(LearningSettings(steps=0))
    assert prototypes.images[0, :, 0, 0, 0].tolist() == [5, 250, 128]
    torch.testing.assert_close(mixing, MIXING)


def test_one_seed_learns_one_set(learn: Callable[..., Any]) -> None:
    (first, first_mixing), (second, second_mixing) = (learn(LearningSettings(steps=4)) for _ in range(2))
    assert torch.equal(first.images, second.images)
    assert torch.equal(first_mixing, second_mixing)


def test_the_gradient_of_a_batch_does_not_depend_on_how_it_is_cut(
    learn: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    batch, gradients = next(learn.batches()), []  # type: ignore[attr-defined]
    for size in (1000, 7, 1):
        monkeypatch.setattr(profiles, "images_per_pass", lambda *_, size=size: size)
        prototypes, mixing = _start().pixels().requires_grad_(True), MIXING.logit().requires_grad_(True)
        with torch.random.fork_rng():
            torch.manual_seed(0)
            head = new_head(learn.profiler, _start().pixels(), MIXING, iter([batch]), LearningSettings(), ())  # type: ignore[attr-defined]
        loss = _backpropagate(learn.profiler, head, batch, prototypes, mixing)  # type: ignore[attr-defined]
        gradients.append(torch.cat([torch.tensor([loss]), prototypes.grad.flatten(), mixing.grad]))  # type: ignore[union-attr,list-item]
    torch.testing.assert_close(gradients[1], gradients[0], atol=1e-6, rtol=1e-3)
    torch.testing.assert_close(gradients[2], gradients[0], atol=1e-6, rtol=1e-3)


def test_a_batch_without_proxies_can_be_learned_from(learn: Callable[..., Any]) -> None:
    batch = next(learn.batches())  # type: ignore[attr-defined]
    only_clean = Batch(clean=batch.clean, proxies=batch.proxies[:0], true_labels=batch.true_labels[:0])
    prototypes, _ = learn(LearningSettings(steps=2), batches=itertools.repeat(only_clean))
    assert prototypes.n_prototypes == 3


def test_a_loss_that_is_not_finite_is_refused(learn: Callable[..., Any]) -> None:
    batch = next(learn.batches())  # type: ignore[attr-defined]
    broken = Batch(clean=batch.clean, proxies=batch.proxies * torch.nan, true_labels=batch.true_labels)
    with pytest.raises(CalibrationError, match="diverged at step 0; lower the prototypes' learning rate"):
        learn(LearningSettings(steps=2), batches=itertools.repeat(broken))


def test_a_new_head_has_the_scale_of_clean_features(learn: Callable[..., Any]) -> None:
    profiler = learn.profiler  # type: ignore[attr-defined]
    prototypes = _start().pixels()
    settings = LearningSettings(standardising_batches=2)
    with torch.random.fork_rng():
        head = new_head(profiler, prototypes, MIXING, learn.batches(), settings, ())  # type: ignore[attr-defined]
    drawn = itertools.islice(learn.batches(), 2)  # type: ignore[attr-defined]
    features = torch.cat([profiler.measure(batch.clean, prototypes, MIXING).features for batch in drawn])
    torch.testing.assert_close(head.mean, features.mean(0))
