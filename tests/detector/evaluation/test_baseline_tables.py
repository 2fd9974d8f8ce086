from collections.abc import Callable
from typing import Any

import pytest

from detector.evaluation.baseline_tables import baseline_attack_table, baseline_table
from detector.evaluation.baselines import BaselineAttackFigures, BaselineFigures
from detector.evaluation.results import DetectorFigures

Figures = Callable[..., DetectorFigures]


@pytest.fixture
def baseline(estimate: Callable[[float], Any]) -> Callable[..., BaselineFigures]:
    def make(title: str, **aurocs: float) -> BaselineFigures:
        attacks = {
            name: BaselineAttackFigures(n=20, auroc=estimate(value), tpr={0.01: estimate(0.0), 0.05: estimate(0.5)})
            for name, value in aurocs.items()
        }
        return BaselineFigures(name="lid", title=title, forward_equivalents=1.0, clean=(), attacks=attacks)

    return make


def test_the_detector_stands_above_its_baselines_and_the_best_is_set_off(
    figures_of: Figures, baseline: Callable[..., BaselineFigures]
) -> None:
    table = baseline_table(figures_of({"a": 0.9, "b": 0.5}), {"lid": baseline("Local dimension", a=0.75, b=0.625)})
    mine, other = table.rows
    assert mine[:2] == ("mine", 7.0) and mine[3] == 0.5 and mine[5:] == (0.25, None)
    assert other == ("lid", 1.0, 0.6875, 0.625, 0.5, None, "Local dimension")
    # Mean AUROC 0.7 against 0.6875, worst 0.5 against 0.625, flagged 0.35 against 0.5.
    assert table.bold == {(0, 2), (1, 3), (1, 4)}


def test_every_attack_has_a_row_in_which_the_highest_is_set_off(
    figures_of: Figures, baseline: Callable[..., BaselineFigures]
) -> None:
    table = baseline_attack_table(figures_of({"a": 0.9, "b": 0.5}), {"lid": baseline("Local dimension", b=0.625)})
    assert table.columns == ("attack", "mine", "lid")
    assert table.rows == (("a", 0.9, None), ("b", 0.5, 0.625))
    assert table.bold == {(1, 2)}
