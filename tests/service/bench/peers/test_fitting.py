import pytest
import torch

from detector.bundle import Bundle
from detector.calibration.splits import image_digests
from detector.detector import Detector
from detector.evaluation.recovered_splits import recover_splits
from detector.types import LabelledImages, no_progress, to_pixels
from models.loaded import LoadedClassifier
from models.registry import load_classifier
from service.bench.peers import OurDetector, Peer, all_peers, art_detectors, art_networks, peer_material
from service.bundles import open_bundle
from service.imagesets import load_image_set


@pytest.fixture(scope="module")
def digits() -> tuple[LoadedClassifier, Bundle, LabelledImages]:
    loaded, bundle = load_classifier("digits", device="cpu"), open_bundle("digits")
    data = load_image_set("digits:held-out", loaded.preprocessing, labels=loaded.classifier.labels)
    return loaded, bundle, data


def test_peers_are_fitted_on_what_the_bundle_was_and_all_give_finite_scores(
    digits: tuple[LoadedClassifier, Bundle, LabelledImages], monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded, bundle, data = digits
    classifier = loaded.classifier
    monkeypatch.setattr(art_networks, "WIDTHS", (4, 8, 8))
    monkeypatch.setattr(art_detectors, "EPOCHS", 1)
    material = peer_material(classifier, bundle, data, seed=0, progress=no_progress, n_proxies=30)
    splits = recover_splits(bundle, data)
    allowed = image_digests(splits.statistics.images) + image_digests(splits.learning.images)
    fitted_on = image_digests(material.fitting.images)
    assert set(fitted_on) <= set(allowed)
    assert len(fitted_on) > 0.9 * len(allowed)
    assert (classifier(to_pixels(material.fitting.images)).logits.argmax(1) == material.fitting.labels).all()
    assert material.proxies is not None
    assert len(material.proxies) == 30
    # Each proxy is made of a fitting image as it is: two different ones are further apart, shifted ones too.
    distances = (material.proxies[:, None] - to_pixels(material.fitting.images)[None]).abs().flatten(2).amax(2)
    assert distances.amin(1).max() < 0.5
    told: list[tuple[int, int]] = []
    peers = all_peers(material, lambda _stage, done, total: told.append((done, total)))
    assert told[-1][0] == told[-1][1]
    assert len({peer.name for peer in peers}) == len(peers) == 12
    images = to_pixels(data.images[:3])
    for peer in peers:
        assert isinstance(peer, Peer)
        # The paper's procedure has a test of its own.
        if peer.n_images is None:
            assert peer.scores(images).isfinite().all(), peer.name


def test_our_detector_scores_as_its_verdicts_do(digits: tuple[LoadedClassifier, Bundle, LabelledImages]) -> None:
    loaded, bundle, data = digits
    detector = Detector(loaded.classifier, bundle)
    peer, images = OurDetector(detector), to_pixels(data.images[:4])
    assert isinstance(peer, Peer)
    images[3] = torch.nan
    scores = peer.scores(images).tolist()
    assert scores[:3] == pytest.approx([verdict.score for verdict in detector.inspect(images[:3])], rel=1e-5)
    assert scores[3] == torch.inf
    assert peer.forward_equivalents >= bundle.forward_equivalents
