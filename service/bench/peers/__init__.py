"""Detectors by others, measured on the classifier and the images that ours is measured on."""

from service.bench.peers.fitting import all_peers
from service.bench.peers.material import peer_material
from service.bench.peers.ours import OurDetector
from service.bench.peers.packages import MissingPeerError, require_packages
from service.bench.peers.peer import Peer, PeerMaterial
from service.bench.peers.trial import Trial, auroc_of, make_trial

__all__ = [
    "MissingPeerError",
    "OurDetector",
    "Peer",
    "PeerMaterial",
    "Trial",
    "all_peers",
    "auroc_of",
    "make_trial",
    "peer_material",
    "require_packages",
]
