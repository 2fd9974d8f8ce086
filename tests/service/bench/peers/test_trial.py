from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor

from detector.calibration.splits import image_digests
from detector.types import LabelledImages, no_progress, to_stored
from service.bench.peers.peer import Peer
from service.bench.peers.trial import MEAN, Trial, auroc_of, make_trial
from service.errors import InputError


def grey(*levels: float) -> Tensor:
    return torch.tensor(levels)[:, None, None, None].expand(-1, 1, 2, 2)


def test_a_peer_of_known_scores_has_the_known_auroc(brightness: Any) -> None:
    peer = brightness()
    assert isinstance(peer, Peer)
    trial = Trial(clean=grey(0.1, 0.2, 0.3, 0.4), attacked={"half": grey(0.25, 0.25), "all": grey(0.5, 0.6)})
    found = auroc_of(peer, trial)
    assert found["all"] == (1, 1, 1)
    assert found["half"][0] == 0.5
    assert found["half"][1] < 0.5 < found["half"][2]
    assert found[MEAN][0] == 0.75
    # Half of the interval of the attack that varies.
    assert found[MEAN][1] == pytest.approx((1 + found["half"][1]) / 2, abs=0.07)
    assert peer.seen == [4, 2, 2]


def test_what_is_no_number_counts_as_most_adversarial(brightness: Any) -> None:
    trial = Trial(clean=grey(0.1, 0.9), attacked={"black": grey(0.0)})
    assert auroc_of(brightness(), trial)["black"] == (1, 1, 1)


def test_a_slow_peer_sees_few_images_of_every_attack(brightness: Any) -> None:
    peer = brightness(n_images=4)
    trial = Trial(clean=grey(0.1, 0.6, 0.9, 0.9), attacked={"a": grey(0.5, 0.7), "b": grey(0.8, 0.7)})
    # Of the second attack it sees the second image: the first may be made of the same source.
    assert auroc_of(peer, trial)[MEAN][0] == 0.75
    assert set(auroc_of(peer, trial)) == {MEAN}
    assert peer.seen == [2, 2, 2, 2]


@pytest.fixture
def corner_data(corner_images: Callable[..., LabelledImages]) -> LabelledImages:
    """Sixty images of `corners`, sorted by label as folders are."""
    data = corner_images(60, seed=3)
    return data[data.labels.argsort(stable=True)]


def bundle_that_saw(images: Tensor) -> Any:
    return SimpleNamespace(used_digests=frozenset(image_digests(images)))


def test_a_trial_holds_only_images_that_calibration_has_not_seen_and_attacks_that_succeed(
    corner_data: LabelledImages, corners: Any
) -> None:
    seen = corner_data[::3]
    trial = make_trial(corners, bundle_that_saw(seen.images), corner_data, 30, 10, no_progress, attacks="fgsm8,pgd8")
    of = dict(zip(image_digests(corner_data.images), corner_data.labels.tolist(), strict=True))
    digests = image_digests(to_stored(trial.clean))
    assert 0 < len(digests) <= 30
    assert not set(digests) & set(image_digests(seen.images))
    labels = corners(trial.clean).logits.argmax(1)
    assert [of[digest] for digest in digests] == labels.tolist()
    assert len(labels[:10].unique()) > 1
    assert set(trial.attacked) == {"fgsm8", "pgd8"}
    for images in trial.attacked.values():
        # Each lies within reach of one of the first ten, whose label it no longer has.
        distance = (images[:, None] - trial.clean[None, :10]).abs().flatten(2).amax(2)
        assert (distance.amin(1) <= 8 / 255 + 1e-6).all()
        assert (corners(images).logits.argmax(1) != labels[distance.argmin(1)]).all()
    again = make_trial(corners, bundle_that_saw(seen.images), corner_data, 30, 10, no_progress, attacks="fgsm8,pgd8")
    assert torch.equal(again.clean, trial.clean)
    assert all(torch.equal(again.attacked[name], images) for name, images in trial.attacked.items())


def test_a_set_that_calibration_saw_as_a_whole_is_refused(corner_data: LabelledImages, corners: Any) -> None:
    with pytest.raises(InputError, match=r"of 60 images, 60 were used .* give images that calibration has not seen"):
        make_trial(corners, bundle_that_saw(corner_data.images), corner_data, 30, 10, no_progress, attacks="fgsm8")


def test_attacks_without_a_success_leave_nothing_to_measure(corner_data: LabelledImages, toy: Any) -> None:
    # Labels that the pixels do not decide smoothly.
    stubborn = toy(
        lambda pixels: (
            torch.nn.functional.one_hot((pixels * 255).round()[:, 0, 0, 0].long() % 4, 4).float()
            + 0 * pixels.flatten(1)[:, :1]
        ),
        n_labels=4,
        input_shape=(1, 4, 4),
    )
    with pytest.raises(InputError, match=r"none of 1 attacks on .* images fooled the classifier"):
        make_trial(stubborn, bundle_that_saw(corner_data.images[:0]), corner_data, 30, 10, no_progress, attacks="df")
