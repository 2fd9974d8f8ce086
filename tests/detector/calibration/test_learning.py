import dataclasses
import itertools
import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Generator, Tensor
from torch.nn import functional

from detector import profiles
from detector.calibration.learning import Learned, LearningSettings, backpropagate, learn_prototypes, new_head
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

    def run(
        settings: LearningSettings,
        progress: Any = no_progress,
        batches: Any = None,
        unseen: Any = None,
        start: PrototypeSet | None = None,
    ) -> Learned:
        given = batches or stream(corners, data, STREAM, Generator().manual_seed(0), 64)
        others = unseen or stream(corners, corner_images(60, seed=2), STREAM, Generator().manual_seed(1), 64)
        with torch.random.fork_rng():
            torch.manual_seed(0)
            return learn_prototypes(profiler, start or _start(), MIXING, given, others, settings, (16,), progress)

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
    learned = learn(LearningSettings(steps=10, prototype_rate=0.3))
    prototypes, mixing = learned.prototypes, learned.mixing
    assert prototypes.kinds == (PrototypeKind.LEARNED,) * 3
    assert prototypes.images.dtype == torch.uint8
    assert (prototypes.images != _start().images).float().mean() > 0.5
    assert ((mixing > 0) & (mixing < 1)).all()
    assert not torch.allclose(mixing, MIXING, atol=1e-3)


def test_without_a_step_nothing_moves_beyond_the_pulled_in_ends(learn: Callable[..., Any]) -> None:
    learned = learn(LearningSettings(steps=0))
    assert learned.prototypes.images[0, :, 0, 0, 0].tolist() == [5, 250, 128]
    torch.testing.assert_close(learned.mixing, MIXING)
    assert (learned.steps, learned.loss) == (0, float("inf"))


def test_one_seed_learns_one_set(learn: Callable[..., Any]) -> None:
    first, second = (learn(LearningSettings(steps=4)) for _ in range(2))
    assert torch.equal(first.prototypes.images, second.prototypes.images)
    assert torch.equal(first.mixing, second.mixing)


def _brightest_quarters(pixels: Tensor) -> Tensor:
    return functional.avg_pool2d(pixels, 2).flatten(1).argmax(1)


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
        loss, labels = backpropagate(learn.profiler, head, batch, prototypes, mixing)  # type: ignore[attr-defined]
        assert torch.equal(labels, _brightest_quarters(torch.cat([batch.clean, batch.proxies])))
        gradients.append(torch.cat([torch.tensor([loss]), prototypes.grad.flatten(), mixing.grad]))  # type: ignore[union-attr,list-item]
    torch.testing.assert_close(gradients[1], gradients[0], atol=1e-6, rtol=1e-3)
    torch.testing.assert_close(gradients[2], gradients[0], atol=1e-6, rtol=1e-3)


def test_a_batch_without_proxies_can_be_learned_from(learn: Callable[..., Any]) -> None:
    batch = next(learn.batches())  # type: ignore[attr-defined]
    only_clean = Batch(clean=batch.clean, proxies=batch.proxies[:0], true_labels=batch.true_labels[:0])
    learned = learn(LearningSettings(steps=2), batches=itertools.repeat(only_clean))
    assert learned.steps == 2


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


