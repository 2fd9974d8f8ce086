"""What a run can be asked for besides attacks on the classifier: attacks that know the detector, and baselines."""

import dataclasses
from collections.abc import Mapping, Sequence

from detector.calibration.splits import image_digests
from detector.detector import Detector
from detector.evaluation.adaptive import AdaptiveRun, AdaptiveSpec
from detector.evaluation.baselines import FittedBaseline, baseline_figures, fit_baselines
from detector.evaluation.evaluating import natural_group
from detector.evaluation.experiment import Experiment
from detector.evaluation.judgements import judge
from detector.evaluation.recovered_splits import RecoveredSplits
from detector.evaluation.resuming import adaptive_run
from detector.evaluation.run_settings import bundle_digest
from detector.evaluation.score_table import Group, ScoredGroup, groups_of_attacks, perturbation_sizes
from detector.evaluation.shards import ShardStore
from detector.types import LabelledImages, ProgressCallback, to_pixels


def with_adaptive(
    experiment: Experiment,
    detectors: Mapping[str, Detector],
    specs: Sequence[AdaptiveSpec],
    shards: ShardStore,
    *,
    limit: int,
    seed: int,
    progress: ProgressCallback,
) -> Experiment:
    """The same run, with every detector attacked by those who know it.

    Args:
        limit: clean images that each attack is run on, at most.
    """
    clean = experiment.clean[:limit]
    figures, skipped = dict(experiment.figures), dict(experiment.skipped)
    scores = list(experiment.scores)
    for name, detector in detectors.items():
        digest = bundle_digest(detector.bundle)
        runs = [
            (spec, adaptive_run(spec, detector, digest, clean, shards, seed=seed, progress=progress)) for spec in specs
        ]
        made = {spec.name: run for spec, run in runs if isinstance(run, AdaptiveRun)}
        figures[name] = dataclasses.replace(figures[name], adaptive=tuple(run.figures for run in made.values()))
        scores += [_adaptive_group(name, attack, detector, clean, run, progress) for attack, run in made.items()]
        of_bundle = f" ({name})" if len(detectors) > 1 else ""
        skipped |= {f"{spec.name}{of_bundle}": run.reason for spec, run in runs if not isinstance(run, AdaptiveRun)}
    return dataclasses.replace(experiment, figures=figures, skipped=skipped, scores=tuple(scores))


def with_baselines(
    experiment: Experiment, detector: Detector, splits: RecoveredSplits, *, seed: int, progress: ProgressCallback
) -> Experiment:
    """The same run, with detectors of others fitted on what a detector was calibrated with, and judged on its images.

    Raises:
        DetectorError: they cannot be fitted on these images.
    """
    figures, scores = {}, list(experiment.scores)
    for baseline in fit_baselines(detector, splits, seed=seed, progress=progress):
        clean = baseline.judge(to_pixels(experiment.clean.images), progress)
        judged = {
            name: baseline.judge(made.images, progress)
            for name, made in experiment.attacked.items()
            if len(made.sources)
        }
        figures[baseline.name] = baseline_figures(baseline, clean, judged, seed)
        digests = image_digests(experiment.clean.images)
        scores += [
            natural_group(baseline.name, Group.CLEAN, experiment.clean, clean),
            _misclassified_group(baseline, experiment.misclassified, progress),
            *groups_of_attacks(baseline.name, digests, experiment.attacked, judged),
        ]
    return dataclasses.replace(experiment, baselines=figures, scores=tuple(scores))


def _misclassified_group(baseline: FittedBaseline, data: LabelledImages, progress: ProgressCallback) -> ScoredGroup:
    return natural_group(baseline.name, Group.MISCLASSIFIED, data, baseline.judge(to_pixels(data.images), progress))


def _adaptive_group(
    bundle: str, attack: str, detector: Detector, clean: LabelledImages, run: AdaptiveRun, progress: ProgressCallback
) -> ScoredGroup:
    sources = clean[run.sources]
    return ScoredGroup(
        bundle=bundle,
        group=Group.ADAPTIVE,
        name=attack,
        sources=image_digests(sources.images),
        true_labels=sources.labels,
        judgement=judge(detector, run.images, progress),
        sizes=perturbation_sizes(run.images, to_pixels(sources.images)),
    )
