"""Detectors by others beside ours: on the same classifier and the same images, in the same rounds."""

import dataclasses
import math
import time
from collections.abc import Mapping, Sequence

import torch
from torch import Generator

from detector.types import Images, LabelledImages, ProgressCallback
from service.bench.contenders import Opened
from service.bench.peers import (
    OurDetector,
    Peer,
    PeerMaterial,
    Trial,
    all_peers,
    auroc_of,
    make_trial,
    peer_material,
    require_packages,
)
from service.bench.steps import images_for
from service.bench.timing import Timing, alternate, lasting, median_ratio
from service.imagesets import load_image_set

N_CLEAN, N_ATTACKED = 200, 100
"""Images that AUROC is measured on, and of these, those that each attack is tried on."""

MOST_TIMED = 128
SECONDS_AN_ENTRY = 2.0
"""What one entry of a timing is to take about; slow peers are timed on as few images as that allows, at least one."""

N_NOISE = 512
"""That peers are fitted to where speed alone is measured."""

SEED = 0

Auroc = Mapping[str, tuple[float, float, float]]


@dataclasses.dataclass(frozen=True, kw_only=True)
class ComparedPeer:
    """One row of the second table.

    Attributes:
        n_scored: it scores so many images at most, being slow; None for all.
        times_ours: its time an image ÷ that of our detector, the median within a round.
        auroc: by attack, and their mean: value and 95 % interval; None where images are noise.
    """

    name: str
    source: str
    forward_equivalents: float
    n_scored: int | None
    timing: Timing
    times_ours: float
    auroc: Auroc | None


def compare_peers(opened: Opened, source: str | None, rounds: int, progress: ProgressCallback) -> list[ComparedPeer]:
    """Measure our detector and every peer; ours comes first.

    Args:
        opened: the detector that they are compared with.
        source: the held-out images of its bundle's calibration, others among them; noise if not given.

    Raises:
        MissingPeerError: a package of the extra `bench` is missing.
        InputError, DetectorError: the images are not those, or none of them is left to be measured with.
    """
    require_packages()
    if source is None:
        material, trial = noise_material(opened), None
        images = images_for(opened, None, MOST_TIMED)
    else:
        material, trial = _real(opened, source, progress)
        images = trial.clean[:MOST_TIMED]
    peers: list[Peer] = [OurDetector(opened.detector), *all_peers(material, progress)]
    return compared(peers, images, trial, rounds, progress)


def compared(
    peers: Sequence[Peer], images: Images, trial: Trial | None, rounds: int, progress: ProgressCallback
) -> list[ComparedPeer]:
    """Time the peers in turns, against the first of them, and score the trial if there is one."""
    counts = {peer.name: n_timed(peer, images) for peer in peers}
    acts = {peer.name: lasting(_Scoring(peer, images[: counts[peer.name]])) for peer in peers}
    seconds = alternate(acts, rounds, progress)
    n_images = {name: counts[name] * act.n_repeats for name, act in acts.items()}
    each = {name: tuple(taken / n_images[name] for taken in values) for name, values in seconds.items()}
    found = []
    for number, peer in enumerate(peers):
        progress("AUROC of peers", number, len(peers))
        found.append(
            ComparedPeer(
                name=peer.name,
                source=peer.source,
                forward_equivalents=peer.forward_equivalents,
                n_scored=peer.n_images,
                timing=Timing(seconds=seconds[peer.name], n_images=n_images[peer.name]),
                times_ours=median_ratio(each[peer.name], each[peers[0].name]),
                auroc=None if trial is None else auroc_of(peer, trial),
            )
        )
    progress("AUROC of peers", len(peers), len(peers))
    return found


def n_timed(peer: Peer, images: Images) -> int:
    """As many images as make one entry of a timing last about as long as it should; at least one."""
    peer.scores(images[:1])
    started = time.perf_counter()
    peer.scores(images[:1])
    taken = time.perf_counter() - started
    most = min(len(images), MOST_TIMED if peer.n_images is None else peer.n_images)
    return max(1, min(most, math.ceil(SECONDS_AN_ENTRY / max(taken, 1e-6))))


@dataclasses.dataclass(frozen=True)
class _Scoring:
    peer: Peer
    images: Images

    def __call__(self) -> None:
        # Scores are on the CPU: nothing of a GPU is left to wait for.
        self.peer.scores(self.images)


def noise_material(opened: Opened) -> PeerMaterial:
    """Noise with labels dealt out in turn, and other noise for proxies: what is fitted to it costs the same."""
    classifier, random = opened.classifier, Generator().manual_seed(SEED)
    noise = torch.randint(0, 256, (N_NOISE, *classifier.input_shape), generator=random, dtype=torch.uint8)
    labels = torch.arange(N_NOISE) % len(classifier.labels)
    return PeerMaterial(
        classifier=classifier,
        fitting=LabelledImages(images=noise, labels=labels),
        proxies=torch.rand(N_NOISE, *classifier.input_shape, generator=random),
        generator=random,
    )


def _real(opened: Opened, source: str, progress: ProgressCallback) -> tuple[PeerMaterial, Trial]:
    classifier, bundle = opened.classifier, opened.detector.bundle
    data = load_image_set(source, opened.preprocessing, labels=classifier.labels, progress=progress)
    # Before the peers, which take longer: what is wrong with the images is said first.
    trial = make_trial(classifier, bundle, data, N_CLEAN, N_ATTACKED, progress)
    return peer_material(classifier, bundle, data, seed=SEED, progress=progress), trial
