"""What a study of barriers and their bypass says: used for small images and for photographs."""

import dataclasses

import numpy as np
from jaxtyping import Float64
from numpy import ndarray

from detector.evaluation.tables import Table, Value
from detector.search import SearchResult, SearchSettings
from detector.types import ProgressCallback
from service.studies.bypassing import GENTLE, ONCE, Bypassed, barriers_of, bypass_pairs
from service.studies.claims import as_data, figure_text, is_above, is_below, mean_estimate, share_estimate, share_text
from service.studies.plots import AxisStyle, Line, Scale, box_figure, histogram_figure, line_figure, quartiles
from service.studies.report import Finding, Plot, StudyReport, StudyRequest
from service.studies.subject import open_subject, same_label_pairs

PAPER = "Vrabel et al., ICLR 2025, arXiv 2409.05800"
IMAGES_PER_PAIR = 12
"""Held-out images that are read for each pair, so that every label has enough of them."""

FEWEST_IMAGES = 60
"""Read however few pairs are asked for."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class BypassDefaults:
    """What tells one such study from another.

    Attributes:
        classifier: None where only the user can name one.
        n_pairs: where no limit is given.
    """

    name: str
    title: str
    classifier: str | None
    n_pairs: int
    search: SearchSettings


def study_bypass(request: StudyRequest, progress: ProgressCallback, defaults: BypassDefaults) -> StudyReport:
    """Measure straight paths and both bypasses on pairs drawn at random, each image used once.

    Raises:
        InputError: classifier or images are missing, or too few.
    """
    n_pairs = request.limit or defaults.n_pairs
    subject = open_subject(
        request,
        classifier=defaults.classifier,
        n_images=max(FEWEST_IMAGES, n_pairs * IMAGES_PER_PAIR),
        progress=progress,
    )
    pairs = same_label_pairs(subject.images, n_pairs, request.seed)
    found = bypass_pairs(subject.classifier, pairs, defaults.search, progress)
    cost = found.forward_equivalents / len(pairs)
    return StudyReport(
        name=defaults.name,
        title=defaults.title,
        lead=(
            "Pairs of held-out images of one class, both classified correctly, are joined by a straight path. Its "
            "highest point is then moved aside, in the plane orthogonal to the path, to where the cross-entropy is "
            "lower; recursively, the same is done with both legs. A barrier is the rise above the higher end."
        ),
        facts=(
            *subject.facts,
            ("pairs", str(len(pairs))),
            ("forward equivalents a pair, all three searches", f"{cost:.0f}"),
            ("barrier that counts as none", f"{found.flat:g} nats"),
        ),
        findings=findings_of(found, request.seed),
        plots=_plots(found),
        tables=(_table(found),),
        data=_data(found, request.seed),
    )


def findings_of(found: Bypassed, seed: int) -> tuple[Finding, ...]:
    """Every claim, with the interval that decides it."""
    rises, once, twice = found.rises, barriers_of(found.once.barriers), barriers_of(found.twice.barriers)
    straight_share = share_estimate(int(rises.sum()), len(rises))
    removed = share_estimate(int((once[rises] <= found.flat).sum()), int(rises.sum()))
    is_left = rises & (once > found.flat)
    lowered = share_estimate(int((twice[is_left] < once[is_left]).sum()), int(is_left.sum()))
    n_left, n_left_twice = int(is_left.sum()), int((twice[rises] > found.flat).sum())
    return (
        Finding(
            claim=f"Straight paths between real images of one class rise above both ends ({PAPER}).",
            measured=(
                f"{share_text(straight_share)} of the straight paths have a barrier; mean "
                f"{np.mean(barriers_of(found.once.straight_barriers)):.3g} nats, median "
                f"{np.median(barriers_of(found.once.straight_barriers)):.3g}. Agrees if most do."
            ),
            agrees=is_above(straight_share, 0.5),
        ),
        Finding(
            claim=f"Images of one class are joined by paths of low loss; one optimised point suffices ({PAPER}).",
            measured=(
                f"One bypass removes {share_text(removed)} of the {int(rises.sum())} barriers. Agrees if it removes "
                "most of them."
            ),
            agrees=is_above(removed, 0.5),
        ),
        Finding(
            claim=f"Where one bypass leaves a barrier, bending both legs as well lowers it ({PAPER}).",
            measured=(
                f"One bypass leaves {n_left} of the barriers; {share_text(lowered)} of those are lower on the path "
                f"bent three times, with which {n_left_twice} remain in all. Agrees if most are lower."
            ),
            agrees=is_above(lowered, 0.5),
        ),
        _distance_finding(found, seed),
    )


def _distance_finding(found: Bypassed, seed: int) -> Finding:
    """How far the highest point moves, at two step sizes."""
    moved, gently = mean_estimate(found.moved, seed), mean_estimate(found.moved_gently, seed)
    n_moved, n_gently = (int(np.isfinite(values).sum()) for values in (found.moved, found.moved_gently))
    steps, gentle_steps = (f"{100 * method.rate:g} %" for method in (ONCE, GENTLE))
    follows = moved is not None and gently is not None and gently.upper < moved.lower / 2
    remark = " So the distance is the step size's more than the landscape's." if follows else ""
    return Finding(
        claim=f"The optimised point is near the interpolated one: 1 to 5 % of the pixel range ({PAPER}).",
        measured=(
            f"Where a bypass ends the barrier, the mean absolute difference is {figure_text(moved, ' %')} of the pixel "
            f"range in steps of {steps} ({n_moved} pairs), and {figure_text(gently, ' %')} in steps of {gentle_steps} "
            f"({n_gently} pairs).{remark} Agrees if the former is below 5 %."
        ),
        agrees=is_below(moved, 5),
    )


def _plots(found: Bypassed) -> tuple[Plot, ...]:
    groups = _groups(found)
    nats = AxisStyle(label="barrier, nats", scale=Scale.NEAR_LOG)
    lines = [_band(name, result, is_straight=name == "straight") for name, result in _results(found).items()]
    return (
        Plot(
            title="Barriers before and after",
            svg=box_figure(groups, axis=nats, label="Box plots of the barriers of each kind of path", prefix="box-"),
            note="Median, quartiles, 5th and 95th percentile; how many pairs in brackets.",
        ),
        Plot(
            title="The cross-entropy along the paths",
            svg=line_figure(
                lines,
                x=AxisStyle(label="position on the path"),
                y=AxisStyle(label="cross-entropy, nats", scale=Scale.NEAR_LOG),
                label="Median and quartiles of the cross-entropy along each kind of path",
                prefix="profile-",
            ),
            note="Median and quartiles over the pairs.",
        ),
        Plot(
            title="How far the highest point moved",
            svg=histogram_figure(
                {"steps of 1 %": found.moved, "steps of 0.1 %": found.moved_gently},
                axis=AxisStyle(label="mean absolute difference, % of the pixel range"),
                label="Histogram of how far the highest point moved",
                prefix="moved-",
            ),
            note="Pairs whose barrier one bypass ends, by the step size of the optimiser.",
        ),
    )


def _results(found: Bypassed) -> dict[str, SearchResult]:
    return {"straight": found.once, "bypass": found.once, "recursive bypass": found.twice}


def _groups(found: Bypassed) -> dict[str, Float64[ndarray, " pair"]]:
    return {
        "straight": barriers_of(found.once.straight_barriers),
        "bypass": barriers_of(found.once.barriers),
        "recursive bypass": barriers_of(found.twice.barriers),
    }


def _band(name: str, result: SearchResult, *, is_straight: bool) -> Line:
    profiles = (result.straight_profiles if is_straight else result.profiles).double().cpu().numpy()
    lower, median, upper = quartiles(profiles)
    return Line(name=name, x=np.linspace(0, 1, len(median)), y=median, lower=lower, upper=upper)


def _table(found: Bypassed) -> Table:
    costs = {"bypass": found.once, "recursive bypass": found.twice, "bypass, gentle steps": found.gentle}
    rows: list[tuple[Value, ...]] = []
    groups = _groups(found) | {"bypass, gentle steps": barriers_of(found.gentle.barriers)}
    for name, barriers in groups.items():
        spent = float(costs[name].forward_equivalents.double().mean()) if name in costs else None
        figures = (*np.quantile(barriers, [0.25, 0.5, 0.75]), barriers.mean(), barriers.max())
        rows.append((name, *map(float, figures), float((barriers <= found.flat).mean()), spent))
    return Table(
        title="Barriers of each kind of path, nats",
        columns=("path", "25 %", "median", "75 %", "mean", "highest", "none", "cost"),
        rows=tuple(rows),
        note=(
            "Quartiles; “none” is the share of pairs without a barrier; the cost is in forward equivalents a pair, a "
            "gradient counting three, and holds the straight path's own measurement."
        ),
    )


def _data(found: Bypassed, seed: int) -> dict[str, object]:
    return {
        "barriers": _groups(found),
        "moved_percent": found.moved,
        "moved_gently_percent": found.moved_gently,
        "moved_over_chord": found.moved_share,
        "mean_moved_percent": as_data(mean_estimate(found.moved, seed)),
        "mean_moved_gently_percent": as_data(mean_estimate(found.moved_gently, seed)),
        "profiles": {
            "straight": found.once.straight_profiles,
            "bypass": found.once.profiles,
            "recursive bypass": found.twice.profiles,
        },
        "outcomes": {
            "bypass": [str(outcome) for outcome in found.once.outcomes],
            "recursive bypass": [str(outcome) for outcome in found.twice.outcomes],
        },
        "forward_equivalents": {
            "bypass": found.once.forward_equivalents,
            "recursive bypass": found.twice.forward_equivalents,
        },
        "flat": found.flat,
    }
