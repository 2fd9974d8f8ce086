import dataclasses
import itertools
import json
from collections.abc import Callable
from typing import Any

import pytest
import torch
from pydantic import TypeAdapter
from torch import Generator

from detector.calibration.black_box import BlackBoxSettings
from detector.calibration.proxies import ProxySettings
from detector.calibration.stream import Batch, StreamSettings, Tally, clean_once, correctly_classified, harmless, stream
from detector.types import CalibrationError, LabelledImages, to_pixels

STILL = StreamSettings(
    images=12,
    sources=30,
    crop_padding=0,
    flip=False,
    noisy_share=0.0,
    proxies=ProxySettings(smallest_radius=0.1, largest_radius=0.3),
)


def _drawn(classifier: Any, data: LabelledImages, settings: StreamSettings, n: int = 3, chunk: int = 8) -> list[Batch]:
    return list(itertools.islice(stream(classifier, data, settings, Generator().manual_seed(0), chunk), n))


def test_clean_images_are_images_of_the_set_that_the_classifier_gets_right(
    corners: Any, corner_images: Callable[..., LabelledImages]
) -> None:
    data = corner_images(40, seed=1)
    known = {image.numpy().tobytes() for image in correctly_classified(corners, data, 8)[0].images}
    for batch in _drawn(corners, data, STILL):
        stored = (batch.clean * 255).round().to(torch.uint8)
        assert len(stored) == 12
        assert all(image.numpy().tobytes() in known for image in stored)


def test_proxies_are_taken_for_another_than_their_true_label(
    corners: Any, corner_images: Callable[..., LabelledImages]
) -> None:
    for batch in _drawn(corners, corner_images(40, seed=1), STILL):
        assert 0 < len(batch.proxies) <= 12
        assert len(batch.true_labels) == len(batch.proxies)
        assert (corners(batch.proxies).logits.argmax(1) != batch.true_labels).all()


def test_every_batch_is_new_and_one_seed_gives_one_stream(
    corners: Any, corner_images: Callable[..., LabelledImages], untouched_randomness: None
) -> None:
    data = corner_images(40, seed=1)
    first, again = _drawn(corners, data, STILL), _drawn(corners, data, STILL)
    assert all(torch.equal(one.proxies, other.proxies) for one, other in zip(first, again, strict=True))
    assert not torch.equal(first[0].clean, first[1].clean)


def test_the_classifier_sees_no_more_than_a_chunk_at_once(
    corners: Any, corner_images: Callable[..., LabelledImages]
) -> None:
    _drawn(corners, corner_images(40, seed=1), STILL, chunk=8)
    assert max(corners.batches) == 8


def _ramp() -> LabelledImages:
    """Images of label 0 whose pixels grow to the right and downwards."""
    grid = torch.arange(4)[:, None] * 10 + torch.arange(4)
    images = (200 - grid).to(torch.uint8).expand(8, 1, 4, 4)
    return LabelledImages(images=images, labels=torch.zeros(8, dtype=torch.int64))


def test_mirrored_images_are_mirrored_from_left_to_right(corners: Any) -> None:
    settings = StreamSettings(images=40, sources=4, crop_padding=0, flip=True, noisy_share=0.0)
    plain = to_pixels(_ramp().images[:1])[0]
    (batch,) = _drawn(corners, _ramp(), settings, n=1)
    mirrored = [torch.equal(image, plain.flip(2)) for image in batch.clean]
    assert all(flag or torch.equal(image, plain) for flag, image in zip(mirrored, batch.clean, strict=True))
    assert 8 < sum(mirrored) < 32


def test_shifted_images_are_crops_of_the_image_with_its_reflected_rim(corners: Any) -> None:
    settings = StreamSettings(images=40, sources=4, crop_padding=1, flip=False, noisy_share=0.0)
    (batch,) = _drawn(corners, _ramp(), settings, n=1)
    rows = columns = [1, 0, 1, 2, 3, 2]
    padded = to_pixels(_ramp().images[:1])[0, 0][rows][:, columns]
    crops = [padded[top : top + 4, left : left + 4] for top in range(3) for left in range(3)]
    found = [[torch.equal(image[0], crop) for crop in crops].index(True) for image in batch.clean]
    assert len(set(found)) > 5


