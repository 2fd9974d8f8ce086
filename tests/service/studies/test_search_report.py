from detector.evaluation.frontier.arena import Standing
from detector.evaluation.frontier.contenders import STRAIGHT, Contender, Judge
from service.studies.search_report import report_of

PAYS, BARRIER = 1, 0


def contender(cost: float, auroc: float, method: str, judge: Judge = Judge.HEAD) -> Contender:
    return Contender(
        method=method,
        prototypes="real",
        potential="cross-entropy",
        n_prototypes=1,
        judge=judge,
        forward_equivalents=cost,
        standing=Standing(
            auroc={"any": auroc}, flagged={"any": auroc}, false_positives=0.05, n_clean=400, n_attacked={"any": 400}
        ),
    )


def verdict(finding: int, *contenders: Contender) -> bool | None:
    barriers = (contender(9.0, 0.6, STRAIGHT, Judge.BARRIER), contender(30.0, 0.5, "bypass", Judge.BARRIER))
    return report_of((*barriers, *contenders), ()).findings[finding].agrees


def test_a_search_far_above_every_straight_contender_of_its_cost_pays() -> None:
    assert verdict(PAYS, contender(7.0, 0.7, STRAIGHT), contender(30.0, 0.9, "bypass")) is True


def test_a_lead_that_chance_explains_settles_nothing() -> None:
    close = (contender(25.0, 0.7, "bypass", Judge.BARRIER), contender(30.0, 0.71, "neb"))
    assert verdict(PAYS, contender(7.0, 0.7, STRAIGHT), *close) is None


def test_searches_far_below_do_not_pay() -> None:
    assert verdict(PAYS, contender(7.0, 0.9, STRAIGHT), contender(30.0, 0.7, "bypass")) is False


def test_a_straight_contender_that_costs_more_is_no_rival() -> None:
    assert verdict(PAYS, contender(60.0, 0.99, STRAIGHT), contender(30.0, 0.9, "bypass")) is True


def test_a_barrier_above_chance_agrees_with_the_paper_and_one_below_does_not() -> None:
    low = contender(9.0, 0.4, STRAIGHT, Judge.BARRIER)
    assert verdict(BARRIER) is True
    assert report_of((low, contender(30.0, 0.5, "bypass", Judge.BARRIER)), ()).findings[BARRIER].agrees is False


def test_the_front_is_marked_in_the_document() -> None:
    rows = report_of((contender(5.0, 0.8, STRAIGHT, Judge.BARRIER), contender(9.0, 0.7, "bypass", Judge.BARRIER)), ())
    assert [row["is_on_front"] for row in rows.data["contenders"]] == [True, False]