def _brightest(quarter_of_label: list[int]) -> PrototypeSet:
    """One prototype a label, bright in the quarter given for it."""
    images = torch.full((4, 1, 1, 4, 4), 100, dtype=torch.uint8)
    for label, quarter in enumerate(quarter_of_label):
        top, left = 2 * (quarter // 2), 2 * (quarter % 2)
        images[label, 0, 0, top : top + 2, left : left + 2] = 140
    available = torch.ones(4, dtype=torch.bool)
    return PrototypeSet(images=images, available=available, kinds=(PrototypeKind.NOISE,))


def _own_margins(corners: Any, prototypes: PrototypeSet) -> Tensor:
    logits = corners(prototypes.pixels()[:, 0]).logits
    return logits.diagonal() - logits.scatter(1, torch.arange(4)[:, None], -torch.inf).amax(1)


@pytest.mark.slow
def test_prototypes_come_home_to_their_class_where_leaving_it_costs_enough(
    learn: Callable[..., Any], corners: Any
) -> None:
    """Each starts in the class of the next label, 40 · 40/255 nats away; nothing but the cost brings it back."""
    astray = _brightest([1, 2, 3, 0])
    settings = LearningSettings(steps=60, prototype_rate=0.1, check_every=60, own_class_weight=100.0)
    kept = learn(settings, start=astray).prototypes
    free = learn(dataclasses.replace(settings, own_class_weight=0.0), start=astray).prototypes
    assert (_own_margins(corners, astray) < -6).all()
    assert (_own_margins(corners, kept) > 1.5).all()
    assert (_own_margins(corners, free) < 0).any()


def test_the_cost_of_leaving_a_class_is_part_of_the_loss_that_is_reported(learn: Callable[..., Any]) -> None:
    losses = {}
    for weight in (0.0, 2.0):
        settings = LearningSettings(steps=1, own_class_weight=weight, prototype_rate=1e-6, mixing_rate=1e-6)
        losses[weight] = learn(settings, start=_brightest([1, 2, 3, 0])).loss
    # Logits of 40 · 140/255 against 40 · 100/255 for the others: log(3 + e^6.27) nats, less the allowance, twice.
    excess = math.log(3 + math.exp(40 * 40 / 255)) - 0.1
    assert losses[2.0] - losses[0.0] == pytest.approx(2 * excess, abs=1e-3)


def test_labels_without_prototypes_cost_nothing(learn: Callable[..., Any]) -> None:
    astray = _brightest([0, 1, 2, 0])
    absent = dataclasses.replace(astray, available=torch.tensor([True, True, True, False]))
    with_cost, without = (
        learn(LearningSettings(steps=1, own_class_weight=weight, own_class_allowance=1.0), start=absent).loss
        for weight in (5.0, 0.0)
    )
    assert with_cost == pytest.approx(without, abs=1e-6)


def test_what_is_learned_from_images_says_so(learn: Callable[..., Any]) -> None:
    settings = LearningSettings(steps=1)
    for kind in (PrototypeKind.REAL, PrototypeKind.MEDOID, PrototypeKind.OTHER_LABEL):
        start = dataclasses.replace(_start(), kinds=(PrototypeKind.NOISE, kind, PrototypeKind.NOISE))
        assert learn(settings, start=start).prototypes.kinds == (PrototypeKind.LEARNED_FROM_IMAGES,) * 3
    start = dataclasses.replace(_start(), kinds=(PrototypeKind.STAR, PrototypeKind.NOISE, PrototypeKind.GREY))
    assert learn(settings, start=start).prototypes.kinds == (PrototypeKind.LEARNED,) * 3


def test_learning_stops_when_it_only_gets_worse_and_keeps_the_best(learn: Callable[..., Any]) -> None:
    """Checked by the contrary of what it learns, every step makes it worse."""
    batch = next(learn.batches())  # type: ignore[attr-defined]
    n = min(len(batch.clean), len(batch.proxies))
    contrary = Batch(clean=batch.proxies[:n], proxies=batch.clean[:n], true_labels=batch.true_labels[:n])
    steps: list[int] = []
    settings = LearningSettings(steps=400, head_rate=5e-2, check_every=10, check_batches=1, patience=2)
    learned = learn(settings, lambda _, done, *__: steps.append(done), unseen=itertools.repeat(contrary))
    assert learned.steps == 10
    assert max(steps) == 30
    same = learn(dataclasses.replace(settings, patience=1), unseen=itertools.repeat(contrary))
    assert torch.equal(same.prototypes.images, learned.prototypes.images)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"own_class_weight": -0.1}, "was to weigh -0.1; give a positive number, or 0"),
        ({"own_class_weight": math.nan}, "was to weigh nan"),
        ({"check_every": 0}, "checked every 0 steps"),
        ({"patience": 0}, "stop after 0 checks"),
    ],
)
def test_settings_that_make_no_sense_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(CalibrationError, match=message):
        LearningSettings(**changes)