@pytest.mark.parametrize("deviation", [0.01, 0.05])
def test_a_share_of_the_clean_images_gets_noise_of_the_size_that_was_drawn(corners: Any, deviation: float) -> None:
    settings = dataclasses.replace(STILL, noisy_share=0.5, smallest_noise=deviation, largest_noise=deviation)
    images = torch.full((400, 1, 4, 4), 100, dtype=torch.uint8)
    images[:, :, :2, :2] = 200
    labels = torch.zeros(400, dtype=torch.int64)
    found = harmless(corners, images, labels, settings, Generator().manual_seed(0), 64)
    added = (found - to_pixels(images)).flatten(1)
    is_noisy = (added != 0).any(1)
    assert 150 < is_noisy.sum() < 250
    assert added[is_noisy].std() == pytest.approx(deviation, rel=0.05)
    # Half of the noise is uniform, none of which is farther than √3 deviations.
    is_uniform = added[is_noisy].abs().amax(1) <= 3**0.5 * deviation + 1e-6
    assert 0.4 < is_uniform.double().mean() < 0.7


def test_an_image_that_noise_robs_of_its_label_is_left_out(corners: Any) -> None:
    images = torch.full((200, 1, 4, 4), 100, dtype=torch.uint8)
    images[:, :, :2, :2] = 103
    settings = dataclasses.replace(STILL, noisy_share=1.0, smallest_noise=0.1, largest_noise=0.1)
    found = harmless(corners, images, torch.zeros(200, dtype=torch.int64), settings, Generator().manual_seed(0), 64)
    assert 20 < len(found) < 180
    assert (corners(found).logits.argmax(1) == 0).all()


def test_margins_come_with_the_images_that_are_right(corners: Any) -> None:
    quarters = torch.tensor([[255, 0, 0, 0], [0, 255, 0, 0], [51, 102, 0, 0]], dtype=torch.uint8).view(3, 1, 2, 2)
    images = quarters.repeat_interleave(2, 2).repeat_interleave(2, 3)
    data = LabelledImages(images=images, labels=torch.tensor([0, 0, 1]))
    found, margins = correctly_classified(corners, data, 2)
    assert found.labels.tolist() == [0, 1]
    # Logits are 40 times the mean: 40 − 0 and 40 · (0.4 − 0.2).
    torch.testing.assert_close(margins, torch.tensor([40.0, 8.0]))


@pytest.mark.parametrize("n_images", [0, 1])
def test_too_few_correct_images_are_refused(
    corners: Any, corner_images: Callable[..., LabelledImages], n_images: int
) -> None:
    with pytest.raises(CalibrationError, match=f"{n_images} of {n_images} held-out images right, too few"):
        correctly_classified(corners, corner_images(40, seed=1)[4 : 4 + n_images], 8)


def test_batches_tell_how_many_proxies_were_tried_and_what_they_took(
    corners: Any, corner_images: Callable[..., LabelledImages]
) -> None:
    black_box = BlackBoxSettings(smallest_radius=0.1, largest_radius=0.3, queries=20)
    for proxies, asked in ((STILL.proxies, False), (black_box, True)):
        settings = dataclasses.replace(STILL, proxies=proxies)
        for batch in _drawn(corners, corner_images(40, seed=1), settings):
            assert batch.tally.tried == 30
            assert len(batch.proxies) == min(12, batch.tally.succeeded)
            assert (0 < batch.tally.queries <= 30 * 20) is asked
            assert (corners(batch.proxies).logits.argmax(1) != batch.true_labels).all()
    assert Tally(tried=1, succeeded=2, queries=3) + Tally(tried=10) == Tally(tried=11, succeeded=2, queries=3)


def test_a_stream_without_a_family_of_proxies_is_refused(
    corners: Any, corner_images: Callable[..., LabelledImages]
) -> None:
    with pytest.raises(CalibrationError, match="these settings make no proxies"):
        _drawn(corners, corner_images(8, seed=1), dataclasses.replace(STILL, proxies=None))


def test_clean_images_alone_come_once_each(corners: Any, corner_images: Callable[..., LabelledImages]) -> None:
    data = corner_images(40, seed=1)
    right, _ = correctly_classified(corners, data, 8)
    settings = dataclasses.replace(STILL, proxies=None)
    batches = list(clean_once(corners, data, settings, Generator().manual_seed(0), 8))
    assert all(len(batch.proxies) == len(batch.true_labels) == 0 for batch in batches)
    found = sorted((batch * 255).round().to(torch.uint8).flatten(1).tolist() for batch in (b.clean for b in batches))
    assert sorted(image for part in found for image in part) == sorted(right.images.flatten(1).tolist())


@pytest.mark.parametrize("proxies", [ProxySettings(), BlackBoxSettings(queries=30), None])
def test_settings_come_back_from_what_a_bundle_writes_down(proxies: ProxySettings | BlackBoxSettings | None) -> None:
    settings = dataclasses.replace(STILL, proxies=proxies)
    written = json.loads(json.dumps(dataclasses.asdict(settings)))
    assert TypeAdapter(StreamSettings).validate_python(written) == settings
