"""Turns an experiment into what the page shows: tables, curves and example paths."""

import math
from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from detector.detector import Detector
from detector.evaluation.experiment import Experiment
from detector.evaluation.page import Page, PathExample, ProfileBand, ScoreGroup, Table
from detector.evaluation.results import RATES, DetectorFigures, Judgement
from detector.evaluation.tracing import trace
from detector.types import Images, to_pixels, to_stored
from detector.verdict import Decision, Verdict

IMAGES_PER_BAND = 48
BAND_POTENTIAL = "cross-entropy, nats"


def attack_table(figures: DetectorFigures) -> Table:
    """One row an attack: how it was seen by one detector."""
    rows = [
        (
            name,
            row.n,
            row.success_rate,
            row.mean_l2,
            row.mean_linf * 255,
            row.auroc.value,
            f"{row.auroc.lower:.3f} to {row.auroc.upper:.3f}",
            row.tpr[0.01].value,
            row.tpr[0.05].value,
            row.barrier_auroc,
            None if row.recovered is None else row.recovered.value,
        )
        for name, row in figures.attacks.items()
    ]
    return Table(
        title=f"Attacks, judged by {figures.name}",
        columns=(
            "attack",
            "images",
            "success rate",
            "L2",
            "L∞ / 255",
            "AUROC",
            "95 % interval",
            "flagged at 1 %",
            "flagged at 5 %",
            "barrier alone",
            "true label found",
        ),
        rows=tuple(rows),
        note=f"{figures.forward_equivalents:.3g} forward passes an image. Thresholds are the calibrated ones. "
        "The barrier alone is the AUROC of this bundle's cross-entropy barrier, uncalibrated. "
        "The true label is looked for among flagged images.",
    )


def natural_table(figures: DetectorFigures) -> Table:
    """False positives on natural images, asked for and realised."""
    rows = [
        (
            group,
            found.nominal,
            found.n,
            found.realised.value,
            f"{found.realised.lower:.3f} to {found.realised.upper:.3f}",
            ("yes" if found.is_within_binomial else "no") if is_promised else None,
        )
        for group, found_all, is_promised in (
            ("correctly classified", figures.clean, True),
            ("misclassified", figures.misclassified, False),
        )
        for found in found_all
    ]
    return Table(
        title=f"Natural images flagged by {figures.name}",
        columns=("images", "asked for", "n", "flagged", "95 % interval", "within chance"),
        rows=tuple(rows),
        note="The promise covers correctly classified images; misclassified ones are shown for what they cost.",
    )


def comparison_table(all_figures: Sequence[DetectorFigures]) -> Table:
    """One row a detector: AUROC by attack and in summary."""
    attacks = list(all_figures[0].attacks)
    rows = [
        (
            figures.name,
            figures.forward_equivalents,
            *(figures.attacks[attack].auroc.value for attack in attacks),
            figures.mean_auroc,
            figures.worst_auroc,
            figures.mean_tpr(0.05),
            next((found.realised.value for found in figures.clean if found.nominal == RATES[1]), None),
        )
        for figures in all_figures
    ]
    return Table(
        title="AUROC of all detectors on the same images",
        columns=("detector", "passes", *attacks, "mean", "worst", "mean flagged at 5 %", "clean flagged at 5 %"),
        rows=tuple(rows),
        note="",
    )


def build_page(
    title: str, lead: str, facts: Sequence[tuple[str, str]], detector: Detector, name: str, experiment: Experiment
) -> Page:
    """The page of one detector, beside the others of the same run where there are any."""
    figures = experiment.figures[name]
    judged = experiment.judgements[name]
    tables = [attack_table(figures), natural_table(figures)]
    if len(experiment.figures) > 1:
        tables.insert(0, comparison_table(list(experiment.figures.values())))
    clean = judged["clean"]
    return Page(
        title=title,
        lead=lead,
        facts=tuple(facts),
        tables=tuple(tables),
        bands=_bands(detector, experiment),
        band_unit=BAND_POTENTIAL,
        score_groups=tuple(ScoreGroup(name=group, scores=found.scores) for group, found in judged.items()),
        threshold=_threshold(detector),
        roc={group: roc_curve(clean, found) for group, found in judged.items() if group != "clean"},
        examples=tuple(_examples(detector, experiment)),
        footer="Thresholds, figures and pictures come from the run that wrote this page.",
        false_positive_rate=detector.false_positive_rate,
    )


