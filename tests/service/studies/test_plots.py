import re

import numpy as np
import pytest

from detector.evaluation.metrics import Estimate
from service.studies.plots import (
    AxisStyle,
    Line,
    Scale,
    box_figure,
    histogram_figure,
    interval_figure,
    line_figure,
    quartiles,
    scatter_figure,
)

NATS = AxisStyle(label="barrier, nats", scale=Scale.NEAR_LOG)
PLAIN = AxisStyle(label="position")
X = np.linspace(0, 1, 5)


def texts(svg: str) -> list[str]:
    return re.findall(r"<text[^>]*>([^<]*)</text>", svg)


def test_a_box_plot_names_each_group_with_its_size_and_leaves_out_what_is_no_number():
    groups = {"clean": np.array([0.0, 1.0, np.nan]), "none": np.zeros(0), "attack": np.array([2.0, 3.0, 4.0])}
    found = texts(box_figure(groups, axis=NATS, label="boxes", prefix="a-"))
    assert {"clean (2)", "none (0)", "attack (3)", "barrier, nats"} <= set(found)


def test_powers_of_ten_are_written_out_and_zero_has_its_place():
    svg = box_figure({"a": np.array([0.0, 5.0])}, axis=NATS, label="boxes", prefix="a-")
    assert {"0", "0.001", "0.01", "0.1", "1"} <= set(texts(svg))
    assert "$" not in svg


def test_curves_are_told_apart_by_more_than_colour():
    lines = [Line(name=name, x=X, y=X, lower=X - 1, upper=X + 1) for name in ("straight", "bent")]
    svg = line_figure(lines, x=PLAIN, y=PLAIN, label="lines", prefix="a-")
    assert {"straight", "bent", "position"} <= set(texts(svg))
    assert "stroke-dasharray" in svg


def test_a_curve_with_gaps_is_drawn():
    holes = np.array([np.nan, 1.0, np.nan, 2.0, np.nan])
    endless = np.full(5, np.inf)
    assert "<svg" in line_figure(
        [Line(name="a", x=X, y=holes, lower=-endless, upper=endless)], x=PLAIN, y=NATS, label="l", prefix="a-"
    )


@pytest.mark.parametrize("values", [np.zeros(0), np.array([1.0]), np.full(9, 2.0), np.array([np.nan])])
def test_a_histogram_of_nearly_nothing_is_drawn(values):
    assert "count" in texts(histogram_figure({"a": values}, axis=PLAIN, label="h", prefix="a-"))


def test_points_and_intervals_name_their_groups():
    scatter = scatter_figure({"a": (X, X), "b": (X, X)}, x=NATS, y=PLAIN, label="points", prefix="a-")
    figures = {"cw": {"barrier": Estimate(0.7, -np.inf, np.inf)}, "df": {"barrier": Estimate(0.9, 0.8, 1.0)}}
    intervals = interval_figure(figures, reference=0.5, axis=PLAIN, label="intervals", prefix="b-")
    assert {"a", "b"} <= set(texts(scatter))
    assert {"cw", "df", "barrier"} <= set(texts(intervals))


def test_quartiles_are_taken_at_each_point_over_the_finite_paths():
    profiles = np.array([[0.0, 4.0], [1.0, 5.0], [2.0, 6.0], [np.nan, 9.0]])
    lower, median, upper = quartiles(profiles)
    assert (lower.tolist(), median.tolist(), upper.tolist()) == ([0.5, 4.5], [1.0, 5.0], [1.5, 5.5])
