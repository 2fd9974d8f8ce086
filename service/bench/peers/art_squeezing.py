"""Feature squeezing made of ART's preprocessors, which squeeze; comparing the softmaxes is left to the user."""

import numpy as np
import torch
from torch import Tensor

from detector.types import Images
from service.bench.peers.art_detectors import ArtPeer, as_array
from service.bench.peers.packages import ART, part_of, titled
from service.bench.peers.peer import Peer, PeerMaterial

BITS, WINDOW = 5, 2
"""Xu et al.'s best for CIFAR-10, but for their non-local means, which ART does not have."""


def squeezing_peer(material: PeerMaterial) -> Peer:
    """Largest L1 distance between the softmax of the image and of each squeezed one.

    Raises:
        MissingPeerError: ART is missing.
    """
    classifier, library = material.classifier, part_of(ART, "defences.preprocessor")
    squeezers = (
        library.FeatureSqueezing(clip_values=(0.0, 1.0), bit_depth=BITS),
        library.SpatialSmoothing(window_size=WINDOW, channels_first=True, clip_values=(0.0, 1.0)),
    )

    @torch.no_grad()
    def softmax(array: np.ndarray) -> Tensor:
        images: Images = torch.from_numpy(array).to(classifier.device, torch.float32)
        return classifier(images).logits.softmax(1).cpu()

    def moved(array: np.ndarray) -> np.ndarray:
        usual = softmax(array)
        distances = [(softmax(squeeze(array)[0]) - usual).abs().sum(1) for squeeze in squeezers]
        return as_array(torch.stack(distances).amax(0))

    return ArtPeer(
        classifier=classifier,
        name="Feature squeezing (ART)",
        source=f"Xu et al. 2018 (arXiv 1704.01155), {BITS} bits and median {WINDOW}×{WINDOW}; {titled(ART)}",
        measure=moved,
        forward_equivalents=1.0 + len(squeezers),
    )