def roc_curve(clean: Judgement, attacked: Judgement) -> tuple[np.ndarray, np.ndarray]:
    """False- and true-positive rates at every threshold that a clean score gives, both rising."""
    thresholds = np.sort(clean.scores)[::-1]
    false_positive_rate = np.arange(1, len(thresholds) + 1) / len(thresholds)
    true_positive_rate = np.array([(attacked.scores >= threshold).mean() for threshold in thresholds])
    return false_positive_rate, true_positive_rate


def _threshold(detector: Detector) -> float:
    """The highest calibration score that passes; whatever scores above it is flagged."""
    scores = detector.bundle.conformal.scores
    passed = scores[detector.bundle.conformal.p_values(scores) > detector.false_positive_rate]
    return float(passed.max()) if len(passed) else float(scores.min())


def _bands(detector: Detector, experiment: Experiment) -> tuple[ProfileBand, ...]:
    """Quartiles of the cross-entropy along the lowest-barrier paths, for clean images and each attack."""
    groups: dict[str, Images] = {"clean": to_pixels(experiment.clean.images[:IMAGES_PER_BAND])}
    groups |= {name: made.images[:IMAGES_PER_BAND] for name, made in experiment.attacked.items() if len(made.images)}
    bands = []
    for name, images in groups.items():
        verdicts = detector.inspect(images)
        kept = [index for index, verdict in enumerate(verdicts) if verdict.prototype is not None]
        if not kept:
            continue
        traced = trace(detector, images[kept], *_labels_and_prototypes([verdicts[index] for index in kept]))
        lower, median, upper = np.quantile(traced.potentials[BAND_POTENTIAL].numpy(), [0.25, 0.5, 0.75], axis=0)
        bands.append(
            ProfileBand(name=name, mixing=traced.mixing.numpy(), lower=lower, median=median, upper=upper),
        )
    return tuple(bands)


def _examples(detector: Detector, experiment: Experiment) -> list[PathExample]:
    """Two natural images, and of each attack one image caught and one missed, where there are such."""
    clean = to_pixels(experiment.clean.images[:IMAGES_PER_BAND])
    verdicts = detector.inspect(clean)
    examples = []
    for index in _first(verdicts, Decision.CLEAN, 2) + _first(verdicts, Decision.ADVERSARIAL, 1):
        outcome = "passed" if verdicts[index].decision is Decision.CLEAN else "false alarm"
        true_label = int(experiment.clean.labels[index])
        examples.append(
            _example(detector, f"natural · {outcome}", None, clean[index], None, verdicts[index], true_label)
        )
    for name, made in experiment.attacked.items():
        verdicts = detector.inspect(made.images[:IMAGES_PER_BAND])
        for index in _first(verdicts, Decision.ADVERSARIAL, 1) + _first(verdicts, Decision.CLEAN, 1):
            outcome = "caught" if verdicts[index].decision is Decision.ADVERSARIAL else "missed"
            source = experiment.clean.images[made.sources[index]]
            true_label = int(made.true_labels[index])
            title = f"{name} · {outcome}"
            examples.append(_example(detector, title, name, made.images[index], source, verdicts[index], true_label))
    return examples


def _first(verdicts: Sequence[Verdict], decision: Decision, n: int) -> list[int]:
    chosen = [i for i, found in enumerate(verdicts) if found.decision is decision and found.prototype is not None]
    return chosen[:n]


def _labels_and_prototypes(verdicts: Sequence[Verdict]) -> tuple[Tensor, Tensor]:
    labels = torch.tensor([verdict.label for verdict in verdicts])
    prototypes = torch.tensor([verdict.prototype or 0 for verdict in verdicts])
    return labels, prototypes


def _example(
    detector: Detector,
    title: str,
    attack: str | None,
    image: Tensor,
    original: Tensor | None,
    verdict: Verdict,
    true_label: int,
) -> PathExample:
    traced = trace(detector, image[None], *_labels_and_prototypes([verdict]))
    names = detector.bundle.record.labels
    profiles: Mapping[str, np.ndarray] = {name: values[0].numpy() for name, values in traced.potentials.items()}
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
        profiles=profiles,
    )
