"""What the study of barriers during training says."""

import dataclasses

import numpy as np
from jaxtyping import Bool, Float64
from numpy import ndarray

from detector.evaluation.metrics import Estimate
from detector.evaluation.tables import Table
from service.studies.claims import (
    all_of,
    as_data,
    bootstrap,
    figure_text,
    is_above,
    is_below,
    mean_estimate,
    share_estimate,
    share_text,
)
from service.studies.plots import AxisStyle, Line, Scale, line_figure
from service.studies.report import Finding, Plot, StudyReport

PAPER = "Vrabel et al., ICLR 2025, arXiv 2409.05800"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Snapshot:
    """The network after so many steps of training; barriers in nats, one a pair.

    Attributes:
        ends: cross-entropy of the higher end of each pair.
        moved: of the highest point, mean absolute, in % of the pixel range; NaN where the bypass ends no barrier.
        flat: barrier that counts as none.
    """

    step: int
    accuracy: float
    straight: Float64[ndarray, " pair"]
    bypassed: Float64[ndarray, " pair"]
    ends: Float64[ndarray, " pair"]
    moved: Float64[ndarray, " pair"]
    flat: float

    @property
    def rises(self) -> Bool[ndarray, " pair"]:
        """Pairs whose straight path has a barrier."""
        return self.straight > self.flat

    @property
    def removed(self) -> Estimate | None:
        """Share of the barriers that the bypass removes."""
        return share_estimate(int((self.bypassed[self.rises] <= self.flat).sum()), int(self.rises.sum()))


def report_of(snapshots: tuple[Snapshot, ...], facts: tuple[tuple[str, str], ...], seed: int) -> StudyReport:
    """Sentences, plots and a table."""
    return StudyReport(
        name="training",
        title="Barriers within a class while a classifier is trained",
        lead=(
            "A classifier is trained anew and kept at several stages, the first before any training. At each, the same "
            "pairs of held-out images of one class are joined by a straight path and by its recursive bypass. Unlike "
            "elsewhere the pairs are not chosen by what the classifier makes of them, as at first it knows nothing."
        ),
        facts=(*facts, ("barrier that counts as none", f"{snapshots[0].flat:g} nats")),
        findings=findings_of(snapshots, seed),
        plots=_plots(snapshots, seed),
        tables=(_table(snapshots),),
        data=_data(snapshots, seed),
    )


def findings_of(snapshots: tuple[Snapshot, ...], seed: int) -> tuple[Finding, ...]:
    """What is there before training, and what training adds."""
    first, last = snapshots[0], snapshots[-1]
    growth = _difference(last.straight, first.straight, seed)
    moved_first, moved_last = mean_estimate(first.moved, seed), mean_estimate(last.moved, seed)
    stages = "; ".join(f"step {one.step}: {share_text(one.removed)} of {int(one.rises.sum())}" for one in snapshots)
    return (
        Finding(
            claim=f"Inputs of one class are connected in untrained networks already ({PAPER}).",
            measured=(
                f"Untrained, {int(first.rises.sum())} of {len(first.straight)} straight paths have a barrier, mean "
                f"{first.straight.mean():.3g} nats; a recursive bypass removes {share_text(first.removed)} of them. "
                f"All of this lies high, at {first.ends.mean():.3g} nats on average, as an untrained network knows no "
                "label. Agrees if it removes most; without barriers there is nothing to see."
            ),
            agrees=is_above(first.removed, 0.5) if first.rises.any() else None,
        ),
        Finding(
            claim=f"Inputs of one class are connected at every stage of training ({PAPER}, for its two ends).",
            measured=f"Barriers that a recursive bypass removes: {stages}. Agrees if at every stage most.",
            agrees=all_of([is_above(one.removed, 0.5) if one.rises.any() else None for one in snapshots]),
        ),
        Finding(
            claim="Training is what raises the barriers of straight paths (a question of this project's own).",
            measured=(
                f"From {first.straight.mean():.3g} nats untrained, at an accuracy of {100 * first.accuracy:.1f} %, the "
                f"mean barrier goes to {last.straight.mean():.3g} at {100 * last.accuracy:.1f} %: a change of "
                f"{figure_text(growth)}. Agrees if it rises."
            ),
            agrees=is_above(growth, 0),
        ),
        Finding(
            claim=f"In trained networks the path deviates only little from a straight one ({PAPER}: 1 to 5 %).",
            measured=(
                "In steps of 1 %, the first of which moves nearly every pixel by as much, the highest point moves by "
                f"{figure_text(moved_last, ' %')} of the pixel range where a barrier of the trained network ends, by "
                f"{figure_text(moved_first, ' %')} untrained. Agrees if the former is below 5 %."
            ),
            agrees=is_below(moved_last, 5),
        ),
    )


