"""Detectors of the Adversarial Robustness Toolbox (Nicolae et al. 2018, arXiv 1807.01069).

Its BEYOND needs a self-supervised network of the same images besides, and is left out.
"""

import dataclasses
import logging
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from detector.evaluation.attacks.surroundings import seeded
from detector.evaluation.metrics import auroc
from detector.types import Classifier, Images, to_pixels
from service.bench.peers.art_networks import Exposed, binary_network
from service.bench.peers.packages import ART, part_of, titled
from service.bench.peers.peer import Peer, PeerMaterial, Scores, in_passes, seed_from

EPOCHS = 10

LEARNING_RATE = 1e-3

MOST_VALUES = 2**26
"""In the arrays that a detector is fitted on, 256 MiB of them."""

MOST_NODES, FEWEST_NODES = 2**15, 256
"""Of a layer that is looked at: the activations of many images are kept, and few nodes say little in a scan."""

BACKGROUND = 1000
"""Images that activations are compared with in a scan."""

COMPARED = 200
"""Clean images, and proxies, that decide which layer is scanned."""

logger = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True, kw_only=True)
class ArtPeer:
    """A detector of ART's, which takes arrays."""

    classifier: Classifier
    name: str
    source: str
    measure: Callable[[np.ndarray], np.ndarray]
    forward_equivalents: float
    n_images: int | None = None

    def scores(self, images: Images) -> Scores:
        """As many images at a time as one forward pass takes."""
        # ART draws random numbers for every batch that it predicts, and uses none.
        with seeded(0):
            return in_passes(self.classifier, images, lambda part: torch.from_numpy(self.measure(as_array(part))))


def as_array(images: Tensor) -> np.ndarray:
    """Images as ART takes them."""
    array: np.ndarray = images.detach().cpu().float().contiguous().numpy()
    return array


def art_detectors(material: PeerMaterial) -> list[Peer]:
    """Those that the material suffices for: the binary ones are trained on clean images and proxies.

    Raises:
        MissingPeerError: ART is missing.
    """
    exposed = Exposed(material.classifier)
    guarded = _wrapped(exposed, material.classifier.input_shape, len(material.classifier.labels), material.classifier)
    peers = [] if material.proxies is None else [_on_input(material), _on_activations(material, guarded, exposed)]
    return [*peers, *_scanning(material, guarded, exposed)]


def _wrapped(
    network: nn.Module, shape: tuple[int, ...], n_labels: int, classifier: Classifier, optimizer: Any = None
) -> Any:
    return part_of(ART, "estimators.classification").PyTorchClassifier(
        model=network,
        loss=nn.CrossEntropyLoss(),
        optimizer=optimizer,
        input_shape=shape,
        nb_classes=n_labels,
        device_type="gpu" if classifier.device.type == "cuda" else "cpu",
    )


def _binary(shape: tuple[int, ...], classifier: Classifier) -> Any:
    network = binary_network(shape)
    optimizer = torch.optim.Adam(network.parameters(), lr=LEARNING_RATE)
    return _wrapped(network, shape, 2, classifier, optimizer)


def _on_input(material: PeerMaterial) -> Peer:
    return _trained(
        material,
        material.classifier.input_shape,
        lambda detectors, network: detectors.BinaryInputDetector(network),
        name="Binary input detector (ART)",
        source=f"Gong et al. 2017 (arXiv 1704.04960), at the pixels; {titled(ART)}",
        # The guarded classifier has no part in it; its own network costs about as much as a small one.
        forward_equivalents=0.0,
    )


def _on_activations(material: PeerMaterial, guarded: Any, exposed: Exposed) -> Peer:
    # Early maps show the perturbation itself; where to attach is left to the user.
    layer = _of_moderate_size(exposed)[0]
    return _trained(
        material,
        exposed.shapes[layer],
        lambda detectors, network: detectors.BinaryActivationDetector(guarded, network, layer),
        name="Binary activation detector (ART)",
        source=f"Metzen et al. 2017 (arXiv 1702.04267) at {layer}; {titled(ART)}",
        forward_equivalents=1.0,
    )


