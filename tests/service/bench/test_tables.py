import pytest

from service.bench.contenders import Calibrated, Contender
from service.bench.measuring import Passes
from service.bench.peer_comparison import ComparedPeer
from service.bench.scaling import Axis, Measured, Point, Sweep
from service.bench.tables import (
    disturbance,
    figure,
    notes,
    peer_table,
    roofline_table,
    scaling_table,
    sources,
    speed_table,
)
from service.bench.timing import Timing
from service.options import RuntimeName


def row_of(table, number=0):
    return dict(zip(table.columns, table.rows[number], strict=True))


def test_speed_is_what_the_rounds_say(result):
    table = speed_table([result()])
    assert table.title == "Speed, cpu torch"
    assert row_of(table) == {
        "bundle": "digits",
        "images/s": "50",
        "ratio": "1×",
        "spread": "0 %",
        "p50, ms": "21",
        "p99, ms": "42",
        "peak, MiB": "300",
    }


def test_the_limit_is_the_bare_rate_over_the_passes_that_were_counted(result):
    assert row_of(roofline_table([result()])) == {
        "bundle": "digits",
        "passes": "8",
        "clean": "4.5",
        "most": "9",
        "bare/s": "500",
        "limit/s": "62.5",
        "share": "80 %",
    }


def test_the_place_stands_in_each_row_where_there_are_several(result):
    elsewhere = Contender(subject=Calibrated(bundle="digits"), device="cpu", runtime=RuntimeName.ONNXRUNTIME)
    table = speed_table([result(), result(contender=elsewhere)])
    assert (table.title, [row[0] for row in table.rows]) == (
        "Speed",
        ["digits, cpu torch", "digits, cpu onnxruntime"],
    )


def test_a_made_up_bundle_is_marked_and_explained(result, made_up):
    assert row_of(speed_table([made_up]))["bundle"] == "fast × digits *"
    assert any(note.startswith("* made up") for note in notes([result(), made_up], "set", 3, 1))
    assert not any(note.startswith("* made up") for note in notes([result()], "set", 3, 1))


def test_noise_is_said_to_be_noise(result):
    assert any("noise" in note for note in notes([result()], None, 3, 1))


def test_a_peak_that_was_not_measured_is_no_zero(result):
    assert row_of(speed_table([result(peak=None)]))["peak, MiB"] is None


@pytest.mark.parametrize(("counted", "expected", "taken"), [(5.0, 3.0, 5.0), (None, 3.0, 9), (None, 12.0, 12.0)])
def test_passes_that_cannot_be_counted_are_all_that_there_may_be(counted, expected, taken):
    assert Passes(most=9, expected=expected, counted=counted).taken == taken


def test_a_quiet_machine_is_not_spoken_of():
    assert disturbance(0.1, 2, [0.01, None]) is None


def test_a_busy_machine_is_told_with_both_reasons():
    said = disturbance(1.4, 2, [0.01, 0.3, None])
    assert "others kept 1.4 of 2 cores busy and the spread was up to 30 %" in said


def test_a_peer_stands_with_its_cost_beside_ours():
    peer = ComparedPeer(
        name="Slow",
        source="a paper",
        forward_equivalents=1025,
        n_scored=20,
        timing=Timing(seconds=(4.0, 4.0), n_images=2),
        times_ours=100.0,
        auroc={"mean": (0.9, 0.85, 0.95)},
    )
    assert peer_table([peer]).rows == (("Slow", "a paper", "0.900 (0.850–0.950)", "1,025", "2,000", "0 %", "100×"),)
    assert sources([peer]) == ["Slow: a paper; scored on 20 images"]


def test_the_last_row_of_a_sweep_says_how_cost_grew():
    timings = [Timing(seconds=(seconds, seconds), n_images=n) for seconds, n in ((1.0, 16), (4.0, 64))]
    points = [Point(images=16), Point(images=64)]
    measured = tuple(
        Measured(point=point, timing=timing, forward_equivalents=4)
        for point, timing in zip(points, timings, strict=True)
    )
    first, last = scaling_table([Sweep(axis=Axis.IMAGES, measured=measured)]).rows
    assert first == ("images", "16", 4, "62.5", "1000", "0 %", None, None)
    assert last == ("", "64", 4, "62.5", "4000", "0 %", "×4 → ×4", "1.00")


@pytest.mark.parametrize(("value", "text"), [(12345.6, "12,346"), (0.1234, "0.123"), (999.0, "999")])
def test_rates_are_written_without_exponents(value, text):
    assert figure(value) == text
