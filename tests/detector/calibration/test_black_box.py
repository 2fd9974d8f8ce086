import itertools
from typing import Any

import pytest
import torch
from torch import Generator, Tensor

from detector.calibration.black_box import (
    Attacked,
    BlackBoxSettings,
    blockwise_order,
    halvings,
    make_black_box_proxies,
)
from detector.potentials import margin
from detector.types import CalibrationError

SMALL_MARGINS = torch.tensor([0.1])


def _exactly(radius: float, *, queries: int = 60, boundary_share: float = 0.0, **shares: float) -> BlackBoxSettings:
    given = {"targeted_share": 0.0, "unstopped_share": 0.0} | shares
    return BlackBoxSettings(
        smallest_radius=radius, largest_radius=radius, queries=queries, boundary_share=boundary_share, **given
    )


def _images(n_images: int, shape: tuple[int, int, int]) -> Tensor:
    return torch.rand(n_images, *shape, generator=Generator().manual_seed(0))


def _made(classifier: Any, images: Tensor, settings: BlackBoxSettings, margins: Tensor) -> tuple[Tensor, Attacked]:
    labels = classifier(images).logits.argmax(1)
    return labels, make_black_box_proxies(classifier, images, labels, margins, settings, Generator().manual_seed(1))


def test_proxies_cross_the_plane_exactly_where_it_is_within_reach(linear: Any) -> None:
    """Each pixel's own flip finds the best corner of the ball, which lies 19·r logits on: |w|₁ = 19."""
    images = _images(300, (1, 2, 2)) * 0.6 + 0.2
    labels, made = _made(linear, images, _exactly(0.1), torch.tensor([0.0]))
    distance = margin(linear(images).logits, labels)
    assert made.succeeded[distance < 1.9 - 0.01].all()
    assert not made.succeeded[distance > 1.9].any()
    assert torch.equal(made.succeeded, linear(made.images).logits.argmax(1) != labels)


def test_proxies_stay_in_their_ball_and_in_the_pixel_range(corners: Any) -> None:
    images = _images(100, (1, 4, 4))
    # Margins out of reach keep every image going to the end.
    _, made = _made(corners, images, _exactly(0.05), torch.tensor([1e6]))
    size = (made.images - images).flatten(1).abs().amax(1)
    assert (size <= 0.05 * (1 + 1e-5)).all()
    assert (size > 0.04).float().mean() > 0.9
    assert ((made.images >= 0) & (made.images <= 1)).all()


def test_proxies_shrink_until_they_are_as_sure_as_wanted(linear: Any) -> None:
    images = _images(200, (1, 2, 2))
    labels, made = _made(linear, images, _exactly(0.5), torch.tensor([1.5]))
    reached = margin(linear(made.images).logits, 1 - labels)
    stopped = reached[reached >= 1.5]
    assert len(stopped) > 100
    # Six bisections leave a 64th of the way, which is 19 · 0.5 logits long at most.
    assert (stopped <= 1.5 + 19 * 0.5 / 64 + 1e-4).all()


def test_a_share_stops_at_the_boundary_and_another_never(linear: Any) -> None:
    images = _images(100, (1, 2, 2))
    surest = []
    for shares in ({"boundary_share": 1.0}, {"unstopped_share": 1.0}):
        labels, made = _made(linear, images, _exactly(0.5, **shares), torch.tensor([3.0]))
        surest.append(margin(linear(made.images).logits, 1 - labels)[made.succeeded])
    assert surest[0].max() <= 19 * 0.5 / 64 + 1e-4
    assert surest[1].mean() > 3


def test_targeted_proxies_reach_their_target(corners: Any) -> None:
    images = _images(60, (1, 4, 4))
    labels, made = _made(corners, images, _exactly(0.8, targeted_share=1.0), SMALL_MARGINS)
    assert made.succeeded.all()
    offsets = torch.bincount((corners(made.images).logits.argmax(1) - labels) % 4, minlength=4)
    assert offsets[0] == 0
    assert (offsets[1:] > 8).all()


def test_no_image_costs_more_queries_than_allowed_and_all_are_counted(corners: Any) -> None:
    images = _images(30, (1, 4, 4))
    labels = corners(images).logits.argmax(1)
    corners.batches.clear()
    settings = _exactly(0.02, queries=20)
    made = make_black_box_proxies(corners, images, labels, torch.tensor([5.0]), settings, Generator().manual_seed(1))
    assert made.queries.max() == 20
    assert made.queries.sum() == sum(corners.batches)


def test_images_that_are_done_are_not_asked_about_again(linear: Any) -> None:
    images = torch.full((8, 1, 2, 2), 0.5)
    images[:4] += 0.01
    _, made = _made(linear, images, _exactly(0.3, boundary_share=1.0), SMALL_MARGINS)
    assert (made.queries < 60).all()
    assert max(linear.batches[1:]) == 8 > min(linear.batches[1:])


def test_one_seed_makes_one_set_of_proxies_and_no_gradient_is_taken(corners: Any, untouched_randomness: None) -> None:
    smooth = corners.logits
    corners.logits = lambda pixels: smooth(pixels).detach()
    images = _images(20, (1, 4, 4))
    first, second = (_made(corners, images, BlackBoxSettings(queries=40), SMALL_MARGINS)[1] for _ in range(2))
    assert torch.equal(first.images, second.images)


def test_parts_are_everything_then_halves_down_to_single_places() -> None:
    parts = [part.tolist() for part in halvings(torch.arange(3))]
    assert parts == [[0, 1, 2], [0, 1], [2], [0], [1], [2]]


@pytest.mark.parametrize("shape", [(1, 4, 4), (3, 8, 8), (2, 5, 7), (1, 1, 2)])
def test_every_pixel_has_its_place(shape: tuple[int, int, int]) -> None:
    order = blockwise_order(shape, Generator().manual_seed(0))
    assert order.sort().values.tolist() == list(range(shape[0] * shape[1] * shape[2]))


def test_quarters_of_a_plane_are_blocks_around_its_edges() -> None:
    for seed in range(4):
        order = blockwise_order((1, 8, 8), Generator().manual_seed(seed))
        for block in itertools.islice(halvings(order), 3, 7):
            rows, columns = {int(place) // 8 for place in block}, {int(place) % 8 for place in block}
            assert len(block) == 16
            assert len(rows) == len(columns) == 4


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"smallest_radius": 0.0}, "between 0 and 1"),
        ({"boundary_share": 0.7, "unstopped_share": 0.7}, "may not exceed 1 together"),
        ({"queries": 5}, "give at least 9 queries"),
    ],
)
def test_a_family_that_cannot_be_drawn_from_is_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(CalibrationError, match=message):
        BlackBoxSettings(**settings)
