"""What the study of soft trees says: sentences, plots and table."""

import dataclasses
from collections.abc import Mapping

import numpy as np
from jaxtyping import Float64
from numpy import ndarray
from scipy.stats import spearmanr

from detector.evaluation.metrics import Estimate
from detector.evaluation.tables import Table, Value
from detector.search import SearchResult
from service.studies.claims import all_of, as_data, bootstrap, figure_text, is_above, share_estimate, share_text
from service.studies.plots import AxisStyle, Scale, box_figure, scatter_figure
from service.studies.report import Finding, Plot
from service.studies.soft_trees_making import SoftTreeSettings

TREES, NETWORK = "soft trees", "network"
SCANS, OPTIMISED = "scans", "optimised inputs"
PAPER = "Vrabel et al., ICLR 2025, arXiv 2409.05800"
TREE_PAPER = "Kanoh & Sugiyama 2024, arXiv 2405.14596"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Barriers:
    """Barriers of the same pairs, in nats.

    Attributes:
        once: after one bypass.
        twice: after one of each leg, too.
        flat: barrier that counts as none.
        forward_equivalents: that both searches cost.
    """

    straight: Float64[ndarray, " pair"]
    once: Float64[ndarray, " pair"]
    twice: Float64[ndarray, " pair"]
    flat: float
    forward_equivalents: int

    @property
    def by_path(self) -> dict[str, Float64[ndarray, " pair"]]:
        """By the kind of path."""
        return {"straight": self.straight, "bypass": self.once, "recursive bypass": self.twice}


def barriers_of(once: SearchResult, twice: SearchResult, flat: float) -> Barriers:
    """What two searches of the same pairs found."""
    spent = once.forward_equivalents.sum() + twice.forward_equivalents.sum()
    straight, bent, bent_twice = (
        values.double().cpu().numpy() for values in (once.straight_barriers, once.barriers, twice.barriers)
    )
    return Barriers(straight=straight, once=bent, twice=bent_twice, flat=flat, forward_equivalents=int(spent))


@dataclasses.dataclass(frozen=True, kw_only=True)
class Judged:
    """One classifier: its accuracy on the held-out scans, and the barriers between pairs of each kind of input."""

    accuracy: float
    barriers: Mapping[str, Barriers]


def rising_share(found: Barriers) -> Estimate | None:
    """Share of pairs whose straight path has a barrier."""
    return share_estimate(int((found.straight > found.flat).sum()), len(found.straight))


def joined_share(found: Barriers) -> Estimate | None:
    """Share of all pairs that a path without a barrier joins, straight or bent."""
    lowest = np.minimum(np.minimum(found.once, found.twice), found.straight)
    return share_estimate(int((lowest <= found.flat).sum()), len(lowest))


def agreement(judged: Mapping[str, Judged], seed: int) -> Estimate | None:
    """Spearman's rank correlation of the straight barriers of the same pairs of scans in both classifiers."""
    trees, network = (judged[name].barriers[SCANS].straight for name in (TREES, NETWORK))

    def correlation(drawn: ndarray) -> float:
        if len(np.unique(trees[drawn])) < 2 or len(np.unique(network[drawn])) < 2:
            return float("nan")
        return float(spearmanr(trees[drawn], network[drawn]).statistic)

    return bootstrap(correlation, len(trees), seed)


