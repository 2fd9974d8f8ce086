"""Which contenders no other beats at equal or lower cost."""

from collections.abc import Sequence

from detector.evaluation.frontier.contenders import Contender


def pareto_front(contenders: Sequence[Contender]) -> list[Contender]:
    """Those whose mean AUROC is above that of every contender that costs no more, cheapest first."""
    front: list[Contender] = []
    for one in sorted(contenders, key=lambda one: (one.forward_equivalents, -one.standing.mean_auroc)):
        if not front or one.standing.mean_auroc > front[-1].standing.mean_auroc:
            front.append(one)
    return front
