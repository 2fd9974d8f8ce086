"""What peers are fitted on: what the bundle was fitted on, and proxies of the family that it met."""

import dataclasses
import itertools

import torch
from torch import Generator

from detector.bundle import Bundle
from detector.calibration.recorded_settings import stream_settings
from detector.calibration.stream import correctly_classified, stream
from detector.evaluation.recovered_splits import recover_splits
from detector.passes import waypoints_per_pass
from detector.types import Classifier, Images, LabelledImages, ProgressCallback
from service.bench.peers.peer import PeerMaterial

N_PROXIES = 2000

MOST_BATCHES = 100
"""After which fewer proxies have to do."""


def peer_material(
    classifier: Classifier,
    bundle: Bundle,
    data: LabelledImages,
    *,
    seed: int,
    progress: ProgressCallback,
    n_proxies: int = N_PROXIES,
) -> PeerMaterial:
    """The images of the bundle's statistics and learning parts that the classifier gets right, and proxies of them.

    Args:
        data: the held-out images of the bundle's calibration, in any order; others may be among them.

    Raises:
        ImageError: not all of them are there.
        BundleError: the bundle does not say how it was calibrated.
        CalibrationError: the classifier gets hardly any image right.
    """
    splits = recover_splits(bundle, data)
    both = LabelledImages(
        images=torch.cat([splits.statistics.images, splits.learning.images]),
        labels=torch.cat([splits.statistics.labels, splits.learning.labels]),
    )
    fitting, _ = correctly_classified(classifier, both, waypoints_per_pass(classifier.input_shape))
    generator = Generator().manual_seed(seed)
    proxies = _proxies(classifier, bundle, fitting, generator, n_proxies, progress)
    return PeerMaterial(classifier=classifier, fitting=fitting, proxies=proxies, generator=generator)


def _proxies(
    classifier: Classifier,
    bundle: Bundle,
    fitting: LabelledImages,
    generator: Generator,
    n_proxies: int,
    progress: ProgressCallback,
) -> Images | None:
    """None where the bundle met none, or none succeeds."""
    # Nothing but the attack may tell a proxy from a fitting image, which is neither shifted nor noisy.
    settings = dataclasses.replace(stream_settings(bundle.record), crop_padding=0, flip=False, noisy_share=0.0)
    if settings.proxies is None:
        return None
    found: list[Images] = []
    n_found = 0
    chunk = waypoints_per_pass(classifier.input_shape)
    for batch in itertools.islice(stream(classifier, fitting, settings, generator, chunk), MOST_BATCHES):
        found.append(batch.proxies.cpu())
        n_found += len(batch.proxies)
        progress("making proxies for the peers", min(n_found, n_proxies), n_proxies)
        if n_found >= n_proxies:
            break
    return torch.cat(found)[:n_proxies] if n_found else None
