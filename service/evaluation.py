"""Attacks labelled images and measures how well bundles tell them from clean ones."""

import dataclasses
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path

from detector.detector import Detector
from detector.evaluation.adaptive import ADAPTIVE, AdaptiveSpec
from detector.evaluation.attacks import AttackSpec, MissingExtraError, specs_named
from detector.evaluation.experiment import Experiment, run_experiment
from detector.evaluation.extensions import with_adaptive, with_baselines
from detector.evaluation.recovered_splits import RecoveredSplits, recover_splits
from detector.evaluation.resuming import adaptive_shard
from detector.evaluation.run_settings import RunSettings, open_run, settings_of
from detector.evaluation.shards import FolderShards, MemoryShards, ShardStore
from detector.types import LabelledImages, ProgressCallback
from service.bundles import ClassifierChoice, OpenedDetector, open_detector
from service.console import messages, results
from service.errors import InputError
from service.evaluation_report import PAGE_FILE, show, write_report
from service.imagesets import load_image_set
from service.outputs import require_writable
from service.progress import progress_bars

SHARD_FOLDER = "shards"

logger = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True, kw_only=True)
class EvaluationRequest:
    """What a user asks for.

    Attributes:
        images: the image set that is attacked; those that a calibration has seen are left out.
        attacks: names of suites and attacks, with commas between them.
        adaptive: whether the bundles are attacked by those who know them, too.
        baselines: whether detectors of others are fitted and judged beside the first bundle.
        limit: clean images that each attack is run on, at most.
        out: the folder of the run; None for a run that is only shown.
    """

    bundles: Sequence[str]
    images: str
    choice: ClassifierChoice
    attacks: str
    adaptive: bool
    baselines: bool
    limit: int
    seed: int
    download: bool
    out: Path | None
    json: bool


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Plan:
    """What is to be run, with what an earlier run in the same folder had."""

    settings: RunSettings
    specs: tuple[AttackSpec, ...]
    adaptive: tuple[AdaptiveSpec, ...]
    splits: RecoveredSplits | None
    shards: ShardStore


def run_evaluation(request: EvaluationRequest) -> None:
    """Attack once and judge with every bundle; the first one is shown in full. A run that was stopped is continued.

    Raises:
        InputError: bundles of different classifiers, images that cannot be read, or attacks that are not installed.
        DetectorError, ModelError: a bundle, the classifier or the folder of the run cannot be used.
        OSError: something cannot be written; what was finished before is kept.
    """
    opened = _opened(request)
    detectors = {name: one.detector for name, one in opened.items()}
    first = next(iter(opened.values()))
    specs = _specs(request.attacks)
    if request.out is not None:
        require_writable(request.out)
    with progress_bars() as progress:
        data = load_image_set(
            request.images, first.preprocessing, labels=first.labels, download=request.download, progress=progress
        )
        plan = _planned(request, detectors, data, specs)
        try:
            experiment = _run(plan, detectors, data, progress)
        except KeyboardInterrupt:
            if request.out is not None:
                logger.info("what is finished is kept in %s; the same command goes on from there", request.out)
            raise
        document_run = plan.settings.shared()
        if request.out is not None:
            title = f"Evaluation of {next(iter(opened))}"
            write_report(request.out, detectors, experiment, document_run, title=title, lead=_LEAD)
    show(experiment, document_run, json=request.json)
    if request.out is not None:
        (messages if request.json else results).print(f"report: {request.out / PAGE_FILE}", markup=False)


_LEAD = (
    "Every attack of the first table sees the classifier alone and runs on images that no calibration has seen. Only "
    "successful attacks count. Thresholds are those of the calibration."
)


def _run(
    plan: _Plan, detectors: Mapping[str, Detector], data: LabelledImages, progress: ProgressCallback
) -> Experiment:
    limit, seed = plan.settings.limit, plan.settings.seed
    found = run_experiment(detectors, data, plan.specs, limit=limit, seed=seed, shards=plan.shards, progress=progress)
    if plan.adaptive:
        found = with_adaptive(found, detectors, plan.adaptive, plan.shards, limit=limit, seed=seed, progress=progress)
    if plan.splits is not None:
        first = next(iter(detectors.values()))
        found = with_baselines(found, first, plan.splits, seed=seed, progress=progress)
    return found


def _planned(
    request: EvaluationRequest, detectors: Mapping[str, Detector], data: LabelledImages, specs: Sequence[AttackSpec]
) -> _Plan:
    """The plan, and the folder of the run made ready for it."""
    settings = settings_of(
        detectors,
        data,
        specs,
        limit=request.limit,
        seed=request.seed,
        adaptive=ADAPTIVE if request.adaptive else (),
        baselines=request.baselines,
        runtime=request.choice.runtime,
    )
    first = next(iter(detectors.values()))
    # Before the folder and the attacks, so that what cannot be done is said at once.
    splits = recover_splits(first.bundle, data) if request.baselines else None
    if request.out is None:
        adaptive = ADAPTIVE if request.adaptive else ()
        return _Plan(settings=settings, specs=tuple(specs), adaptive=adaptive, splits=splits, shards=MemoryShards())
    shards = FolderShards(request.out / SHARD_FOLDER, logger.info)
    run = open_run(request.out, settings)
    known = [name for name in run.attacks if name in settings.attacks or name in shards]
    digests = run.bundles.values()
    return _Plan(
        settings=run,
        specs=_specs(",".join(known)),
        adaptive=tuple(
            spec
            for spec in ADAPTIVE
            if spec.name in settings.adaptive or all(adaptive_shard(spec.name, digest) in shards for digest in digests)
        ),
        splits=splits or (recover_splits(first.bundle, data) if run.baselines else None),
        shards=shards,
    )


def _specs(text: str) -> tuple[AttackSpec, ...]:
    try:
        return specs_named(text)
    except MissingExtraError as error:
        raise InputError(f"{error}; --attacks builtin needs nothing else") from error


def _opened(request: EvaluationRequest) -> dict[str, OpenedDetector]:
    opened = {
        _name(bundle): open_detector(bundle, false_positive_rate=0.05, choice=request.choice)
        for bundle in request.bundles
    }
    if len(opened) < len(request.bundles):
        raise InputError(f"two of the bundles {', '.join(request.bundles)} have one name; rename one of their folders")
    _require_one_classifier(opened)
    return opened


def _name(bundle: str) -> str:
    """What a bundle is called in tables: the name of its folder, also where that is given as a dot."""
    name = Path(bundle).name
    return Path(bundle).resolve().name if name in ("", "..") else name


def _require_one_classifier(opened: Mapping[str, OpenedDetector]) -> None:
    digests = {name: one.detector.bundle.record.classifier_digest for name, one in opened.items()}
    if len(set(digests.values())) > 1:
        raise InputError(
            f"the bundles {', '.join(digests)} are for different classifiers; attacks are made for one, so give "
            "bundles of one classifier at a time"
        )
