from collections.abc import Callable

from detector.evaluation.results import DetectorFigures
from detector.evaluation.summary import summary_figures

Figures = Callable[..., DetectorFigures]


def test_detection_false_alarms_and_cost_are_told_in_short(figures_of: Figures) -> None:
    figures = figures_of({"weak": 0.9, "strong": 0.7, "rare": 0.1}, n={"rare": 3})
    assert [(found.name, found.value, found.detail) for found in summary_figures(figures)] == [
        ("mean AUROC", "0.800", "over 2 attacks"),
        ("worst AUROC", "0.700", "strong"),
        ("mean flagged at 5 %", "40.0 %", "over 2 attacks"),
        ("worst case: AUROC", "0.500", "0.400 to 0.600; 12 source images"),
        ("worst case: flagged at 5 %", "25.0 %", "15.0 % to 35.0 %; 12 source images"),
        ("false positives at 5 %", "25.0 %", "15.0 % to 35.0 %; 100 clean images"),
        ("cost", "7 passes", "an image; 250 images a second where this was run"),
    ]


def test_without_a_success_there_are_dashes_and_no_worst_case(figures_of: Figures) -> None:
    found = summary_figures(figures_of({}, worst_case=None, clean=()))
    assert [(one.name, one.value) for one in found[:3]] == [
        ("mean AUROC", "–"),
        ("worst AUROC", "–"),
        ("mean flagged at 5 %", "–"),
    ]
    assert [one.name for one in found[3:]] == ["cost"]
    assert found[1].detail == "no attack succeeded often enough"
