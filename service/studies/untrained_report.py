"""What the study of untrained networks says: sentences, plots and table."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float64
from numpy import ndarray

from detector.evaluation.metrics import Estimate
from detector.evaluation.tables import Table, Value
from service.studies.claims import all_of, as_data, bootstrap, is_above, share_estimate, share_text
from service.studies.plots import AxisStyle, Line, Scale, line_figure, quartiles
from service.studies.report import Finding, Plot
from service.studies.untrained_searching import FOUR, LONGER, MAIN, ONE, STRAIGHT, TWO, Searched

PAPER = "Vrabel et al., ICLR 2025, arXiv 2409.05800"


def share_joined(searched: Searched, effort: str, joined: float) -> Estimate | None:
    """Share of pairs whose best path after this effort stays low, with its interval over pairs."""
    return share_estimate(int((searched.highest[effort] <= joined).sum()), len(searched.networks))


def gain(searched: Searched, before: str, after: str, joined: float, seed: int) -> Estimate | None:
    """By how much the share of joined pairs grew from one effort to another."""
    grown = (searched.highest[after] <= joined).astype(float) - (searched.highest[before] <= joined)
    return bootstrap(lambda drawn: float(grown[drawn].mean()), len(grown), seed)


def unanimous(verdicts: Sequence[bool | None]) -> bool | None:
    """What all verdicts say; None where they differ, as the claim then hangs on what it leaves open."""
    return verdicts[0] if len(set(verdicts)) == 1 else None


def findings_of(found: Sequence[Searched], joined: float, seed: int) -> tuple[Finding, ...]:
    """Every claim, with the interval that decides it."""
    main = [one for one in found if one.condition in MAIN]
    two = [share_joined(one, TWO, joined) for one in main]
    second = [gain(one, ONE, TWO, joined, seed) for one in main]
    straight = [share_joined(one, STRAIGHT, joined) for one in found]
    highest = np.concatenate([one.highest[FOUR] for one in found])
    last = share_estimate(int((highest <= joined).sum()), len(highest))
    is_straight = [is_above(share, 0.5) for share in straight]
    return (
        Finding(
            claim="In untrained networks, too, inputs optimised to one label are joined by paths of low loss, after "
            f"two rounds of bypass ({PAPER}).",
            measured=f"Two rounds join {_listed(main, two)}. The median of the highest loss falls "
            f"{_falls(main)}. Agrees if most pairs are joined however low the ends; open if that decides.",
            agrees=unanimous([is_above(share, 0.5) for share in two]),
        ),
        Finding(
            claim=f"One bend, which is enough in trained networks, is not enough here; a second round is ({PAPER}).",
            measured=f"The second round joins {_listed(main, second)} more of the pairs than the first.",
            agrees=all_of([is_above(estimate, 0) for estimate in second]),
        ),
        Finding(
            claim=f"Nearly straight paths are a thing of trained networks ({PAPER}).",
            measured=f"The straight path joins {_listed(found, straight)}. Agrees if it joins less than half "
            "throughout.",
            agrees=all_of([None if verdict is None else not verdict for verdict in is_straight]),
        ),
        Finding(
            claim=f"Inputs of one label are connected throughout: a matter of effort ({PAPER}, by its conjecture).",
            measured=f"Four rounds join {share_text(last)} of the {len(highest)} pairs under all conditions. "
            f"{_steps_sentence(found, joined)} Agrees if four rounds join nine in ten.",
            agrees=is_above(last, 0.9),
        ),
    )


def _listed(found: Sequence[Searched], estimates: Sequence[Estimate | None]) -> str:
    return "; ".join(
        f"{share_text(estimate)} ({one.condition.name} nats)" for one, estimate in zip(found, estimates, strict=True)
    )


def _falls(found: Sequence[Searched]) -> str:
    steps = [
        " to ".join(f"{np.median(one.highest[effort]):.2g}" for effort in (STRAIGHT, ONE, TWO)) + " nats"
        for one in found
    ]
    return "from " + " and from ".join(steps) + " (straight, one round, two)"


def _steps_sentence(found: Sequence[Searched], joined: float) -> str:
    tried = [one for one in found if LONGER in one.highest]
    added = sum(int((one.highest[LONGER] <= joined).sum() - (one.highest[TWO] <= joined).sum()) for one in tried)
    left = sum(int((one.highest[TWO] > joined).sum()) for one in tried)
    return f"Twice the steps in place of more rounds join {added} of {left} pairs that two rounds leave apart."


def plots_of(found: Sequence[Searched], joined: float) -> tuple[Plot, ...]:
    """Profiles of the first condition, and for each of the two main ones the share joined under each threshold."""
    main = [one for one in found if one.condition in MAIN]
    bands = []
    position = np.linspace(0, 1, main[0].profiles[STRAIGHT].shape[1])
    for effort in main[0].highest:
        lower, median, upper = quartiles(main[0].profiles[effort])
        bands.append(Line(name=effort, x=position, y=median, lower=lower, upper=upper))
    profiles = Plot(
        title=f"Loss along the paths: {main[0].condition.name} nats",
        svg=line_figure(
            bands,
            x=AxisStyle(label="share of the path's length"),
            y=AxisStyle(label="cross-entropy, nats", scale=Scale.NEAR_LOG),
            label="Median loss along paths, straight and after rounds of bypass",
            prefix="untrained-profiles-",
        ),
        note="Median and quartiles over pairs.",
    )
    return (profiles, *(_share_plot(one, joined, index) for index, one in enumerate(main)))


def _share_plot(searched: Searched, joined: float, index: int) -> Plot:
    thresholds = np.geomspace(searched.condition.low, 10, 60)
    curves = [
        Line(name=effort, x=thresholds, y=share_below(values, thresholds))
        for effort, values in searched.highest.items()
    ]
    return Plot(
        title=f"Share of pairs joined under a threshold: {searched.condition.name} nats",
        svg=line_figure(
            curves,
            x=AxisStyle(label="highest loss allowed on the path, nats", scale=Scale.LOG),
            y=AxisStyle(label="share of pairs"),
            label="Share of pairs joined against the threshold, one curve an effort",
            prefix=f"untrained-shares-{index}-",
        ),
        note=f"A search ends below {joined:g} nats, the threshold that the sentences take; further left, curves show "
        "where it ended.",
    )


def share_below(
    values: Float64[ndarray, " pair"], thresholds: Float64[ndarray, " point"]
) -> Float64[ndarray, " point"]:
    """Share of values that are no higher than each threshold."""
    shares: Float64[ndarray, " point"] = (values[None] <= thresholds[:, None]).mean(1)
    return shares


def table_of(found: Sequence[Searched], joined: float) -> Table:
    """Every effort under every condition."""
    rows: list[tuple[Value, ...]] = []
    for one in found:
        for effort, values in one.highest.items():
            figures = (float((values <= joined).mean()), float(np.median(values)), float(values.max()))
            rows.append((one.condition.name, effort, len(values), *figures))
    return Table(
        title="Pairs joined, by condition and by effort",
        columns=("condition", "effort", "pairs", "joined", "median highest loss", "greatest"),
        rows=tuple(rows),
        note=(
            "initial: batch norms with means 0 and variances 1. normalised: with those of noise inputs. Both: logits "
            "centred and divided by their standard deviation over noise inputs, about 1 in the trained network, too. "
            "sharp: as normalised, logits four times as large. Each effort goes on with the pairs that the one before "
            "left apart. Losses in nats. Intervals are over pairs, although those of one network are alike."
        ),
    )


def untrained_data(found: Sequence[Searched], joined: float, seed: int) -> dict[str, object]:
    """Every number behind sentences and plots, by condition."""
    return {
        one.condition.name: {
            "highest": one.highest,
            "network": one.networks,
            "profiles": one.profiles,
            "dropped_pairs": one.n_dropped,
            "forward_equivalents": one.forward_equivalents,
            "logit_spread": one.spread,
            "least_raw_loss": one.least_raw_loss,
            "joined": {effort: as_data(share_joined(one, effort, joined)) for effort in one.highest},
            "second_round_gain": as_data(gain(one, ONE, TWO, joined, seed)),
        }
        for one in found
    }
