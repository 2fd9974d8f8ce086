"""All peers, fitted."""

from collections.abc import Callable

from detector.evaluation.attacked import N_PROBED, has_pixel_gradient
from detector.evaluation.baselines.feature_squeezing import FeatureSqueezing
from detector.types import ProgressCallback
from service.bench.peers.art_detectors import art_detectors
from service.bench.peers.art_squeezing import squeezing_peer
from service.bench.peers.ood_peers import ood_peers
from service.bench.peers.ours import OwnBaseline
from service.bench.peers.packages import require_packages
from service.bench.peers.papers_barrier import drawn_ends, papers_optimised, papers_statistic
from service.bench.peers.peer import Peer, PeerMaterial


def all_peers(material: PeerMaterial, progress: ProgressCallback) -> list[Peer]:
    """Every peer that the material suffices for.

    The paper's procedure is left out where the classifier gives no gradient, what is trained on proxies where there
    are none.

    Raises:
        MissingPeerError: a package of the extra `bench` is missing.
    """
    require_packages()
    parts: list[Callable[[PeerMaterial], list[Peer]]] = [
        _papers,
        ood_peers,
        art_detectors,
        lambda material: [squeezing_peer(material), _own_squeezing(material)],
    ]
    found: list[Peer] = []
    for number, part in enumerate(parts):
        found += part(material)
        progress("fitting peers", number + 1, len(parts))
    return found


def _papers(material: PeerMaterial) -> list[Peer]:
    classifier = material.classifier
    ends = drawn_ends(classifier, material.fitting, material.generator)
    peers: list[Peer] = [papers_statistic(classifier, ends)]
    if has_pixel_gradient(classifier, material.fitting[:N_PROBED]):
        peers.append(papers_optimised(classifier, ends))
    return peers


def _own_squeezing(material: PeerMaterial) -> Peer:
    return OwnBaseline(classifier=material.classifier, baseline=FeatureSqueezing(classifier=material.classifier))
