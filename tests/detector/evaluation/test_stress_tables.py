from collections.abc import Callable
from typing import Any

from detector.evaluation.adaptive import AdaptiveFigures
from detector.evaluation.benign import BenignFigures
from detector.evaluation.corruptions import Corruption
from detector.evaluation.stress_tables import adaptive_table, benign_table


def test_a_corruption_is_told_by_its_false_positives_at_both_rates(
    false_positives_of: Callable[[float, float], Any],
) -> None:
    found = BenignFigures(
        corruption=Corruption.JPEG,
        severity=2,
        n=80,
        still_right=0.8,
        false_positives=(false_positives_of(0.01, 0.125), false_positives_of(0.05, 0.25)),
    )
    nothing = BenignFigures(corruption=Corruption.RESIZE, severity=3, n=0, still_right=0.0, false_positives=())
    assert benign_table([found, nothing]).rows == (
        ("jpeg", 2, 80, 0.8, 0.25, "0.150 to 0.350", 0.125, "0.025 to 0.225"),
        ("resize", 3, 0, 0.0, None, None, None, None),
    )


def test_an_adaptive_attack_is_told_with_the_signs_that_it_tried(estimate: Callable[[float], Any]) -> None:
    found = AdaptiveFigures(
        name="orthogonal-8",
        title="Orthogonal PGD, L∞ 8/255",
        radius=8 / 255,
        n=50,
        reached=estimate(0.75),
        evaded={0.05: estimate(0.5), 0.01: estimate(0.625)},
        evaded_rounded=0.375,
        undefended=0.875,
        first_loss=4.0,
        last_loss=-1.0,
        seconds=3.0,
    )
    assert adaptive_table([found]).rows == (
        ("Orthogonal PGD, L∞ 8/255", 8.0, 50, 0.75, 0.5, "0.400 to 0.600", 0.625, 0.375, 0.875, 4.0, -1.0),
    )
