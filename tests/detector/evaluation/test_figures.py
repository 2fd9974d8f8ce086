import re
from xml.etree import ElementTree

import matplotlib
import numpy as np
import pytest

from detector.evaluation.figures import (
    ProfileBand,
    ScoreGroup,
    band_figure,
    band_limits,
    finite_range,
    flagged_share,
    profile_figure,
    roc_figure,
    score_figure,
    score_limits,
)

GROUPS = (
    ScoreGroup(name="clean", scores=np.array([-2.0, -1.0, 0.0, 3.0])),
    ScoreGroup(name="<pgd & $8$>", scores=np.array([1.0, 2.0, 3.0, np.inf])),
)


def scores_svg(prefix: str = "a-") -> str:
    return score_figure(GROUPS, limits=score_limits(GROUPS), threshold=1.0, false_positive_rate=0.25, prefix=prefix)


def flat_band(name: str, value: float) -> ProfileBand:
    return ProfileBand(
        name=name,
        mixing=np.array([0.0, 0.5, 1.0]),
        lower=np.full(3, value - 1),
        median=np.full(3, value),
        upper=np.full(3, value + 2),
    )


def texts(svg: str) -> list[str]:
    return [element.text or "" for element in ElementTree.fromstring(svg).iter("text")]


def test_the_same_figure_is_drawn_the_same_twice() -> None:
    assert scores_svg() == scores_svg()


def test_a_user_s_matplotlib_settings_change_nothing_and_stay_as_they_were() -> None:
    expected = scores_svg()
    with matplotlib.rc_context({"font.size": 30, "axes.facecolor": "red"}):
        assert scores_svg() == expected
        assert matplotlib.rcParams["font.size"] == 30


def test_ids_carry_the_prefix_and_every_reference_is_met() -> None:
    svg = scores_svg("scores-")
    ids = re.findall(r' id="([^"]+)"', svg)
    references = re.findall(r'href="#([^"]+)"|url\(#([^)]+)\)', svg)
    assert ids and all(name.startswith("scores-") for name in ids)
    assert {left or right for left, right in references} == set(ids)


def test_colours_come_from_the_page_and_no_fixed_one_is_left() -> None:
    svg = roc_figure({"pgd8": (np.array([0.0, 1.0]), np.array([0.5, 1.0]))}, prefix="r-")
    assert "var(--series-0)" in svg and "currentColor" in svg
    assert not re.search(r"#[0-9a-f]{6}\b|<style|<metadata|font-family", svg)


def test_names_are_text_and_neither_markup_nor_mathematics() -> None:
    svg = scores_svg()
    assert "<pgd & $8$>" in texts(svg)
    assert "<pgd" not in svg


def test_the_share_above_the_threshold_stands_beside_each_group() -> None:
    assert {"25 %", "100 %"} <= set(texts(scores_svg()))
    assert "threshold for 25 % false positives, share above it →" in texts(scores_svg())


def test_an_undecided_image_counts_as_flagged() -> None:
    assert flagged_share(np.array([0.0, np.nan, np.inf, 2.0]), 1.0) == 0.75


def test_profile_points_stand_in_the_middle_of_their_columns() -> None:
    svg = profile_figure(np.array([0.0, 1.0, 0.5, 2.0]), limits=(0.0, 2.0), label="x", prefix="p-")
    width = float(ElementTree.fromstring(svg).attrib["viewBox"].split()[2])
    curve = next(
        path.attrib["d"]
        for path in ElementTree.fromstring(svg).iter("path")
        if path.attrib["d"].count("L") == 3 and "1.5" in path.attrib["style"]
    )
    positions = [float(x) / width for x in re.findall(r"[ML] (\S+)", curve)]
    assert positions == pytest.approx([0.125, 0.375, 0.625, 0.875], abs=1e-4)


def test_a_profile_that_is_not_finite_somewhere_is_still_drawn() -> None:
    assert profile_figure(np.array([0.0, np.nan, 1.0]), limits=(0.0, 1.0), label="x", prefix="p-").startswith("<svg")


def test_bands_share_one_range_that_holds_them_all() -> None:
    low, high = band_limits([flat_band("clean", 0.0), flat_band("pgd8", 5.0)])
    assert low < -1 and high > 7
    svg = band_figure(flat_band("pgd8", 5.0), flat_band("clean", 0.0), limits=(low, high), prefix="b-")
    assert "pgd8: median from 5 at the image to 5 at the prototype" in svg


def test_the_roc_axis_starts_at_one_in_a_thousand() -> None:
    svg = roc_figure({"cw": (np.array([0.0, 0.0005, 0.1, 1.0]), np.array([0.1, 0.2, 0.7, 1.0]))}, prefix="r-")
    assert {"0.001", "0.01", "0.1", "1", "cw", "chance"} <= set(texts(svg))


def test_only_the_first_eight_curves_have_a_colour_and_a_name() -> None:
    curve = (np.array([0.01, 1.0]), np.array([0.5, 1.0]))
    svg = roc_figure({f"attack {index}": curve for index in range(10)}, prefix="r-")
    assert {"attack 0", "attack 7", "2 others"} <= set(texts(svg))
    assert "attack 8" not in texts(svg)


def test_a_curve_of_thousands_of_points_is_drawn_with_hundreds() -> None:
    rates = np.arange(1, 8001) / 8000
    svg = roc_figure({"pgd8": (rates, rates**0.5)}, prefix="r-")
    assert len(svg) < 40_000


def test_histograms_on_a_common_axis_do_not_move_when_a_group_is_left_out() -> None:
    def ticks(groups: tuple[ScoreGroup, ...]) -> list[str]:
        svg = score_figure(groups, limits=(-2.0, 3.0), threshold=None, false_positive_rate=0.25, prefix="a-")
        return [text for text in texts(svg) if text.strip("−-0123456789.") == "" and text]

    assert ticks(GROUPS) == ticks(GROUPS[:1]) != []


@pytest.mark.parametrize(
    ("values", "expected"),
    [([1.0, 3.0, np.nan, np.inf], (1.0, 3.0)), ([2.0, 2.0], (1.5, 2.5)), ([np.nan], (0.0, 1.0)), ([], (0.0, 1.0))],
)
def test_a_range_is_finite_and_never_empty(values: list[float], expected: tuple[float, float]) -> None:
    assert finite_range(np.array(values, dtype=float)) == expected
