"""Whether inputs are joined in a classifier that is no network: soft decision trees against a convolutional network."""

import time

from detector.passes import predicted_labels
from detector.search import PotentialKind, label_potential, search_paths
from detector.search.bypass import Bypass
from detector.types import Classifier, LabelledImages, ProgressCallback, to_pixels
from models.digits import load_digits_images
from models.registry import load_classifier
from service.errors import InputError
from service.studies.report import StudyReport, StudyRequest
from service.studies.soft_trees_making import SoftTreeSettings, optimised_pairs, trained_trees
from service.studies.soft_trees_report import (
    NETWORK,
    OPTIMISED,
    SCANS,
    TREES,
    Barriers,
    Judged,
    barriers_of,
    findings_of,
    plots_of,
    soft_trees_data,
    table_of,
)
from service.studies.subject import Pairs, require_own_classifier, same_label_pairs

LEAD = (
    "An ensemble of soft decision trees was trained on 900 scans of digits. Pairs of held-out scans of one "
    "digit, which it and the small convolutional network both name correctly, were joined by a straight path "
    "and by bypasses, once in each classifier: the same images, two landscapes. The same was done with inputs "
    "optimised from noise to one label, which are each classifier's own."
)


def run(request: StudyRequest, progress: ProgressCallback) -> StudyReport:
    """Train soft trees on the digits and search paths in them and in the shipped network; `limit` counts pairs.

    Raises:
        InputError: images, a classifier or a device are given, or more pairs are asked for than there are.
    """
    require_own_classifier(request, "trains its own trees on the digits")
    if request.limit is not None and request.limit < 2:
        raise InputError(f"--limit {request.limit} leaves nothing to compare; ask for at least 2 pairs")
    settings = SoftTreeSettings(seed=request.seed, pairs=request.limit or SoftTreeSettings().pairs)
    return study_soft_trees(settings, progress)


def study_soft_trees(settings: SoftTreeSettings, progress: ProgressCallback) -> StudyReport:
    """The study, on pairs of scans that both classifiers name correctly and on inputs optimised for each.

    Raises:
        InputError: there are fewer pairs than asked for.
    """
    started = time.perf_counter()
    classifiers: dict[str, Classifier] = {
        TREES: trained_trees(settings, progress),
        NETWORK: load_classifier("digits").classifier,
    }
    seconds = time.perf_counter() - started
    _, scans = load_digits_images()
    images = LabelledImages(images=scans.images, labels=scans.labels)
    is_correct = {
        name: predicted_labels(one, to_pixels(images.images)) == images.labels for name, one in classifiers.items()
    }
    pairs = same_label_pairs(images[is_correct[TREES] & is_correct[NETWORK]], settings.pairs, settings.seed)
    judged = {
        name: Judged(
            accuracy=is_correct[name].double().mean().item(),
            barriers={
                SCANS: bypassed(one, pairs, settings, progress),
                OPTIMISED: bypassed(one, optimised_pairs(one, settings), settings, progress),
            },
        )
        for name, one in classifiers.items()
    }
    return StudyReport(
        name="soft-trees",
        title="Paths through soft decision trees",
        lead=LEAD,
        facts=(
            ("ensemble", f"{settings.n_trees} trees of depth {settings.depth}, {settings.epochs} epochs"),
            *((f"accuracy of the {name} on held-out scans", f"{one.accuracy:.1%}") for name, one in judged.items()),
            ("pairs of scans", str(settings.pairs)),
            ("barrier that counts as none", f"{settings.flat:g} nats"),
            ("training", f"{seconds:.0f} s"),
        ),
        findings=findings_of(judged, settings.seed),
        plots=plots_of(judged),
        tables=(table_of(judged),),
        data=soft_trees_data(judged, settings),
    )


def bypassed(classifier: Classifier, pairs: Pairs, settings: SoftTreeSettings, progress: ProgressCallback) -> Barriers:
    """Search each pair twice from scratch, with one bend and with three."""
    potential = label_potential(PotentialKind.CROSS_ENTROPY, classifier, pairs.labels)
    once, twice = (
        search_paths(potential, pairs.starts, pairs.ends, Bypass(depth=depth), settings.search, progress)
        for depth in (1, 2)
    )
    return barriers_of(once, twice, settings.flat)
