import dataclasses
import re
from html.parser import HTMLParser

import numpy as np
import pytest

from detector.evaluation.tables import Table
from service.studies.page import badge_of, render_study
from service.studies.plots import AxisStyle, box_figure
from service.studies.report import Finding, Plot, StudyReport

FINDINGS = tuple(
    Finding(claim=f"Claim {index}.", measured=f"Measured {index}.", agrees=agrees)
    for index, agrees in enumerate((True, False, None))
)
SVG = box_figure({"one": np.arange(5.0)}, axis=AxisStyle(label="nats"), label="A box", prefix="box-")
REPORT = StudyReport(
    name="toy",
    title="Toys & <more>",
    lead="What was done.",
    facts=(("pairs", "3"),),
    findings=FINDINGS,
    plots=(Plot(title="A plot", svg=SVG, note="A note."),),
    tables=(Table(title="Figures", columns=("path", "mean"), rows=(("a", 0.5), ("b", None)), note="In nats."),),
    data={},
)


class Elements(HTMLParser):
    """Every start tag with its attributes; fails on a tag that is closed out of order."""

    def __init__(self, html):
        super().__init__()
        self.found = []
        self.open = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))
        if tag not in {"meta", "link"}:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def test_every_verdict_has_a_word_and_a_sign_beside_its_colour():
    assert [badge_of(finding) for finding in FINDINGS] == [("agrees", "✓"), ("disagrees", "✗"), ("undecided", "?")]
    html = render_study(REPORT)
    badges = re.findall(r'class="badge (\w+)"><span aria-hidden="true">(.)</span> (\w+)<', html)
    assert badges == [("agrees", "✓", "agrees"), ("disagrees", "✗", "disagrees"), ("undecided", "?", "undecided")]


def test_every_element_is_closed_in_order_and_no_id_occurs_twice():
    elements = Elements(render_study(REPORT))
    ids = [attributes["id"] for _, attributes in elements.found if "id" in attributes]
    assert elements.open == []
    assert len(ids) == len(set(ids)) > 3


def test_the_page_asks_for_nothing_from_outside():
    html = render_study(REPORT)
    addresses = [a[name] or "" for _, a in Elements(html).found for name in ("src", "href", "xlink:href") if name in a]
    assert all(address.startswith(("data:", "#")) for address in addresses)
    assert "@import" not in html and "http" not in html


def test_tables_can_be_sorted_by_their_numbers():
    html = render_study(REPORT)
    assert '<th scope="col" class="number"><button type="button">mean</button></th>' in html
    assert 'data-value="0.5">0.500</td>' in html
    assert "aria-sort" in html[html.index("<script>") :]


def test_what_others_wrote_is_shown_and_not_run():
    hostile = "<script>alert(1)</script>"
    finding = Finding(claim=hostile, measured=hostile, agrees=None)
    html = render_study(dataclasses.replace(REPORT, title=hostile, lead=hostile, findings=(finding,)))
    assert hostile not in html and "&lt;script&gt;alert(1)&lt;/script&gt;" in html


@pytest.mark.parametrize("part", ["facts", "findings", "plots", "tables"])
def test_what_is_empty_is_left_out(part):
    html = render_study(dataclasses.replace(REPORT, **{part: ()}))
    heading = {
        "facts": '<dl class="facts"',
        "findings": 'id="findings"',
        "plots": 'id="plots"',
        "tables": 'id="figures"',
    }
    assert heading[part] not in html
    assert all(text in html for other, text in heading.items() if other != part)
    assert Elements(html).open == []


def test_equal_reports_are_equal_text():
    assert render_study(REPORT) == render_study(REPORT)
