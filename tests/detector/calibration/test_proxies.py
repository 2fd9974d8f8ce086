import math
from typing import Any

import pytest
import torch
from torch import Generator, Tensor

from detector.calibration.proxies import ProxySettings, make_proxies
from detector.potentials import margin
from detector.types import CalibrationError

SMALL_MARGINS = torch.tensor([0.1])


def _exactly(
    radius: float,
    *,
    l2_share: float = 0.0,
    targeted_share: float = 0.0,
    boundary_share: float = 0.0,
    unstopped_share: float = 0.0,
    steps: int = 8,
) -> ProxySettings:
    return ProxySettings(
        smallest_radius=radius,
        largest_radius=radius,
        l2_share=l2_share,
        targeted_share=targeted_share,
        boundary_share=boundary_share,
        unstopped_share=unstopped_share,
        fewest_steps=steps,
        most_steps=steps,
    )


def _images(n_images: int, shape: tuple[int, int, int], seed: int = 0) -> Tensor:
    return torch.rand(n_images, *shape, generator=Generator().manual_seed(seed))


def _made(classifier: Any, images: Tensor, settings: ProxySettings, margins: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    labels = classifier(images).logits.argmax(1)
    attacked, succeeded = make_proxies(classifier, images, labels, margins, settings, Generator().manual_seed(1))
    return labels, attacked, succeeded


@pytest.mark.parametrize("l2_share", [0.0, 1.0])
def test_proxies_stay_in_their_ball_and_in_the_pixel_range(corners: Any, l2_share: float) -> None:
    images = _images(100, (1, 4, 4))
    # Margins out of reach keep every image going to the last step.
    _, attacked, _ = _made(corners, images, _exactly(0.05, l2_share=l2_share), torch.tensor([1e6]))
    difference = (attacked - images).flatten(1)
    # The L2 ball is half as wide as the corners of the box are far: √16 · 0.05 / 2.
    size = difference.norm(dim=1) if l2_share else difference.abs().amax(1)
    allowed = 0.1 if l2_share else 0.05
    assert (size <= allowed * (1 + 1e-5)).all()
    assert (size > 0.9 * allowed).float().mean() > 0.5
    assert ((attacked >= 0) & (attacked <= 1)).all()


@pytest.mark.parametrize("steps", [8, 60])
def test_proxies_stop_just_beyond_the_wanted_margin(linear: Any, steps: int) -> None:
    images = _images(200, (1, 2, 2))
    labels, attacked, succeeded = _made(linear, images, _exactly(0.5, steps=steps), torch.tensor([1.5]))
    reached = margin(linear(attacked).logits, 1 - labels)
    stopped = reached[reached >= 1.5]
    assert len(stopped) > 50
    assert succeeded[reached >= 1.5].all()
    # |w|₁ = 19 logits a unit of radius; three bisections leave an eighth of the last step over.
    step = 19 * 0.5 * 2.5 / steps
    # The first noise alone carries few beyond it, by at most half the radius.
    started_beyond = 19 * 0.5 / 2
    assert (stopped <= 1.5 + max(step / 8, started_beyond)).all()
    assert (stopped <= 1.5 + step / 8 + 1e-4).float().mean() > 0.8


def test_a_share_stops_at_the_boundary_and_another_never(linear: Any) -> None:
    images = _images(200, (1, 2, 2))
    at_boundary, unstopped = (
        _made(linear, images, _exactly(0.5, **{f"{name}_share": 1.0}), torch.tensor([3.0]))
        for name in ("boundary", "unstopped")
    )
    labels, attacked, succeeded = at_boundary
    reached = margin(linear(attacked).logits, 1 - labels)[succeeded]
    assert (reached <= 19 * 0.5 * 2.5 / 8 / 8 + 1e-4).float().mean() > 0.8
    _, attacked, succeeded = unstopped
    # Wherever the plane was crossed, the far side of the box was gone to: w has a zero in its third place.
    moved = (attacked - images).abs().flatten(1)[:, [0, 1, 3]]
    is_free = ((attacked > 0) & (attacked < 1)).flatten(1)[:, [0, 1, 3]]
    torch.testing.assert_close(moved[is_free], torch.full_like(moved[is_free], 0.5))


def test_images_that_are_sure_enough_are_left_where_they_are(linear: Any) -> None:
    """One step is drawn, but an image that is wrong already needs none."""
    images = torch.full((1, 1, 2, 2), 0.9)
    wrong = torch.tensor([0])
    assert linear(images).logits.argmax(1).tolist() == [1]
    attacked, succeeded = make_proxies(
        linear, images, wrong, SMALL_MARGINS, _exactly(0.01, steps=1), Generator().manual_seed(0)
    )
    assert succeeded.all()
    assert ((attacked - images).abs() <= 0.005).all()


def test_proxies_within_reach_of_the_plane_cross_it(linear: Any) -> None:
    """An L∞ ball of radius r reaches 19·r logits: |w|₁ = 19."""
    images = _images(300, (1, 2, 2)) * 0.6 + 0.2
    labels, attacked, succeeded = _made(linear, images, _exactly(0.1), SMALL_MARGINS)
    distance = margin(linear(images).logits, labels)
    assert succeeded[distance < 1.9 * 0.9].all()
    assert not succeeded[distance > 1.9].any()
    assert torch.equal(succeeded, linear(attacked).logits.argmax(1) != labels)


def test_no_proxy_is_driven_towards_its_true_label(corners: Any) -> None:
    """Targeted proxies with room enough reach their target, which is never the true label."""
    images = _images(100, (1, 4, 4))
    labels, attacked, succeeded = _made(corners, images, _exactly(0.8, targeted_share=1.0, steps=20), SMALL_MARGINS)
    assert succeeded.all()
    found = corners(attacked).logits.argmax(1)
    assert (found != labels).all()
    # Each of the other labels is drawn about as often.
    offsets = torch.bincount((found - labels) % 4, minlength=4)
    assert offsets[0] == 0
    assert (offsets[1:] > 15).all()


def test_radii_are_drawn_log_uniformly(corners: Any) -> None:
    images = torch.full((400, 1, 4, 4), 0.5)
    settings = ProxySettings(smallest_radius=0.001, largest_radius=0.1, l2_share=0.0, fewest_steps=8, most_steps=8)
    attacked, _ = make_proxies(
        corners, images, torch.zeros(400, dtype=torch.int64), torch.tensor([1e6]), settings, Generator().manual_seed(0)
    )
    radii = (attacked - images).flatten(1).abs().amax(1)
    assert radii.log10().mean().item() == pytest.approx(math.log10(0.01), abs=0.15)
    assert radii.min() >= 0.001 * 0.5
    assert radii.max() <= 0.1 * (1 + 1e-5)


def test_proxies_are_made_where_gradients_are_switched_off(linear: Any) -> None:
    images = _images(10, (1, 2, 2))
    with torch.no_grad():
        _, attacked, succeeded = _made(linear, images, _exactly(0.5), SMALL_MARGINS)
    assert succeeded.all()
    assert not attacked.requires_grad


def test_one_seed_makes_one_set_of_proxies(corners: Any, untouched_randomness: None) -> None:
    images = _images(20, (1, 4, 4))
    first, second = (_made(corners, images, ProxySettings(), SMALL_MARGINS)[1] for _ in range(2))
    assert torch.equal(first, second)


@pytest.mark.parametrize(("smallest", "largest"), [(0.0, 0.1), (0.2, 0.1), (0.1, 1.5), (-0.1, 0.1)])
def test_radii_that_are_no_range_within_0_to_1_are_refused(smallest: float, largest: float) -> None:
    with pytest.raises(CalibrationError, match="between 0 and 1"):
        ProxySettings(smallest_radius=smallest, largest_radius=largest)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"l2_share": 1.2}, r"each must lie in \[0, 1\]"),
        ({"boundary_share": 0.7, "unstopped_share": 0.7}, "may not exceed 1 together"),
        ({"fewest_steps": 9}, "take 9 to 8 steps"),
    ],
)
def test_a_family_that_cannot_be_drawn_from_is_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(CalibrationError, match=message):
        ProxySettings(**settings)
