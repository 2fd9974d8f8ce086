from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Generator, Tensor

from detector.evaluation.metrics import auroc
from detector.types import LabelledImages, to_pixels
from service.bench.peers.ood_peers import ood_peers
from service.bench.peers.peer import Peer, PeerMaterial

MaterialOf = Callable[..., PeerMaterial]


@pytest.fixture
def plain(toy: Any) -> Any:
    """Whose two layers are the image's two pixels, and their difference; its logits are ten times the pixels."""
    return toy(
        lambda pixels: 10 * pixels.flatten(1),
        n_labels=2,
        input_shape=(1, 1, 2),
        representations={"difference": difference, "pixels": lambda pixels: pixels.flatten(1)},
    )


def difference(pixels: Tensor) -> Tensor:
    return pixels.flatten(1)[:, :1] - pixels.flatten(1)[:, 1:]


@pytest.fixture
def two_clouds() -> LabelledImages:
    """Round ones, of (200, 50) and (50, 200), with a deviation of 10 in every direction."""
    labels = torch.arange(400) % 2
    means = torch.where(labels[:, None] == 0, torch.tensor([200.0, 50.0]), torch.tensor([50.0, 200.0]))
    values = means + 10 * torch.randn(400, 2, generator=Generator().manual_seed(0))
    return LabelledImages(images=values.clamp(0, 255).to(torch.uint8).view(400, 1, 1, 2), labels=labels)


def named(peers: list[Peer]) -> dict[str, Peer]:
    return {peer.name.removesuffix(" (pytorch-ood)"): peer for peer in peers}


def at(*points: tuple[float, float]) -> Tensor:
    return torch.tensor(points).view(-1, 1, 1, 2) / 255


def test_scores_are_those_of_the_papers(plain: Any, two_clouds: LabelledImages, material_of: MaterialOf) -> None:
    peers = named(ood_peers(material_of(plain, two_clouds, None)))
    images = at((200, 50), (50, 200), (220, 50), (200, 90), (125, 125))
    own = peers["Mahalanobis"].scores(images)
    # Half the squared distance by a sum of squares, that of 400 images: a deviation of ten is 1 / 800.
    expected = torch.tensor([0, 0, 4, 16, 2 * 7.5**2]).double() / 800
    assert own.numpy() == pytest.approx(expected.numpy(), rel=0.2, abs=1e-4)
    logits = 10 * images.flatten(1).double()
    assert torch.allclose(peers["Energy"].scores(images), -logits.logsumexp(1), atol=1e-5)
    assert torch.allclose(peers["Max softmax"].scores(images), -logits.softmax(1).amax(1), atol=1e-5)
    # Neighbours are told apart by direction: the middle lies furthest from both.
    assert peers["Nearest neighbours"].scores(images).argmax() == 4
    assert "k = 50" in peers["Nearest neighbours"].source
    for peer in peers.values():
        plain.batches.clear()
        together = peer.scores(images)
        assert sum(plain.batches) == 5 * peer.forward_equivalents
        alone = torch.cat([peer.scores(image[None]) for image in images])
        assert torch.allclose(together, alone, rtol=1e-4, atol=1e-6)


def test_proxies_weigh_the_layers_and_name_the_neighbour(
    plain: Any, two_clouds: LabelledImages, material_of: MaterialOf
) -> None:
    # Proxies that the difference does not show, and clean images that it scatters.
    moved = to_pixels(two_clouds.images) + 0.15
    peers = named(ood_peers(material_of(plain, two_clouds, moved)))
    alike = named(ood_peers(material_of(plain, two_clouds, None)))
    others = to_pixels(two_clouds.images)[:100]
    layered, unweighed = (
        auroc(
            some["Mahalanobis, all layers"].scores(others).numpy(),
            some["Mahalanobis, all layers"].scores(moved).numpy(),
        )
        for some in (peers, alike)
    )
    assert layered > unweighed
    assert "weighed by proxies" in peers["Mahalanobis, all layers"].source
    assert "all layers alike" in alike["Mahalanobis, all layers"].source


def test_peers_are_fitted_on_the_fitting_images_alone(
    plain: Any, two_clouds: LabelledImages, material_of: MaterialOf
) -> None:
    seen: list[Tensor] = []
    usual = plain.logits
    plain.logits = lambda pixels: (seen.append(pixels), usual(pixels))[1]
    proxies = to_pixels(two_clouds.images)[:20] + 0.01
    ood_peers(material_of(plain, two_clouds, proxies))
    given = {tuple(row) for row in torch.cat([to_pixels(two_clouds.images), proxies]).flatten(1).tolist()}
    assert {tuple(row) for row in torch.cat(seen).flatten(1).tolist()} == given


def test_labels_that_there_are_no_images_of_are_no_hindrance(
    toy: Any, two_clouds: LabelledImages, material_of: MaterialOf
) -> None:
    classifier = toy(
        lambda pixels: torch.nn.functional.pad(pixels.flatten(1), (1, 1)), n_labels=4, input_shape=(1, 1, 2)
    )
    shifted = LabelledImages(images=two_clouds.images[:30], labels=two_clouds.labels[:30] + 1)
    for peer in ood_peers(material_of(classifier, shifted, None)):
        assert np.isfinite(peer.scores(to_pixels(shifted.images[:3])).numpy()).all()
