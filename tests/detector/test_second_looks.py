from typing import Any

import pytest
import torch
from torch import Tensor

from detector.bundle import Bundle
from detector.escalation import Escalator
from detector.passes import predicted_labels
from detector.second_looks import SecondLooks
from detector.second_opinion import EscalationSettings


@pytest.fixture
def escalator(bundle: Bundle, rippled: Any) -> Escalator:
    """With slots for three paths, where an image has two."""
    return Escalator(
        profiler=bundle.profiler(rippled, None),
        prototypes=bundle.prototypes.pixels(),
        mixing=bundle.mixing,
        settings=EscalationSettings(),
        paths_at_once=3,
    )


def test_images_that_come_one_by_one_show_what_an_uninterrupted_search_shows(
    escalator: Escalator, rippled: Any, images: Tensor
) -> None:
    labels = predicted_labels(rippled, images)
    expected, _ = escalator.features(images, labels)
    looks, found, n_begun, most = SecondLooks(escalator, 4), {}, 0, 0
    while len(found) < len(images):
        n_taken = min(looks.n_free, len(images) - n_begun)
        chosen = slice(n_begun, n_begun + n_taken)
        looks.admit(range(n_begun, n_begun + n_taken), images[chosen], labels[chosen])
        n_begun, most = n_begun + n_taken, max(most, looks.n_images)
        tickets, features = looks.step()
        found |= zip(tickets, features, strict=True)
        looks.drop(tickets)
    assert most == 4
    assert looks.n_free == 4
    torch.testing.assert_close(torch.stack([found[index] for index in range(len(images))]), expected)


def test_finished_images_are_named_until_they_are_dropped(escalator: Escalator, rippled: Any, images: Tensor) -> None:
    """Image 2 has two paths that come to rest soon."""
    labels = predicted_labels(rippled, images)
    looks = SecondLooks(escalator, 1)
    looks.admit(["it"], images[2:3], labels[2:3])
    tickets: list[Any] = []
    while not tickets:
        tickets, features = looks.step()
    again, same = looks.step()
    assert tickets == again == ["it"]
    assert torch.equal(features, same)
    looks.drop(tickets)
    assert (looks.n_free, looks.n_images) == (1, 0)


def test_more_images_than_places_are_refused(escalator: Escalator, images: Tensor) -> None:
    looks = SecondLooks(escalator, 2)
    with pytest.raises(ValueError, match="3 images came to 2 free places"):
        looks.admit(range(3), images[:3], torch.zeros(3, dtype=torch.int64))
    assert looks.n_images == 0
