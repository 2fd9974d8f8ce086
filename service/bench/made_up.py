"""Bundles of the shapes that calibration would give, with random values: they cost what a real one costs.

What they say about an image means nothing. Two things decide shapes that calibration finds in its data, and are assumed
here: the rank of the covariances of large blocks, the highest that calibration keeps, and how many clean images the
conformal scores are of.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Generator, Tensor

from detector.bundle import Bundle
from detector.bundle_record import SCHEMA_VERSION, BundleRecord
from detector.calibration.low_rank_fit import BETWEEN_RANK, WITHIN_RANK
from detector.calibration.settings import CalibrationSettings
from detector.calibration.statistics import LARGE_DIMENSION
from detector.conformal import ConformalScores
from detector.head import Head
from detector.low_rank import LowRankGaussians
from detector.potentials import Gaussians, LabelGaussians, blocks_of
from detector.profiles import PathEvidence, PathProfiler
from detector.prototypes.prototype_set import PrototypeSet
from models.classifier import Classifier
from models.training import initialised

N_CONFORMAL = 1000
_EXAMPLES = 2


def made_up_bundle(
    classifier: Classifier,
    settings: CalibrationSettings,
    generator: Generator,
    *,
    name: str = "made-up",
    preprocessing: Mapping[str, Any] | None = None,
) -> Bundle:
    """A bundle as calibration with these settings would shape it, without an auxiliary classifier or a second opinion.

    Args:
        classifier: on the CPU.
        generator: all values are drawn from it.
        name: of the classifier.
    """
    n_labels, shape = len(classifier.labels), (settings.n_prototypes, *classifier.input_shape)
    prototypes = torch.randint(0, 256, (n_labels, *shape), generator=generator, dtype=torch.uint8)
    mixing, gaussians = torch.tensor(settings.mixing), random_gaussians(classifier, generator)
    evidence = _evidence(classifier, settings, gaussians, prototypes, mixing)
    return Bundle(
        record=_record(classifier, settings, name, preprocessing or {}, tuple(gaussians), evidence.features.shape[1]),
        prototypes=PrototypeSet(
            images=prototypes,
            available=torch.ones(n_labels, dtype=torch.bool),
            kinds=(settings.prototype_kind,) * settings.n_prototypes,
        ),
        mixing=mixing,
        gaussians=gaussians,
        head=random_head(evidence.features, settings.hidden, generator),
        claim_weights=torch.randn(evidence.claims.shape[2], generator=generator),
        conformal=ConformalScores.of(torch.randn(N_CONFORMAL, generator=generator)),
        prototype_profiles=torch.zeros(n_labels, settings.n_prototypes),
        used_images=torch.zeros(0, 8, dtype=torch.uint8),
    )


def random_gaussians(classifier: Classifier, generator: Generator) -> dict[str, Gaussians]:
    """Random means of every block; one covariance for all labels, of low rank where calibration would keep it so."""
    with torch.no_grad():
        outputs = classifier(torch.zeros(_EXAMPLES, *classifier.input_shape))
    n_labels = len(classifier.labels)
    return {
        name: (_low_rank if block.shape[1] > LARGE_DIMENSION else _full)(n_labels, block.shape[1], generator)
        for name, block in blocks_of(outputs.logits, outputs.representations).items()
    }


def random_head(features: Tensor, hidden: Sequence[int], generator: Generator) -> Head:
    """A head for such features, with first weights that depend on the generator alone.

    Args:
        features: an example, shape (image, feature).
    """
    seed = int(torch.randint(2**31, (), generator=generator))
    head = initialised(lambda: Head(features.shape[1], hidden), seed)
    assert isinstance(head, Head)
    head.standardise_by(features)
    return head.eval().requires_grad_(False)


@torch.no_grad()
def _evidence(
    classifier: Classifier,
    settings: CalibrationSettings,
    gaussians: Mapping[str, Gaussians],
    prototypes: Tensor,
    mixing: Tensor,
) -> PathEvidence:
    """Of prototypes, to see how many features there are and how large they get."""
    profiler = PathProfiler(classifier=classifier, gaussians=gaussians, smoothings=settings.smoothings)
    return profiler.measure(prototypes[:_EXAMPLES, 0].float() / 255, prototypes, mixing)


def _record(
    classifier: Classifier,
    settings: CalibrationSettings,
    name: str,
    preprocessing: Mapping[str, Any],
    blocks: tuple[str, ...],
    n_features: int,
) -> BundleRecord:
    return BundleRecord(
        schema_version=SCHEMA_VERSION,
        classifier=name,
        classifier_digest=classifier.digest(),
        input_shape=classifier.input_shape,
        labels=classifier.labels,
        preprocessing=dict(preprocessing),
        prototype_kinds=(settings.prototype_kind,) * settings.n_prototypes,
        blocks=blocks,
        hidden=settings.hidden,
        n_features=n_features,
        false_positive_rates=settings.false_positive_rates,
        seed=0,
        settings={},
        measured={},
        data_digest="",
        versions={},
        created="",
        seconds=0.0,
        smoothings=settings.smoothings,
        notes=("Made up for a measurement of speed: its values are random, and its verdicts mean nothing.",),
    )


def _full(n_labels: int, dimension: int, generator: Generator) -> LabelGaussians:
    return LabelGaussians(
        means=torch.randn(n_labels, dimension, generator=generator), whitening=torch.eye(dimension)[None]
    )


def _low_rank(n_labels: int, dimension: int, generator: Generator) -> LowRankGaussians:
    rank = min(dimension // 2, WITHIN_RANK) + min(n_labels - 1, BETWEEN_RANK)
    basis, _ = torch.linalg.qr(torch.randn(dimension, rank, generator=generator))
    return LowRankGaussians(
        centre=torch.zeros(dimension),
        unit=torch.ones(dimension),
        basis=basis,
        scale=torch.ones(rank),
        outside=torch.tensor(1.0),
        means=torch.randn(n_labels, rank, generator=generator),
        unknown=torch.eye(rank),
        rows=torch.arange(n_labels),
    )
