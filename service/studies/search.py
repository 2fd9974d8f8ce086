"""Whether searching for lower paths pays: every method, prototype kind, potential and number against its cost."""

import itertools

import torch
from torch import Generator

from detector.bundle import Bundle
from detector.calibration.settings import CalibrationSettings
from detector.calibration.splits import Splits, SplitShares, image_digests, split_held_out, without_validation
from detector.calibration.stream import Batch, correctly_classified, stream
from detector.escalation import Escalator, search_all
from detector.evaluation.attacked import attack_all
from detector.evaluation.attacks import SUITE
from detector.evaluation.frontier.arena import Arena
from detector.evaluation.frontier.contenders import SETTINGS, Contender, labels_of, untrained_contenders
from detector.evaluation.frontier.heads import SearchedFeatures, StraightFeatures, trained_contender
from detector.passes import waypoints_per_pass
from detector.profiles import PathProfiler
from detector.prototypes.making import Workshop, make_prototypes
from detector.prototypes.prototype_set import PrototypeKind, PrototypeSet
from detector.search import MethodName, PotentialKind, label_potential, method_named
from detector.second_opinion import EscalationSettings
from detector.types import Classifier, LabelledImages, ProgressCallback, chosen_pixels, to_pixels
from models.registry import load_classifier
from service.bundles import open_bundle
from service.devices import choose_device
from service.errors import InputError
from service.imagesets import load_image_set
from service.options import DEFAULT_BUNDLE
from service.studies.report import StudyReport, StudyRequest
from service.studies.search_report import report_of
from service.studies.subject import source_of

N_CLEAN = 80
KINDS = (PrototypeKind.REAL, PrototypeKind.FEATURE_VISUALISED, PrototypeKind.STAR, PrototypeKind.NOISE)
"""Besides those of the bundle, which are learned."""
WIDE_POTENTIALS = (PotentialKind.LOG_CROSS_ENTROPY, PotentialKind.MARGIN, PotentialKind.REPRESENTATION)
"""Searched for real and learned prototypes; the cross-entropy for every kind."""
METHODS = tuple(MethodName)
HEAD_KINDS = ("feature-visualised", "real")
"""Besides the bundle's own."""
HEAD_METHODS = (MethodName.BYPASS, MethodName.CHAIN, MethodName.NEB)
N_BATCHES, N_VALIDATION = 16, 3


def run(request: StudyRequest, progress: ProgressCallback) -> StudyReport:
    """Measure all contenders on images that the shipped bundle of the classifier has not seen.

    `limit` is the number of clean images; half as many are attacked in each way.

    Raises:
        InputError: there is no shipped bundle for the classifier, or images are missing.
    """
    name = request.classifier or DEFAULT_BUNDLE
    bundle = open_bundle(name)
    loaded = load_classifier(name, device=choose_device(request.device))
    bundle.check_classifier(loaded.classifier)
    train, held_out = (
        load_image_set(
            source_of(given, name, part), loaded.preprocessing, labels=loaded.classifier.labels, progress=progress
        )
        for given, part in ((request.train, "train"), (request.held_out, "held-out"))
    )
    settings = CalibrationSettings()
    shares = SplitShares(**bundle.record.settings["shares"])
    splits = split_held_out(held_out, train, shares, bundle.record.seed)
    require_the_calibrations_own(splits, bundle)
    n_clean = request.limit or N_CLEAN
    classifier = loaded.classifier.folded()
    arena = arena_of(classifier, splits, n_clean, request.seed, progress)
    sets = prototype_sets(classifier, bundle, train, settings, request.seed, progress)
    found = untrained(arena, bundle, sets, progress)
    found += trained(arena, bundle, sets, splits, settings, request.seed, progress)
    facts = (
        ("classifier", loaded.name),
        ("clean images", f"{len(arena.clean)}, thresholds from {len(arena.threshold)} others"),
        ("attacked images", ", ".join(f"{attack} {len(images)}" for attack, images in arena.attacked.items())),
        (
            "images that heads were trained on",
            f"{N_BATCHES} batches of {settings.stream.images} clean and as many proxies",
        ),
    )
    return report_of(found, facts)


def require_the_calibrations_own(splits: Splits, bundle: Bundle) -> None:
    """Refuse images that the bundle's calibration did not split in this way.

    Raises:
        InputError: images that it has seen would be taken for unseen ones, or the other way round.
    """
    used = bundle.used_digests
    seen = sum(digest in used for digest in image_digests(splits.reserved.images))
    unknown = sum(digest not in used for digest in image_digests(splits.conformal.images))
    if seen or unknown or len(splits.reserved) == 0:
        raise InputError(
            f"the bundle was not calibrated on these images: of those reserved {seen} of {len(splits.reserved)} were "
            f"used in its calibration, and of its own {unknown} of {len(splits.conformal)} were not; give with --train "
            "and --held-out the images that it was calibrated with, of which some must have been reserved"
        )


