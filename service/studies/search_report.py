"""Puts the contenders of the search study into a table, two plots and sentences."""

import dataclasses
import math
from collections.abc import Sequence
from typing import Any

from scipy.stats import norm

from detector.evaluation.frontier.arena import RATE
from detector.evaluation.frontier.contenders import STRAIGHT, Contender, Judge
from detector.evaluation.frontier.pareto import pareto_front
from detector.evaluation.tables import Table
from detector.search import PotentialKind
from service.studies.frontier_plot import frontier_figure
from service.studies.report import Finding, Plot, StudyReport

ATTACK_CLAIM = (
    "Adversarial images stand behind larger barriers than natural ones (Vrabel et al. 2025, arXiv 2409.05800)."
)
PAYS_CLAIM = "A search for lower paths tells attacks from natural images better than straight paths of the same cost."


def report_of(contenders: Sequence[Contender], facts: tuple[tuple[str, str], ...]) -> StudyReport:
    """Everything the page shows."""
    front = pareto_front(contenders)
    return StudyReport(
        name="search",
        title="Does searching for lower paths pay?",
        lead="Every way to judge an image by its paths, against what one image costs. Barrier and highest loss need no "
        "training; heads are small networks trained on the same proxies. Thresholds come from other clean images.",
        facts=facts,
        findings=(_barrier_finding(contenders), _pays_finding(contenders)),
        plots=(
            Plot(
                title="Mean AUROC against cost",
                svg=frontier_figure(contenders, front, measure="AUROC", prefix="auroc-"),
                note="The line joins the contenders that none beats at equal or lower cost.",
            ),
            Plot(
                title=f"Mean share flagged at {RATE:.0%} against cost",
                svg=frontier_figure(contenders, front, measure="flagged", prefix="flagged-"),
                note="The same contenders and the same line.",
            ),
        ),
        tables=(_table("Pareto front", front), _table("All contenders", _ranked(contenders))),
        data={"contenders": [_row(one, front) for one in _ranked(contenders)]},
    )


def _ranked(contenders: Sequence[Contender]) -> list[Contender]:
    return sorted(contenders, key=lambda one: -one.standing.mean_auroc)


def _table(title: str, contenders: Sequence[Contender]) -> Table:
    return Table(
        title=title,
        columns=(
            "judge",
            "paths",
            "prototypes",
            "potential",
            "K",
            "forward equivalents",
            "mean AUROC",
            "worst AUROC",
            f"flagged at {RATE:.0%}",
            f"clean flagged at {RATE:.0%}",
        ),
        rows=tuple(
            (
                str(one.judge),
                one.method,
                one.prototypes,
                one.potential,
                one.n_prototypes,
                one.forward_equivalents,
                one.standing.mean_auroc,
                one.standing.worst_auroc,
                one.standing.mean_flagged,
                one.standing.false_positives,
            )
            for one in contenders
        ),
        note="Means over the attacks. K prototypes a label; a gradient costs 3 forward equivalents.",
    )


def _barrier_finding(contenders: Sequence[Contender]) -> Finding:
    """The paper's own claim: straight paths, real prototypes, cross-entropy."""
    papers = [
        one
        for one in contenders
        if one.judge is Judge.BARRIER
        and one.method == STRAIGHT
        and one.prototypes == "real"
        and one.potential == str(PotentialKind.CROSS_ENTROPY)
    ]
    searched = [one.standing.mean_auroc for one in contenders if one.judge is Judge.BARRIER and one.method != STRAIGHT]
    best = max(papers, key=lambda one: one.n_prototypes)
    mean, error = best.standing.mean_auroc, best.standing.auroc_error
    return Finding(
        claim=ATTACK_CLAIM,
        measured=f"On straight paths to {best.n_prototypes} real prototypes the cross-entropy barrier alone has a mean "
        f"AUROC of {mean:.2f} ± {1.96 * error:.2f} (0.5 is chance); barriers left by a search have {min(searched):.2f} "
        f"to {max(searched):.2f}. Agrees if the former is above chance.",
        agrees=_settled(mean - 0.5, error),
    )


def _pays_finding(contenders: Sequence[Contender]) -> Finding:
    """Every searching contender against the best straight one that costs no more.

    The errors of the two are added as if the images were not the same, which is cautious, and the level is divided by
    the number of comparisons (Bonferroni), since the best of many is looked at.
    """
    straight = [one for one in contenders if one.method == STRAIGHT]
    leads = []
    for one in (one for one in contenders if one.method != STRAIGHT):
        rivals = [other for other in straight if other.forward_equivalents <= one.forward_equivalents]
        if rivals:
            rival = max(rivals, key=lambda other: other.standing.mean_auroc)
            error = math.hypot(one.standing.auroc_error, rival.standing.auroc_error)
            leads.append((one.standing.mean_auroc - rival.standing.mean_auroc, error, one))
    if not leads:
        return Finding(claim=PAYS_CLAIM, measured="No straight contender costs as little as a search.", agrees=None)
    quantile = float(norm.isf(0.025 / len(leads)))
    lead, error, best = max(leads, key=lambda found: found[0])
    verdicts = [_settled(gain, spread, quantile) for gain, spread, _ in leads]
    return Finding(
        claim=PAYS_CLAIM,
        measured=f"{sum(gain > 0 for gain, _, _ in leads)} of {len(leads)} searching contenders are above the best "
        f"straight one that costs no more, {verdicts.count(True)} of them and {verdicts.count(False)} of those below "
        f"beyond what chance explains. The best lead is {lead:+.3f} ± {quantile * error:.3f} ({_name(best)}). Agrees "
        "if one is above, disagrees if none is above and one below, beyond chance.",
        agrees=True if True in verdicts else False if False in verdicts and lead <= 0 else None,
    )


def _settled(difference: float, error: float, quantile: float = 1.96) -> bool | None:
    """Whether a difference is above or below zero by so many standard errors; None if it is neither."""
    return None if abs(difference) <= quantile * error else difference > 0


def _name(one: Contender) -> str:
    return f"{one.judge}, {one.method}, {one.prototypes}, {one.potential}, K = {one.n_prototypes}"


def _row(one: Contender, front: Sequence[Contender]) -> dict[str, Any]:
    row = dataclasses.asdict(one) | {"judge": str(one.judge), "is_on_front": one in front}
    return row | {"mean_auroc": one.standing.mean_auroc, "mean_flagged": one.standing.mean_flagged}
