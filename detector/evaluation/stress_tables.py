"""What a detector does with corrupted images and with attacks that know it, as tables."""

from collections.abc import Sequence

from detector.evaluation.adaptive import AdaptiveFigures
from detector.evaluation.benign import BenignFigures
from detector.evaluation.judgements import FalsePositives
from detector.evaluation.result_tables import LENIENT, STRICT, interval_text, realised
from detector.evaluation.tables import Table, Value


def benign_table(benign: Sequence[BenignFigures]) -> Table:
    """One row a corruption and severity: false positives at both nominal rates."""
    rows = [
        (
            str(found.corruption),
            found.severity,
            found.n,
            found.still_right,
            *_flagged(realised(found.false_positives, LENIENT)),
            *_flagged(realised(found.false_positives, STRICT)),
        )
        for found in benign
    ]
    return Table(
        title="Corrupted natural images",
        columns=(
            "corruption",
            "severity",
            "images",
            "still classified correctly",
            "flagged at 5 %",
            "95 % interval",
            "flagged at 1 %",
            "95 % interval",
        ),
        rows=tuple(rows),
        note="Nobody attacked these images: what is flagged is a false alarm. Counted among images that the classifier "
        "still gets right. p-values rest on images as they are, so the promised rate does not cover these.",
    )


def _flagged(found: FalsePositives | None) -> tuple[Value, Value]:
    return (found.realised.value, interval_text(found.realised)) if found else (None, None)


def adaptive_table(adaptive: Sequence[AdaptiveFigures]) -> Table:
    """One row an attack that knows the detector: what it reached, and whether it tried hard enough to tell."""
    rows = [
        (
            found.title,
            found.radius * 255,
            found.n,
            found.reached.value,
            found.evaded[LENIENT].value,
            interval_text(found.evaded[LENIENT]),
            found.evaded[STRICT].value,
            found.evaded_rounded,
            found.undefended,
            found.first_loss,
            found.last_loss,
        )
        for found in adaptive
    ]
    return Table(
        title="Targets reached, and reached without being flagged",
        columns=(
            "attack",
            "ε / 255",
            "images",
            "target reached",
            "SR@5",
            "95 % interval",
            "SR@1",
            "SR@5, 8 bits",
            "undefended",
            "loss, first step",
            "loss, last step",
        ),
        rows=tuple(rows),
        note="SR@5 and SR@1: share of targets reached and not flagged at 5 % and 1 % false positives, lower is better; "
        "“8 bits”: the same after rounding as an image file does. Each image has one target label (any other will do "
        "for untargeted attacks), and the attacker knows everything but random draws. “Undefended” is what the same "
        "attack with the same budget reaches where nothing is defended. An attack that fails there, or whose loss does "
        "not fall, says nothing.",
    )