def arena_of(classifier: Classifier, splits: Splits, n_clean: int, seed: int, progress: ProgressCallback) -> Arena:
    """Thresholds from the conformal part, everything else from the reserved part of the held-out images."""
    chunk = waypoints_per_pass(classifier.input_shape)
    clean, _ = correctly_classified(classifier, splits.reserved, chunk)
    threshold, _ = correctly_classified(classifier, splits.conformal, chunk)
    attacked = attack_all(SUITE, classifier, clean[: max(2, n_clean // 2)], seed=seed, chunk=chunk, progress=progress)
    return Arena(
        classifier=classifier,
        threshold=to_pixels(threshold.images[: 2 * n_clean]),
        clean=to_pixels(clean.images[:n_clean]),
        attacked={name: found.images for name, found in attacked.items() if len(found.images)},
    )


def prototype_sets(
    classifier: Classifier,
    bundle: Bundle,
    references: LabelledImages,
    settings: CalibrationSettings,
    seed: int,
    progress: ProgressCallback,
) -> dict[str, PrototypeSet]:
    """The bundle's own prototypes, and as many of each other kind."""
    workshop = Workshop(
        classifier=classifier,
        references=references,
        labels=tuple(bundle.prototypes.available.nonzero()[:, 0].tolist()),
        n_prototypes=bundle.prototypes.n_prototypes,
        visualisation=settings.visualisation,
        star=settings.star,
        generator=Generator().manual_seed(seed),
        chunk=waypoints_per_pass(classifier.input_shape),
        progress=progress,
    )
    made = {str(kind): make_prototypes(kind, workshop) for kind in KINDS}
    return {own_name(bundle): bundle.prototypes} | made


def own_name(bundle: Bundle) -> str:
    """What the bundle's own prototypes are called."""
    return " and ".join(sorted({str(kind) for kind in bundle.prototypes.kinds}))


def untrained(
    arena: Arena, bundle: Bundle, sets: dict[str, PrototypeSet], progress: ProgressCallback
) -> list[Contender]:
    """Barriers and peaks on straight and searched paths."""
    images, labels = arena.images, labels_of(arena)
    wide = [name for name in (own_name(bundle), "real") if name in sets]
    plan = [(PotentialKind.CROSS_ENTROPY, name) for name in sets]
    plan += list(itertools.product(WIDE_POTENTIALS, wide))
    runs = [(potential, name, method) for potential, name in plan for method in METHODS]
    found: dict[tuple[object, ...], Contender] = {}
    for done, (kind, name, method) in enumerate(runs, 1):
        prototypes = sets[name].images
        repeated = labels.repeat_interleave(prototypes.shape[1])
        potential = label_potential(kind, arena.classifier, repeated, bundle.gaussians)
        searched = search_all(potential, images, chosen_pixels(prototypes, labels), method_named(method), SETTINGS)
        for one in untrained_contenders(arena, searched, method, name, str(kind)):
            # Straight paths come out of every search alike; one of them is enough.
            found.setdefault((one.method, one.prototypes, one.potential, one.n_prototypes, one.judge), one)
        progress("searching for every contender", done, len(runs))
    return list(found.values())


def trained(
    arena: Arena,
    bundle: Bundle,
    sets: dict[str, PrototypeSet],
    splits: Splits,
    settings: CalibrationSettings,
    seed: int,
    progress: ProgressCallback,
) -> list[Contender]:
    """Heads on straight paths of several costs, and on searched ones, all trained on the same batches."""
    classifier = arena.classifier
    profiler = PathProfiler.on_device(classifier, bundle.gaussians)
    learn, validate = _batches(classifier, splits.learning, settings, seed)
    contenders = []
    for name in (own_name(bundle), *HEAD_KINDS):
        stored = sets[name].images.to(classifier.device)
        mixing = bundle.mixing if name == own_name(bundle) else torch.tensor(settings.mixing)
        plan: list[StraightFeatures | SearchedFeatures] = [
            StraightFeatures(profiler=profiler, prototypes=stored[:, :n], mixing=weights)
            for n in sorted({1, stored.shape[1]})
            for weights in (mixing, torch.linspace(0.1, 0.8, 8))
        ]
        if name != "real":
            plan += [
                SearchedFeatures(
                    escalator=Escalator(
                        profiler=profiler,
                        prototypes=stored[:, :1],
                        mixing=mixing.to(classifier.device),
                        settings=EscalationSettings(method=method),
                    )
                )
                for method in HEAD_METHODS
            ]
        contenders += [trained_contender(arena, one, name, learn, validate, progress) for one in plan]
    return contenders


def _batches(
    classifier: Classifier, learning: LabelledImages, settings: CalibrationSettings, seed: int
) -> tuple[list[Batch], list[Batch]]:
    """The same batches for every head; the last ones, of other images, say when to stop."""
    known, unknown = without_validation(learning, settings.fitting.validation_share)
    chunk, generator = waypoints_per_pass(classifier.input_shape), Generator().manual_seed(seed)
    sizes = ((known, N_BATCHES), (unknown, N_VALIDATION))
    learn, validate = (
        list(itertools.islice(stream(classifier, part, settings.stream, generator, chunk), n)) for part, n in sizes
    )
    return learn, validate