def _trained(
    material: PeerMaterial,
    shape: tuple[int, ...],
    make: Callable[[Any, Any], Any],
    *,
    name: str,
    source: str,
    forward_equivalents: float,
) -> Peer:
    """A binary detector, trained.

    Args:
        shape: of what its network takes.
        make: the detector, of ART's module of detectors and of the network.
    """
    classifier = material.classifier
    with seeded(seed_from(material.generator)):
        fitted = make(part_of(ART, "defences.detector.evasion"), _binary(shape, classifier))
        _fit(fitted, material, int(np.prod(shape)))
    return ArtPeer(
        classifier=classifier,
        name=name,
        source=source,
        measure=lambda array: _log_odds(fitted.detect(array)[0]["predictions"]),
        forward_equivalents=forward_equivalents,
    )


def _fit(detector: Any, material: PeerMaterial, n_values: int) -> None:
    """Train on clean images and proxies, as many of each as fit into memory, at most as many clean ones as proxies."""
    assert material.proxies is not None
    proxies = material.proxies[: max(1, MOST_VALUES // (2 * n_values))]
    clean = to_pixels(_some(material, len(proxies)))
    images = as_array(torch.cat([clean, proxies.to(clean.device)]))
    is_proxy = np.repeat([0, 1], [len(clean), len(proxies)])
    detector.fit(images, is_proxy, batch_size=128, nb_epochs=EPOCHS)


def _some(material: PeerMaterial, n_images: int) -> Tensor:
    rows = torch.randperm(len(material.fitting), generator=material.generator)[:n_images]
    return material.fitting.images[rows]


def _log_odds(logits: np.ndarray) -> np.ndarray:
    difference: np.ndarray = logits[:, 1] - logits[:, 0]
    return difference


def _of_moderate_size(exposed: Exposed) -> list[str]:
    """Stages whose activations can be kept of many images, in network order; the nearest where there is none."""
    sizes = {name: int(np.prod(shape)) for name, shape in exposed.shapes.items()}
    kept = [name for name, size in sizes.items() if size <= MOST_NODES] or [min(sizes, key=sizes.__getitem__)]
    return [name for name in kept if sizes[name] >= FEWEST_NODES] or [max(kept, key=sizes.__getitem__)]


def _scanning(material: PeerMaterial, guarded: Any, exposed: Exposed) -> list[Peer]:
    """The layer whose scan tells proxies best; the first where there are none."""
    some = as_array(to_pixels(_some(material, BACKGROUND + COMPARED)))
    n_compared = min(COMPARED, len(some) // 2)
    others, images = some[:n_compared], some[n_compared:]
    kind = part_of(ART, "defences.detector.evasion").SubsetScanningDetector
    try:
        layer = _layer_to_scan(kind, guarded, _of_moderate_size(exposed), (images[:COMPARED], others), material.proxies)
        scan = kind(guarded, images, layer, verbose=False)
    except ValueError as error:
        # It takes no image none of whose nodes lies above its median, as happens where a layer has few.
        logger.warning("ART's subset scanning is left out, since it cannot scan this classifier: %s", error)
        return []
    return [
        ArtPeer(
            classifier=material.classifier,
            name="Subset scanning (ART)",
            source=f"Speakman et al. 2018 (arXiv 1810.08676), Berk-Jones at {layer}; {titled(ART)}",
            measure=lambda array: _scanned(scan, array),
            forward_equivalents=1.0,
        )
    ]


def _layer_to_scan(
    kind: Any,
    guarded: Any,
    candidates: Sequence[str],
    clean: tuple[np.ndarray, np.ndarray],
    proxies: Images | None,
) -> str:
    if proxies is None or len(candidates) == 1:
        return candidates[0]
    background, others = clean
    attacked = as_array(proxies[:COMPARED])

    def separation(layer: str) -> float:
        scan = kind(guarded, background, layer, verbose=False)
        return auroc(*(_scanned(scan, part) for part in (others, attacked)))

    return max(candidates, key=separation)


def _scanned(scan: Any, array: np.ndarray) -> np.ndarray:
    """Scores; 0 for an image none of whose nodes lies above its median, which ART cannot take."""
    try:
        scores: np.ndarray = scan.detect(array)[0]["scores"]
    except ValueError:
        if len(array) == 1:
            return np.zeros(1)
        return np.concatenate([_scanned(scan, image[None]) for image in array])
    return scores
