from xml.etree import ElementTree

import numpy as np

from detector.evaluation.sweep_figure import SweepPanel, sweep_figure


def panel(strengths: list[float]) -> SweepPanel:
    n = len(strengths)
    values = np.full(n, 0.875)
    return SweepPanel(
        method="PGD & <co>",
        unit="ε / 255",
        strengths=np.array(strengths, dtype=float),
        auroc=np.array([np.nan] + [0.75] * (n - 1)),
        auroc_lower=values,
        auroc_upper=values,
        flagged=values,
        success=np.linspace(0, 1, n),
    )


def drawn(strengths: list[float]) -> ElementTree.Element:
    return ElementTree.fromstring(sweep_figure(panel(strengths), prefix="s-"))


def ticks(strengths: list[float]) -> list[str]:
    return [element.text or "" for element in drawn(strengths).iter("text")]


def test_every_strength_is_written_beneath_its_place() -> None:
    assert [text for text in ticks([0, 5, 10]) if text in {"5", "10"}] == ["5", "10"]
    assert [text for text in ticks([0.5, 2, 16]) if text in {"0.5", "2", "16"}] == ["0.5", "2", "16", "0.5"]
    assert "ε / 255" in ticks([1, 2])


def test_the_figures_are_told_in_words_too() -> None:
    label = drawn([1, 2]).attrib["aria-label"]
    assert label == (
        "PGD & <co> over ε / 255; at 1: AUROC none, flagged 0.875, success rate 0.000; "
        "at 2: AUROC 0.750, flagged 0.875, success rate 1.000"
    )


def test_the_same_panel_is_drawn_the_same_twice_in_the_page_s_colours() -> None:
    svg = sweep_figure(panel([1, 2]), prefix="s-")
    assert svg == sweep_figure(panel([1, 2]), prefix="s-")
    assert "var(--accent)" in svg and "var(--warning)" in svg and "#0101" not in svg
