from collections.abc import Callable
from typing import Any

from detector.evaluation.attacked import AttackedImages
from detector.evaluation.attacks import AttackSpec
from detector.evaluation.judgements import FalsePositives
from detector.evaluation.result_tables import (
    attack_run_table,
    attack_table,
    comparison_table,
    interval_text,
    natural_table,
    realised,
    skipped_table,
)
from detector.evaluation.results import DetectorFigures

Figures = Callable[..., DetectorFigures]


def test_a_row_of_attacks_has_sizes_in_255ths_and_shares_at_both_rates(figures_of: Figures) -> None:
    (row,) = attack_table(figures_of({"pgd": 0.8})).rows
    assert row == ("pgd", 20, 0.5, 0.25, 2.0, 0.8, "0.700 to 0.900", 0.2, 0.4, 0.625, None)


def test_attacks_with_few_successes_are_named_beneath_the_table(figures_of: Figures) -> None:
    table = attack_table(figures_of({"pgd": 0.8, "fab": 0.1}, n={"fab": 9}))
    assert [row[0] for row in table.rows] == ["pgd", "fab"]
    assert table.note.endswith("Fewer than 10 successes, and so left out of mean and worst: fab.")
    assert "Fewer than" not in attack_table(figures_of({"pgd": 0.8})).note


def test_the_promise_is_checked_on_correctly_classified_images_alone(
    figures_of: Figures, false_positives_of: Callable[..., FalsePositives]
) -> None:
    table = natural_table(figures_of({}, misclassified=(false_positives_of(0.05, 0.75),)))
    assert [(row[0], row[1], row[3], row[5]) for row in table.rows] == [
        ("correctly classified", "1 %", 0.125, "yes"),
        ("correctly classified", "5 %", 0.25, "yes"),
        ("misclassified", "5 %", 0.75, None),
    ]


def test_detectors_are_compared_by_cost_and_summary(figures_of: Figures) -> None:
    table = comparison_table([figures_of({"a": 0.9, "b": 0.7}), figures_of({}, worst_case=None, clean=())])
    assert [round(float(value or 0), 3) for value in table.rows[0][1:]] == [7, 250, 0.8, 0.7, 0.4, 0.5, 0.25, 0.25]
    assert table.rows[1][6:] == (None, None, None)


def test_a_name_is_told_with_what_it_stands_for_and_what_rounding_left(
    spec_of: Callable[..., AttackSpec], attacked_of: Callable[[int], AttackedImages]
) -> None:
    specs = [spec_of("pgd"), spec_of("fab"), spec_of("jsma")]
    table = attack_run_table(specs, {"pgd": attacked_of(30), "fab": attacked_of(0)})
    assert table.rows == (("pgd", "title of pgd", 40, 30, 2, 0.5, 1.5), ("fab", "title of fab", 40, 0, 2, None, 1.5))


def test_a_skipped_attack_is_told_with_its_reason() -> None:
    table = skipped_table({"jsma": "JSMA"}, {"jsma": "too large", "other": "raised"})
    assert table.rows == (("jsma", "JSMA", "too large"), ("other", None, "raised"))


def test_an_interval_has_three_decimals_and_a_rate_without_images_nothing(
    figures_of: Figures, estimate: Callable[[float], Any]
) -> None:
    assert interval_text(estimate(0.25)) == "0.150 to 0.350"
    found = realised(figures_of({}).clean)
    assert found is not None and found.realised.value == 0.25
    assert realised(()) is None
