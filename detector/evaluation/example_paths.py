"""Chooses images of an experiment whose paths are worth seeing, and follows them."""

import math
from collections.abc import Mapping, Sequence

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from detector.detector import Detector
from detector.evaluation.experiment import Experiment
from detector.evaluation.figures import ProfileBand
from detector.evaluation.judgements import Judgement
from detector.evaluation.path_example import PathExample
from detector.evaluation.tracing import trace
from detector.types import Images, to_pixels, to_stored
from detector.verdict import Decision, Verdict

IMAGES_PER_BAND = 48
BAND_POTENTIAL = "cross-entropy, nats"

MOST_EXAMPLES = 16
"""Cards on one page."""

MOST_MISSED = 9
"""Cards of missed attacks, so that some are left for what was caught."""


def profile_bands(
    detector: Detector, experiment: Experiment, judged: Mapping[str, Judgement], attacks: Sequence[str]
) -> tuple[ProfileBand, ...]:
    """Quartiles of the cross-entropy along the lowest-barrier paths, for clean images and then for some attacks."""
    groups: dict[str, Images] = {"clean": to_pixels(experiment.clean.images[:IMAGES_PER_BAND])}
    groups |= {name: experiment.attacked[name].images[:IMAGES_PER_BAND] for name in attacks}
    bands = []
    for name, images in groups.items():
        verdicts = judged[name].verdicts[:IMAGES_PER_BAND]
        kept = [index for index, verdict in enumerate(verdicts) if verdict.prototype is not None]
        if not kept:
            continue
        traced = trace(detector, images[kept], *_labels_and_prototypes([verdicts[index] for index in kept]))
        lower, median, upper = np.quantile(traced.potentials[BAND_POTENTIAL].numpy(), [0.25, 0.5, 0.75], axis=0)
        bands.append(
            ProfileBand(name=name, mixing=traced.mixing.numpy(), lower=lower, median=median, upper=upper),
        )
    return tuple(bands)


def path_examples(
    detector: Detector, experiment: Experiment, judged: Mapping[str, Judgement], attacks: Sequence[str]
) -> tuple[PathExample, ...]:
    """Cards, mistakes first: missed attacks, a false alarm, caught attacks, and two natural images that passed.

    Args:
        attacks: in the order in which they are shown; one image of each at most is shown as missed, and one as caught.
    """
    clean = judged["clean"].verdicts
    missed = [(name, index) for name in attacks for index in _first(judged[name].verdicts, Decision.CLEAN, 1)]
    caught = [(name, index) for name in attacks for index in _first(judged[name].verdicts, Decision.ADVERSARIAL, 1)]
    false_alarms, passed = _first(clean, Decision.ADVERSARIAL, 1), _first(clean, Decision.CLEAN, 2)
    n_caught = MOST_EXAMPLES - len(missed[:MOST_MISSED]) - len(false_alarms) - len(passed)
    return (
        *(_attacked(detector, experiment, judged, name, index) for name, index in missed[:MOST_MISSED]),
        *(_natural(detector, experiment, judged, index) for index in false_alarms),
        *(_attacked(detector, experiment, judged, name, index) for name, index in caught[:n_caught]),
        *(_natural(detector, experiment, judged, index) for index in passed),
    )


def _first(verdicts: Sequence[Verdict], decision: Decision, n: int) -> list[int]:
    chosen = [i for i, found in enumerate(verdicts) if found.decision is decision and found.prototype is not None]
    return chosen[:n]


def _natural(detector: Detector, experiment: Experiment, judged: Mapping[str, Judgement], index: int) -> PathExample:
    verdict = judged["clean"].verdicts[index]
    return _example(
        detector,
        title=f"natural · {'passed' if verdict.decision is Decision.CLEAN else 'false alarm'}",
        attack=None,
        image=to_pixels(experiment.clean.images[index : index + 1])[0],
        original=None,
        verdict=verdict,
        true_label=int(experiment.clean.labels[index]),
    )


def _attacked(
    detector: Detector, experiment: Experiment, judged: Mapping[str, Judgement], name: str, index: int
) -> PathExample:
    made, verdict = experiment.attacked[name], judged[name].verdicts[index]
    return _example(
        detector,
        title=f"{name} · {'missed' if verdict.decision is Decision.CLEAN else 'caught'}",
        attack=name,
        image=made.images[index],
        original=experiment.clean.images[made.sources[index]],
        verdict=verdict,
        true_label=int(made.true_labels[index]),
    )


def _example(
    detector: Detector,
    *,
    title: str,
    attack: str | None,
    image: Float[Tensor, "channel height width"],
    original: Tensor | None,
    verdict: Verdict,
    true_label: int,
) -> PathExample:
    traced = trace(detector, image[None], *_labels_and_prototypes([verdict]))
    names = detector.bundle.record.labels
    return PathExample(
        title=title,
        attack=attack,
        true_label=names[true_label],
        predicted_label=names[verdict.label],
        suspected_label=None if verdict.suspected_label is None else names[verdict.suspected_label],
        decision=verdict.decision,
        p_value=math.nan if verdict.p_value is None else verdict.p_value,
        score=math.nan if verdict.score is None else verdict.score,
        barrier=verdict.barrier,
        image=to_stored(image).numpy(),
        original=None if original is None else original.numpy(),
        strip=to_stored(traced.waypoints[0]).numpy(),
        mixing=traced.mixing.numpy(),
        profiles={name: values[0].numpy() for name, values in traced.potentials.items()},
    )


def _labels_and_prototypes(verdicts: Sequence[Verdict]) -> tuple[Tensor, Tensor]:
    labels = torch.tensor([verdict.label for verdict in verdicts])
    prototypes = torch.tensor([verdict.prototype or 0 for verdict in verdicts])
    return labels, prototypes
