import logging
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Generator, Tensor

from detector.evaluation.baselines.feature_squeezing import FeatureSqueezing
from detector.evaluation.metrics import auroc
from detector.types import LabelledImages, to_pixels
from service.bench.peers import art_detectors, art_networks
from service.bench.peers.art_squeezing import squeezing_peer
from service.bench.peers.ours import OwnBaseline
from service.bench.peers.peer import PeerMaterial

SIZE = 8


@pytest.fixture
def smooth_images() -> LabelledImages:
    """Ramps of brightness, bright on the left or on the right, which is their label."""
    generator = Generator().manual_seed(0)
    labels = torch.arange(240) % 2
    ramp = torch.linspace(0.2, 0.6, SIZE).expand(1, SIZE, SIZE)
    pixels = torch.where(labels.view(-1, 1, 1, 1) == 1, ramp, ramp.flip(2))
    pixels = pixels + 0.03 * torch.rand(240, 1, SIZE, SIZE, generator=generator)
    return LabelledImages(images=(pixels * 255).to(torch.uint8), labels=labels)


@pytest.fixture
def sides(toy: Any) -> Any:
    """Which side is brighter; its layers are twice the image, and a feature of one number."""
    return toy(
        lambda pixels: torch.stack(
            [pixels[..., : SIZE // 2].sum((1, 2, 3)), pixels[..., SIZE // 2 :].sum((1, 2, 3))], 1
        ),
        n_labels=2,
        input_shape=(1, SIZE, SIZE),
        representations={
            "pair": lambda pixels: torch.cat([pixels, pixels], 1),
            "mean": lambda pixels: pixels.mean((1, 2, 3))[:, None],
        },
    )


def rough(images: LabelledImages, seed: int) -> Tensor:
    pixels = to_pixels(images.images)
    noise = 0.1 * torch.rand(pixels.shape, generator=Generator().manual_seed(seed)).round()
    return (pixels + noise).clamp(0, 1)


@pytest.mark.slow
def test_detectors_learn_to_tell_proxies_and_draw_no_global_random_numbers(
    sides: Any,
    smooth_images: LabelledImages,
    material_of: Callable[..., PeerMaterial],
    untouched_randomness: None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(art_networks, "WIDTHS", (4, 8, 8))
    monkeypatch.setattr(art_detectors, "EPOCHS", 40)
    fitting, others = smooth_images[:180], smooth_images[180:]
    material = material_of(sides, fitting, rough(fitting, 1))
    peers = art_detectors.art_detectors(material)
    assert [peer.name for peer in peers] == [
        "Binary input detector (ART)",
        "Binary activation detector (ART)",
        "Subset scanning (ART)",
    ]
    clean, attacked = to_pixels(others.images), rough(others, 2)
    for peer in peers:
        assert auroc(peer.scores(clean).numpy(), peer.scores(attacked).numpy()) > 0.95, peer.name
        sides.batches.clear()
        together = peer.scores(clean[:4])
        assert sum(sides.batches) == 4 * peer.forward_equivalents
        alone = torch.cat([peer.scores(image[None]) for image in clean[:4]])
        assert torch.allclose(together, alone, atol=1e-4)
        assert "adversarial-robustness-toolbox 1." in peer.source
    assert "stage pair" in peers[1].source


def test_fitting_sees_only_fitting_images_and_proxies(
    sides: Any, smooth_images: LabelledImages, material_of: Callable[..., PeerMaterial], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(art_networks, "WIDTHS", (4, 8, 8))
    monkeypatch.setattr(art_detectors, "EPOCHS", 1)
    fitting, seen = smooth_images[:40], []
    usual = sides.logits
    sides.logits = lambda pixels: (seen.append(pixels), usual(pixels))[1]
    proxies = rough(fitting, 1)
    art_detectors.art_detectors(material_of(sides, fitting, proxies))
    blank = torch.zeros(1, 1, SIZE, SIZE)
    given = {image.numpy().tobytes() for image in torch.cat([to_pixels(fitting.images), proxies, blank])}
    assert {image.numpy().tobytes() for image in torch.cat(seen)} <= given


def test_without_proxies_only_the_scan_is_left(
    sides: Any, smooth_images: LabelledImages, material_of: Callable[..., PeerMaterial]
) -> None:
    peers = art_detectors.art_detectors(material_of(sides, smooth_images, None))
    assert [peer.name for peer in peers] == ["Subset scanning (ART)"]
    scores = peers[0].scores(torch.cat([to_pixels(smooth_images.images[:20]), torch.ones(1, 1, SIZE, SIZE)]))
    # Every node of a white image lies above all that were seen.
    assert scores.argmax() == 20
    # And none of a black one lies above its median, which ART's own scan cannot take.
    assert peers[0].scores(torch.zeros(2, 1, SIZE, SIZE)).tolist() == [0, 0]


def test_a_classifier_whose_layers_cannot_be_scanned_is_left_out_with_a_word(
    toy: Any, smooth_images: LabelledImages, material_of: Callable[..., PeerMaterial], caplog: pytest.LogCaptureFixture
) -> None:
    single = toy(
        lambda pixels: pixels.flatten(1)[:, :2],
        n_labels=2,
        input_shape=(1, SIZE, SIZE),
        representations={"mean": lambda pixels: pixels.mean((1, 2, 3))[:, None]},
    )
    with caplog.at_level(logging.WARNING):
        assert art_detectors.art_detectors(material_of(single, smooth_images, None)) == []
    assert "subset scanning is left out" in caplog.text


def test_arts_squeezers_and_our_own_agree(
    sides: Any, smooth_images: LabelledImages, material_of: Callable[..., PeerMaterial]
) -> None:
    images = torch.rand(5, 1, SIZE, SIZE, generator=Generator().manual_seed(3))
    own = OwnBaseline(classifier=sides, baseline=FeatureSqueezing(classifier=sides)).scores(images).numpy()
    sides.batches.clear()
    peer = squeezing_peer(material_of(sides, smooth_images, None))
    assert np.allclose(peer.scores(images).numpy(), own, atol=1e-5)
    assert own.max() > 0.01
    assert sum(sides.batches) == 5 * peer.forward_equivalents
