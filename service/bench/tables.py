"""The three tables of a benchmark, and what is said below them."""

from collections.abc import Sequence

from detector.evaluation.tables import Table, Value
from service.bench.contenders import MadeUp
from service.bench.machine import is_busy
from service.bench.measuring import Result
from service.bench.peer_comparison import ComparedPeer
from service.bench.scaling import Axis, Measured, Sweep

LARGEST_SPREAD = 0.15
"""Interquartile range ÷ median beyond which a run counts as disturbed."""

MEBIBYTE = 2**20


def speed_table(results: Sequence[Result]) -> Table:
    """How fast each contender is."""
    rows = [
        (
            _name(result, results),
            figure(result.timing.images_per_second),
            f"{result.relative:.3g}×",
            percentage(result.timing.spread),
            f"{result.latency.p50:.3g}",
            f"{result.latency.p99:.3g}",
            _peak(result),
        )
        for result in results
    ]
    columns = ("bundle", "images/s", "ratio", "spread", "p50, ms", "p99, ms", "peak, MiB")
    return Table(title=f"Speed{_common_place(results)}", columns=columns, rows=tuple(rows), note="")


def roofline_table(results: Sequence[Result]) -> Table:
    """How much of that is the classifier's own time."""
    rows = [
        (
            _name(result, results),
            f"{result.passes.taken:.3g}",
            f"{result.passes.expected:.3g}",
            f"{result.passes.most:.3g}",
            figure(result.forward.images_per_second),
            figure(result.forward.images_per_second / result.passes.taken),
            percentage(result.roofline_share),
        )
        for result in results
    ]
    columns = ("bundle", "passes", "clean", "most", "bare/s", "limit/s", "share")
    return Table(title="Against the bare classifier", columns=columns, rows=tuple(rows), note="")


def peer_table(peers: Sequence[ComparedPeer]) -> Table:
    """What others cost, and how well they tell, beside ours."""
    rows = [
        (
            peer.name,
            peer.source,
            _auroc(peer),
            figure(peer.forward_equivalents),
            figure(peer.timing.milliseconds_per_image),
            percentage(peer.timing.spread),
            f"{figure(peer.times_ours)}×",
        )
        for peer in peers
    ]
    columns = ("detector", "source", "AUROC (95 %)", "passes", "ms an image", "spread", "time ÷ ours")
    return Table(title="Peers", columns=columns, rows=tuple(rows), note="")


def scaling_table(sweeps: Sequence[Sweep]) -> Table:
    """Every point of every sweep, and the power of what is varied that its cost follows."""
    rows: list[tuple[Value, ...]] = []
    for sweep in sweeps:
        first = sweep.measured[0]
        for one in sweep.measured:
            is_last = one is sweep.measured[-1]
            rows.append(
                (
                    str(sweep.axis) if one is first else "",
                    _setting(sweep.axis, one),
                    one.forward_equivalents,
                    f"{one.timing.milliseconds_per_image:.4g}",
                    f"{1000 * one.point.images / one.timing.images_per_second:.4g}",
                    percentage(one.timing.spread),
                    f"×{sweep.growth:.3g} → ×{sweep.ratio:.3g}" if is_last else None,
                    f"{sweep.exponent:.2f}" if is_last else None,
                )
            )
    columns = ("varied", "at", "passes", "ms an image", "ms a call", "spread", "x → cost", "exponent")
    return Table(title="Scaling", columns=columns, rows=tuple(rows), note="")


SCALING_NOTE = (
    "Scaling: ResNet-20 with random weights and a made-up bundle of the preset fast, on noise. x: images, forward "
    "passes (of more prototypes), labels, pixels; x → cost: how many times as large x, and the cost, is at the last "
    "row as at the first; exponent: p of the cost ∝ xᵖ that fits best, 1 is linear and 0 is flat. The cost is that of "
    "the whole call where images are varied, and that of one image elsewhere."
)
PEER_NOTE = (
    "Peers: on the classifier and images of the first calibrated bundle; AUROC on images that nothing was fitted on, "
    "only where --images gives them, the mean over attacks. passes: of the classifier, a backward counted as two."
)


