from detector.evaluation.frontier.arena import Standing
from detector.evaluation.frontier.contenders import Contender, Judge
from detector.evaluation.frontier.pareto import pareto_front


def contender(cost: float, auroc: float) -> Contender:
    return Contender(
        method="straight",
        prototypes="real",
        potential="cross-entropy",
        n_prototypes=1,
        judge=Judge.BARRIER,
        forward_equivalents=cost,
        standing=Standing(
            auroc={"any": auroc}, flagged={"any": 0.0}, false_positives=0.0, n_clean=80, n_attacked={"any": 40}
        ),
    )


def test_the_front_holds_what_nothing_beats_at_equal_or_lower_cost() -> None:
    cheap, dominated, good, worse, best = (
        contender(1.0, 0.6),
        contender(5.0, 0.55),
        contender(5.0, 0.8),
        contender(9.0, 0.8),
        contender(50.0, 0.9),
    )
    assert pareto_front([best, worse, dominated, good, cheap]) == [cheap, good, best]


def test_of_two_at_the_same_cost_only_the_better_is_on_the_front() -> None:
    assert pareto_front([contender(3.0, 0.7), contender(3.0, 0.8)]) == [contender(3.0, 0.8)]


def test_no_contenders_have_no_front() -> None:
    assert pareto_front([]) == []
