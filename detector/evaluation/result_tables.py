"""What detectors found on natural and attacked images, as tables: one function a table."""

from collections.abc import Mapping, Sequence

from detector.evaluation.attacked import AttackedImages
from detector.evaluation.attacks import AttackSpec
from detector.evaluation.judgements import RATES, FalsePositives
from detector.evaluation.metrics import Estimate
from detector.evaluation.results import MIN_SUCCESSES, AttackFigures, DetectorFigures
from detector.evaluation.tables import Table, Value

STRICT, LENIENT = RATES
"""Nominal false-positive rates; the second is that of summaries."""


def interval_text(estimate: Estimate) -> str:
    """A 95 % interval, e.g. "0.912 to 0.947"."""
    return f"{estimate.lower:.3f} to {estimate.upper:.3f}"


def realised(found: Sequence[FalsePositives], rate: float = LENIENT) -> FalsePositives | None:
    """What was measured at one nominal rate; None where there were no images."""
    return next((one for one in found if one.nominal == rate), None)


def attack_table(figures: DetectorFigures) -> Table:
    """One row an attack: how it was seen by one detector."""
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
        rows=tuple(_attack_row(name, row) for name, row in figures.attacks.items()),
        note=f"{figures.forward_equivalents:.3g} forward passes a clean image. Thresholds are the calibrated ones. "
        "The barrier alone is the AUROC of this bundle's cross-entropy barrier, uncalibrated. "
        f"The true label is looked for among flagged images.{_note_on_few(figures)}",
    )


def _attack_row(name: str, row: AttackFigures) -> tuple[Value, ...]:
    return (
        name,
        row.n,
        row.success_rate,
        row.mean_l2,
        row.mean_linf * 255,
        row.auroc.value,
        interval_text(row.auroc),
        row.tpr[STRICT].value,
        row.tpr[LENIENT].value,
        row.barrier_auroc,
        None if row.recovered is None else row.recovered.value,
    )


def _note_on_few(figures: DetectorFigures) -> str:
    few = [name for name in figures.attacks if name not in figures.counted]
    if not few:
        return ""
    return f" Fewer than {MIN_SUCCESSES} successes, and so left out of mean and worst: {', '.join(few)}."


def natural_table(figures: DetectorFigures) -> Table:
    """False positives on natural images, asked for and realised."""
    rows = [
        (
            group,
            f"{100 * found.nominal:g} %",
            found.n,
            found.realised.value,
            interval_text(found.realised),
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


def attack_run_table(specs: Sequence[AttackSpec], attacked: Mapping[str, AttackedImages]) -> Table:
    """What each name stands for, how many images the attack was run on, and what it left in 8-bit files."""
    rows = [
        (
            spec.name,
            spec.title,
            attacked[spec.name].n_tried,
            len(attacked[spec.name].sources),
            attacked[spec.name].n_invalid,
            attacked[spec.name].survives_rounding if len(attacked[spec.name].sources) else None,
            attacked[spec.name].seconds,
        )
        for spec in specs
        if spec.name in attacked
    ]
    return Table(
        title="What was run",
        columns=("attack", "what it is", "tried on", "succeeded on", "dropped", "survives rounding", "seconds"),
        rows=tuple(rows),
        note="Attacks see the classifier alone. What is not finite or leaves [0, 1] is dropped. “Survives rounding” is "
        "the share of successes that still fool the classifier when rounded to 8 bits a pixel, as an image file does.",
    )


def skipped_table(titles: Mapping[str, str], skipped: Mapping[str, str]) -> Table:
    """The attacks that gave no images to judge, and why.

    Args:
        titles: what attacks are, by name; one that is not among them is told by its name alone.
    """
    return Table(
        title="Attacks that were skipped",
        columns=("attack", "what it is", "reason"),
        rows=tuple((name, titles.get(name), reason) for name, reason in skipped.items()),
        note="They count in no figure of this page.",
    )


def comparison_table(all_figures: Sequence[DetectorFigures]) -> Table:
    """One row a detector: cost and summary over all attacks."""
    rows = [
        (
            figures.name,
            figures.forward_equivalents,
            figures.images_per_second,
            figures.mean_auroc,
            figures.worst_auroc,
            figures.mean_tpr(LENIENT),
            figures.worst_case.auroc.value if figures.worst_case else None,
            figures.worst_case.tpr[LENIENT].value if figures.worst_case else None,
            found.realised.value if (found := realised(figures.clean)) else None,
        )
        for figures in all_figures
    ]
    return Table(
        title="All detectors on the same images",
        columns=(
            "detector",
            "passes",
            "images/s",
            "mean AUROC",
            "worst AUROC",
            "mean flagged at 5 %",
            "worst-case AUROC",
            "worst case flagged at 5 %",
            "clean flagged at 5 %",
        ),
        rows=tuple(rows),
        note="In the worst case over attacks each source image counts by the attack on it that scores lowest.",
    )
