"""Puts the contenders of the search study into a table, two plots and sentences."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np

from detector.evaluation.frontier.arena import RATE
from detector.evaluation.frontier.contenders import STRAIGHT, Contender, Judge
from detector.evaluation.frontier.pareto import pareto_front
from detector.evaluation.tables import Table
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
    untrained = [one for one in contenders if one.judge is Judge.BARRIER]
    straight = [one.standing.mean_auroc for one in untrained if one.method == STRAIGHT]
    searched = [one.standing.mean_auroc for one in untrained if one.method != STRAIGHT]
    return Finding(
        claim=ATTACK_CLAIM,
        measured=f"The barrier alone has a mean AUROC of {np.mean(straight):.2f} on straight paths "
        f"(best of {len(straight)} kinds {max(straight):.2f}) and of {np.mean(searched):.2f} on searched ones "
        f"(best of {len(searched)} {max(searched):.2f}); 0.5 is chance.",
        agrees=bool(np.mean(straight) > 0.55),
    )


def _pays_finding(contenders: Sequence[Contender]) -> Finding:
    straight = [one for one in contenders if one.method == STRAIGHT]
    gains = {}
    for one in contenders:
        rivals = [other for other in straight if other.forward_equivalents <= one.forward_equivalents]
        if one.method != STRAIGHT and rivals:
            best = max(rivals, key=lambda other: other.standing.mean_auroc)
            gains[_name(one)] = one.standing.mean_auroc - best.standing.mean_auroc
    best_name, gain = max(gains.items(), key=lambda item: item[1])
    beaten = sum(gain > 0 for gain in gains.values())
    return Finding(
        claim=PAYS_CLAIM,
        measured=f"{beaten} of {len(gains)} searching contenders beat every straight one that costs no more; "
        f"the best of them ({best_name}) is {abs(gain):.3f} {'above' if gain > 0 else 'below'} in mean AUROC.",
        agrees=beaten > 0,
    )


def _name(one: Contender) -> str:
    return f"{one.judge}, {one.method}, {one.prototypes}, {one.potential}, K = {one.n_prototypes}"


def _row(one: Contender, front: Sequence[Contender]) -> dict[str, Any]:
    row = dataclasses.asdict(one) | {"judge": str(one.judge), "is_on_front": one in front}
    return row | {"mean_auroc": one.standing.mean_auroc, "mean_flagged": one.standing.mean_flagged}
