import re

import pytest

from service.offline.report.figures import FlaggedShare, p_value_figure, share_figure
from service.offline.summary.summary_types import Bin

SHARE = FlaggedShare(share=0.12, interval=(0.1, 0.14), nominal=0.05, clean=(0.02, 0.08), is_outside=True)


def bins(*counts, expected=10.0):
    n = len(counts)
    return [Bin(lower=k / n, upper=(k + 1) / n, n=count, expected=expected) for k, count in enumerate(counts)]


def test_the_share_is_told_to_who_cannot_see_the_drawing():
    svg = share_figure(SHARE, prefix="s-")
    assert 'aria-label="12 % of the images flagged; clean images would give 2 to 8 %"' in svg
    assert 'aria-label="12 % of the images flagged"' in share_figure(
        FlaggedShare(share=0.12, interval=(0.1, 0.14), nominal=0.05, clean=None, is_outside=False), prefix="s-"
    )


def test_only_a_share_outside_of_the_range_is_drawn_in_the_colour_of_a_warning():
    inside = FlaggedShare(share=0.05, interval=(0.04, 0.06), nominal=0.05, clean=(0.02, 0.08), is_outside=False)
    assert "var(--warning)" in share_figure(SHARE, prefix="s-")
    assert "var(--warning)" not in share_figure(inside, prefix="s-")


@pytest.mark.parametrize("share", [0.0, 0.05, 1.0])
def test_a_share_of_none_or_of_all_can_be_drawn(share):
    found = FlaggedShare(share=share, interval=(share, share), nominal=0.05, clean=(0.05, 0.05), is_outside=False)
    assert share_figure(found, prefix="s-").startswith("<svg")


def test_the_figures_of_a_million_images_are_drawn_close_up():
    near = FlaggedShare(share=0.052, interval=(0.0516, 0.0524), nominal=0.05, clean=(0.0496, 0.0504), is_outside=True)
    ticks = [float(text) for text in re.findall(r">(\d+\.?\d*)</text>", share_figure(near, prefix="s-"))]
    assert ticks and min(ticks) > 4


def test_bars_at_or_below_the_rate_are_set_off_and_the_lowest_is_told():
    svg = p_value_figure(bins(90, 10, 10, 10), false_positive_rate=0.25, prefix="p-")
    assert "90 images in the lowest bar, 10 if all were clean" in svg
    assert len(re.findall(r"fill: var\(--warning\)", svg)) == 1
    halved = p_value_figure(bins(90, 10, 10, 10), false_positive_rate=0.1, prefix="p-")
    assert not re.findall(r"fill: var\(--warning\)", halved)


def test_a_histogram_without_images_can_be_drawn():
    assert p_value_figure(bins(0, 0, expected=0.0), false_positive_rate=0.05, prefix="p-").startswith("<svg")