def _difference(after: Float64[ndarray, " pair"], before: Float64[ndarray, " pair"], seed: int) -> Estimate | None:
    """Mean change over the same pairs."""
    change = after - before
    return bootstrap(lambda drawn: float(change[drawn].mean()), len(change), seed)


def _plots(snapshots: tuple[Snapshot, ...], seed: int) -> tuple[Plot, ...]:
    accuracies = np.array([one.accuracy for one in snapshots])
    across = AxisStyle(label="accuracy on held-out images")
    kinds = {
        "straight": [mean_estimate(one.straight, seed) for one in snapshots],
        "recursive bypass": [mean_estimate(one.bypassed, seed) for one in snapshots],
    }
    by_step = [_line(name, _steps(snapshots), estimates) for name, estimates in kinds.items()]
    by_accuracy = [_line(name, accuracies, estimates) for name, estimates in kinds.items()]
    up = AxisStyle(label="mean barrier, nats", scale=Scale.NEAR_LOG)
    note = "Mean over the pairs, with 95 % intervals."
    return (
        Plot(
            title="Barriers by steps of training",
            svg=line_figure(
                by_step,
                x=AxisStyle(label="steps, the untrained network at 1", scale=Scale.LOG),
                y=up,
                label="Mean barrier, straight and after the bypass, by steps of training",
                prefix="steps-",
            ),
            note=note,
        ),
        Plot(
            title="Barriers by accuracy",
            svg=line_figure(by_accuracy, x=across, y=up, label="Mean barrier by accuracy", prefix="accuracy-"),
            note=note,
        ),
        Plot(
            title="Accuracy by steps of training",
            svg=line_figure(
                [Line(name="accuracy", x=_steps(snapshots), y=accuracies)],
                x=AxisStyle(label="steps, the untrained network at 1", scale=Scale.LOG),
                y=AxisStyle(label="accuracy"),
                label="Accuracy on held-out images by steps of training",
                prefix="learning-",
            ),
        ),
    )


def _steps(snapshots: tuple[Snapshot, ...]) -> Float64[ndarray, " snapshot"]:
    """Steps from 1 on, as a logarithmic axis has no place for zero."""
    return np.array([max(1.0, float(one.step)) for one in snapshots])


def _line(name: str, x: Float64[ndarray, " snapshot"], estimates: list[Estimate | None]) -> Line:
    nothing = Estimate(np.nan, np.nan, np.nan)
    known = [estimate or nothing for estimate in estimates]
    return Line(
        name=name,
        x=x,
        y=np.array([one.value for one in known]),
        lower=np.array([one.lower for one in known]),
        upper=np.array([one.upper for one in known]),
    )


def _table(snapshots: tuple[Snapshot, ...]) -> Table:
    return Table(
        title="The same pairs at each stage of training",
        columns=("step", "accuracy", "ends", "straight", "bypass", "left", "rising", "removed", "moved, %"),
        rows=tuple(
            (
                one.step,
                one.accuracy,
                float(one.ends.mean()),
                float(one.straight.mean()),
                float(one.bypassed.mean()),
                float(one.bypassed.mean() / one.straight.mean()) if one.rises.any() else None,
                float(one.rises.mean()),
                None if one.removed is None else one.removed.value,
                float(np.nanmean(one.moved)) if np.isfinite(one.moved).any() else None,
            )
            for one in snapshots
        ),
        note=(
            "Means: cross-entropy of the higher end, barrier of the straight path and after the bypass, nats; the "
            "last over the one before; share of paths that have a barrier; of those that it removes; how far the "
            "highest point moves where it does, in steps of 1 % of the pixel range."
        ),
    )


def _data(snapshots: tuple[Snapshot, ...], seed: int) -> dict[str, object]:
    return {
        "snapshots": [dataclasses.asdict(one) | {"removed": as_data(one.removed)} for one in snapshots],
        "growth": as_data(_difference(snapshots[-1].straight, snapshots[0].straight, seed)),
    }
