"""What the study of attacked images' barriers says."""

import dataclasses
from collections.abc import Mapping

import numpy as np
import torch
from jaxtyping import Float64
from numpy import ndarray

from detector.curvature import rank_correlation
from detector.evaluation.metrics import Estimate
from detector.evaluation.tables import Table, Value
from service.studies.claims import all_of, as_data, bootstrap, figure_text, is_above
from service.studies.plots import AxisStyle, Scale, box_figure, interval_figure
from service.studies.report import Finding, Plot, StudyReport

REFERENCE = "clean"
PAPER = "Vrabel et al., ICLR 2025, arXiv 2409.05800"


@dataclasses.dataclass(frozen=True, kw_only=True)
class PathFigures:
    """Of one straight path an image, in nats: its barrier, its highest point, the image itself, and the midpoint."""

    barriers: Float64[ndarray, " image"]
    highest: Float64[ndarray, " image"]
    at_image: Float64[ndarray, " image"]
    midway: Float64[ndarray, " image"]

    def by_name(self) -> dict[str, Float64[ndarray, " image"]]:
        """As tables call them."""
        return {"barrier": self.barriers, "highest": self.highest, "image alone": self.at_image}


@dataclasses.dataclass(frozen=True, kw_only=True)
class AttackedBarriers:
    """What was measured.

    Attributes:
        groups: by attack, the clean images first.
        success: share of the images tried that each attack fooled the classifier with.
        aurocs: by attack and kind of figure, against the clean images; none for an attack that hardly ever succeeds.
    """

    groups: Mapping[str, PathFigures]
    success: Mapping[str, float]
    aurocs: Mapping[str, Mapping[str, Estimate]]
    n_tried: int
    n_references: int


def report_of(found: AttackedBarriers, facts: tuple[tuple[str, str], ...], seed: int) -> StudyReport:
    """Sentences, plots and tables."""
    return StudyReport(
        name="attacked-barriers",
        title="Barriers of attacked images against those of clean ones",
        lead=(
            "A straight path leads from each image to a real one of the label that the classifier names: for clean "
            "images their own, for attacked ones the label they feign. Measured are the highest cross-entropy on the "
            "path and the barrier, its rise above the higher end. An AUROC above ½ means that attacked images have "
            "more."
        ),
        facts=(
            *facts,
            ("clean images", str(len(found.groups[REFERENCE].barriers))),
            ("images that each attack was run on", str(found.n_tried)),
            ("references to draw from", str(found.n_references)),
        ),
        findings=findings_of(found, seed),
        plots=_plots(found),
        tables=tuple(_table(found, kind) for kind in ("barrier", "highest", "image alone")),
        data=_data(found, seed),
    )


def findings_of(found: AttackedBarriers, seed: int) -> tuple[Finding, ...]:
    """Both statistics, attack by attack, and what confidence has to do with them."""
    correlation = confidence_correlation(found, seed)
    names = {"barrier": "Barriers", "highest": "The highest losses"}
    return (
        *(
            Finding(
                claim=f"{words} on straight real–adversarial paths are larger than on real–real ones ({PAPER}).",
                measured=_by_attack(found, kind),
                agrees=all_of([is_above(figures[kind], 0.5) for figures in found.aurocs.values()]),
            )
            for kind, words in names.items()
        ),
        Finding(
            claim="The surer the classifier is of an attacked image, the lower its path (this project's observation).",
            measured=(
                "Rank correlation of the attacked image's own cross-entropy with that halfway along its path: "
                f"{figure_text(correlation)}, over all attacks together. Agrees if it is positive."
            ),
            agrees=is_above(correlation, 0),
        ),
    )


def confidence_correlation(found: AttackedBarriers, seed: int) -> Estimate | None:
    """Spearman's, over the attacked images of all attacks, of their own cross-entropy and that midway."""
    attacked = [figures for name, figures in found.groups.items() if name != REFERENCE]
    at_image = np.concatenate([figures.at_image for figures in attacked])
    midway = np.concatenate([figures.midway for figures in attacked])

    def correlation(drawn: np.ndarray) -> float:
        return rank_correlation(torch.from_numpy(at_image[drawn]), torch.from_numpy(midway[drawn]))

    return bootstrap(correlation, len(at_image), seed)


def _by_attack(found: AttackedBarriers, kind: str) -> str:
    """E.g. "AUROC above ½ for df .95 (.92 to .97); not for pgd8 .41 (.36 to .46); not settled for none"."""
    parts: dict[bool | None, list[str]] = {True: [], False: [], None: []}
    for name, figures in found.aurocs.items():
        parts[is_above(figures[kind], 0.5)].append(f"{name} {figure_text(figures[kind])}")
    larger, smaller, open_ = (", ".join(parts[verdict]) or "none" for verdict in (True, False, None))
    alone = ", ".join(f"{name} {figures['image alone'].value:.3g}" for name, figures in found.aurocs.items())
    return (
        f"AUROC above ½ for: {larger}. Below ½, so smaller than for clean images: {smaller}. Not settled: {open_}. "
        f"Agrees if all are above. The image's own cross-entropy, without a path, gives {alone or 'nothing'}."
    )


def _plots(found: AttackedBarriers) -> tuple[Plot, ...]:
    boxes = []
    for kind, title in (("barrier", "Barriers"), ("highest", "Highest cross-entropy on the path")):
        groups = {name: figures.by_name()[kind] for name, figures in found.groups.items()}
        svg = box_figure(
            groups,
            axis=AxisStyle(label=f"{title.lower()}, nats", scale=Scale.NEAR_LOG),
            label=f"{title} by attack, as box plots",
            prefix=f"{kind}-",
        )
        note = "Median, quartiles, 5th and 95th percentile; dotted: the clean median; how many images in brackets."
        boxes.append(Plot(title=title, svg=svg, note=note))
    svg = interval_figure(
        found.aurocs,
        reference=0.5,
        axis=AxisStyle(label="AUROC against clean images"),
        label="AUROC of barrier, highest cross-entropy and the image's own, by attack, with intervals",
        prefix="auroc-",
    )
    return (*boxes, Plot(title="How well each figure alone tells them apart", svg=svg, note="With 95 % intervals."))


def _table(found: AttackedBarriers, kind: str) -> Table:
    titles = {
        "barrier": "Barriers, nats",
        "highest": "Highest cross-entropy on the path, nats",
        "image alone": "Cross-entropy of the image alone, nats",
    }
    rows: list[tuple[Value, ...]] = []
    for name, figures in found.groups.items():
        values = figures.by_name()[kind]
        quantiles = [float(value) for value in np.quantile(values, [0.25, 0.5, 0.75])] if len(values) else [None] * 3
        estimate = found.aurocs[name][kind] if name in found.aurocs else None
        auroc = (None, None) if estimate is None else (estimate.value, f"{estimate.lower:.3f}–{estimate.upper:.3f}")
        rows.append((name, len(values), found.success.get(name), *quantiles, *auroc))
    return Table(
        title=titles[kind],
        columns=("images", "n", "success", "25 %", "median", "75 %", "AUROC", "95 % interval"),
        rows=tuple(rows),
        note="Quartiles over one path an image; AUROC against the clean images.",
    )


def _data(found: AttackedBarriers, seed: int) -> dict[str, object]:
    return {
        "groups": {name: figures.by_name() | {"midway": figures.midway} for name, figures in found.groups.items()},
        "success_rate": found.success,
        "auroc": {
            name: {kind: as_data(estimate) for kind, estimate in figures.items()}
            for name, figures in found.aurocs.items()
        },
        "confidence_correlation": as_data(confidence_correlation(found, seed)),
    }