def findings_of(judged: Mapping[str, Judged], seed: int) -> tuple[Finding, ...]:
    """Every claim, with the interval that decides it."""
    joined = {(name, kind): joined_share(found) for name, one in judged.items() for kind, found in one.barriers.items()}
    rising = {(name, kind): rising_share(found) for name, one in judged.items() for kind, found in one.barriers.items()}
    correlation = agreement(judged, seed)
    return (
        Finding(
            claim="Connectivity is not a property of neural networks alone; ensembles of soft trees have it "
            f"({TREE_PAPER}, who join weights where inputs are joined here).",
            measured="With a recursive bypass where the straight path rises, which the next finding counts, no barrier "
            f"is left for {_listed(joined)}. Agrees if for most pairs of both kinds in the trees.",
            agrees=all_of([is_above(joined[TREES, kind], 0.5) for kind in (SCANS, OPTIMISED)]),
        ),
        Finding(
            claim=f"Straight paths between inputs of one label rise above both ends ({PAPER}, of networks).",
            measured=f"A straight path rises for {_listed(rising)}. Agrees if most do in the trees: otherwise these "
            "have nothing in the way that a bypass could avoid.",
            agrees=all_of([is_above(rising[TREES, kind], 0.5) for kind in (SCANS, OPTIMISED)]),
        ),
        Finding(
            claim=f"Connectivity in input space is an effect of geometry rather than of the architecture ({PAPER}, "
            "as a conjecture).",
            measured="The straight barriers of the same scans in the two classifiers have a rank correlation of "
            f"{figure_text(correlation)}. Agrees if it is positive beyond the interval: what lies between two images "
            "would then be in the way of both.",
            agrees=is_above(correlation, 0),
        ),
    )


def _listed(shares: Mapping[tuple[str, str], Estimate | None]) -> str:
    return "; ".join(
        f"{share_text(share)} of the pairs of {kind} in the {name}" for (name, kind), share in shares.items()
    )


def plots_of(judged: Mapping[str, Judged]) -> tuple[Plot, ...]:
    """Box plots for each kind of input, and the same pairs in both classifiers."""
    nats = AxisStyle(label="barrier, nats", scale=Scale.NEAR_LOG)
    boxes = [
        Plot(
            title=f"Barriers between {kind}",
            svg=box_figure(
                {
                    f"{name}, {path}": values
                    for name, one in judged.items()
                    for path, values in one.barriers[kind].by_path.items()
                },
                axis=nats,
                label=f"Box plots of the barriers between {kind}, by classifier and path",
                prefix=f"box-{index}-",
            ),
            note="Median, quartiles, 5th and 95th percentile; how many pairs in brackets.",
        )
        for index, kind in enumerate((SCANS, OPTIMISED))
    ]
    points = {"pair": (judged[NETWORK].barriers[SCANS].straight, judged[TREES].barriers[SCANS].straight)}
    scatter = Plot(
        title="The same scans in both",
        svg=scatter_figure(
            points,
            x=AxisStyle(label="straight barrier in the network, nats", scale=Scale.NEAR_LOG),
            y=AxisStyle(label="in the soft trees, nats", scale=Scale.NEAR_LOG),
            label="Scatter plot of the straight barriers of each pair in the network and in the soft trees",
            prefix="pairs-",
        ),
    )
    return (*boxes, scatter)


def table_of(judged: Mapping[str, Judged]) -> Table:
    """Barriers of every classifier, kind of input and path."""
    rows: list[tuple[Value, ...]] = []
    for name, one in judged.items():
        for kind, found in one.barriers.items():
            for path, barriers in found.by_path.items():
                figures = (*np.quantile(barriers, [0.5, 0.75, 0.95]), barriers.mean(), barriers.max())
                rows.append((name, kind, path, *map(float, figures), float((barriers <= found.flat).mean())))
    return Table(
        title="Barriers, nats",
        columns=("classifier", "inputs", "path", "median", "75 %", "95 %", "mean", "highest", "none"),
        rows=tuple(rows),
        note="“None” is the share of pairs without a barrier.",
    )


def soft_trees_data(judged: Mapping[str, Judged], settings: SoftTreeSettings) -> dict[str, object]:
    """Every number behind sentences and plots."""
    return {
        "settings": dataclasses.asdict(settings),
        "rank_correlation": as_data(agreement(judged, settings.seed)),
        "classifiers": {
            name: {
                "accuracy": one.accuracy,
                **{
                    kind: {
                        "barriers": found.by_path,
                        "joined": as_data(joined_share(found)),
                        "rising": as_data(rising_share(found)),
                        "forward_equivalents": found.forward_equivalents,
                    }
                    for kind, found in one.barriers.items()
                },
            }
            for name, one in judged.items()
        },
    }