def sources(peers: Sequence[ComparedPeer]) -> list[str]:
    """Where each peer comes from, and on how few images it was scored where it was on few."""
    few = {peer.name: "" if peer.n_scored is None else f"; scored on {peer.n_scored} images" for peer in peers}
    return [f"{peer.name}: {peer.source}{few[peer.name]}" for peer in peers]


def percentage(share: float | None) -> str | None:
    """A share for a table."""
    return None if share is None else f"{100 * share:.0f} %"


def is_disturbed(spreads: Sequence[float | None]) -> bool:
    """Whether what was timed varied too much from round to round."""
    return any(spread is not None and spread > LARGEST_SPREAD for spread in spreads)


def disturbance(others: float | None, cores: int, spreads: Sequence[float | None]) -> str | None:
    """What is said of a run on a busy machine; None where nothing disturbed it."""
    reasons = []
    if is_busy(others, cores):
        reasons.append(f"others kept {others:.1f} of {cores} cores busy")
    if is_disturbed(spreads):
        largest = max(spread for spread in spreads if spread is not None)
        reasons.append(f"the spread was up to {100 * largest:.0f} %")
    if not reasons:
        return None
    return (
        f"The machine was busy ({' and '.join(reasons)}): images/s and milliseconds are lower bounds of its speed. "
        "Ratios and roofline shares are of neighbours within a round, which takes most of that out."
    )


def notes(results: Sequence[Result], images: str | None, rounds: int, threads: int) -> list[str]:
    """What the figures of the first table mean."""
    said = [
        f"Medians over {rounds} rounds in turns, {threads} thread{'s' if threads > 1 else ''}; spread: interquartile "
        "range ÷ median. ratio: images/s ÷ those of the first row, within a round. p50, p99: of images judged one by "
        "one. peak: of a whole process that did nothing else (on a GPU, of torch's memory there). passes: forward "
        "passes an image in this run; clean: on clean images, as calibration measured; most: of one that is measured "
        "in full. bare/s: passes a second of the classifier alone; limit/s: bare/s ÷ passes; share: images/s ÷ "
        "limit/s, within a round."
    ]
    if images is None:
        said.append("Images are noise: bundles that let clean images leave early measure nearly all of them in full.")
    if any(isinstance(result.contender.subject, MadeUp) for result in results):
        said.append(
            "* made up: random values in the shapes that calibration with that preset gives, without an auxiliary "
            "classifier; it costs what a real one costs, and its verdicts mean nothing."
        )
    return said


def figure(value: float) -> str:
    """A rate for a table."""
    return f"{value:,.0f}" if value >= 1000 else f"{value:.3g}"


def _name(result: Result, results: Sequence[Result]) -> str:
    mark = " *" if isinstance(result.contender.subject, MadeUp) else ""
    place = "" if _common_place(results) else f", {_place(result)}"
    return f"{result.contender.subject.name}{mark}{place}"


def _common_place(results: Sequence[Result]) -> str:
    """Said once where it is the same for all rows."""
    places = {_place(result) for result in results}
    return f", {places.pop()}" if len(places) == 1 else ""


def _place(result: Result) -> str:
    return f"{result.contender.device} {result.contender.runtime}"


def _peak(result: Result) -> str | None:
    if result.peak is None:
        return None
    n_bytes = result.peak.peak_bytes if result.peak.gpu_bytes is None else result.peak.gpu_bytes
    return None if n_bytes is None else f"{n_bytes / MEBIBYTE:,.0f}"


def _auroc(peer: ComparedPeer) -> str | None:
    if peer.auroc is None:
        return None
    value, low, high = peer.auroc["mean"]
    return f"{value:.3f} ({low:.3f}–{high:.3f})"


def _setting(axis: Axis, one: Measured) -> str:
    if axis is Axis.IMAGE_SIZE:
        return f"{one.point.size}×{one.point.size}"
    return f"{one.point.along(axis):g}"
