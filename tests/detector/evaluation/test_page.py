import dataclasses
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from detector.evaluation.figures import ProfileBand, ScoreGroup
from detector.evaluation.page import Page, PageError, Section, SummaryFigure, render_page, write_page
from detector.evaluation.path_example import PathExample
from detector.evaluation.sweep_figure import SweepPanel
from detector.evaluation.tables import Table
from detector.verdict import Decision

MIXING = np.array([0.0, 0.5, 1.0])

CAUGHT = PathExample(
    title="pgd8 · caught",
    attack="pgd8",
    true_label="8",
    predicted_label="3",
    suspected_label="8",
    decision=Decision.ADVERSARIAL,
    p_value=0.004,
    score=4.5,
    barrier=1.25,
    image=np.full((1, 8, 8), 9, np.uint8),
    original=np.full((1, 8, 8), 7, np.uint8),
    strip=np.zeros((3, 1, 8, 8), np.uint8),
    mixing=MIXING,
    profiles={"cross-entropy, nats": np.array([0.5, 2.0, 0.25]), "margin, logits": np.array([-1.0, 2.0, 3.0])},
)
PASSED = dataclasses.replace(
    CAUGHT, attack=None, original=None, suspected_label=None, decision=Decision.CLEAN, p_value=0.41, barrier=None
)
BANDS = tuple(
    ProfileBand(name=name, mixing=MIXING, lower=MIXING, median=MIXING + 1, upper=MIXING + 2) for name in ("clean", "cw")
)
SWEEP = SweepPanel(
    method="PGD",
    unit="ε / 255",
    strengths=MIXING + 1,
    auroc=MIXING,
    auroc_lower=MIXING,
    auroc_upper=MIXING,
    flagged=MIXING,
    success=MIXING,
)
TABLE = Table(title="Table", columns=("attack", "AUROC"), rows=(("cw", 0.875), ("fab", None)), note="A note.")
PAGE = Page(
    title="Digits & <more>",
    lead="What this is.",
    facts=(("seed", "0"),),
    summary=(SummaryFigure(name="mean AUROC", value="0.875", detail="over 1 attack"),),
    sections=(Section(title="Attacks", tables=(TABLE, TABLE)), Section(title="Baselines", tables=(TABLE,))),
    bands=BANDS,
    band_unit="cross-entropy in nats",
    score_groups=(ScoreGroup(name="clean", scores=np.array([0.0, 1.0])), ScoreGroup(name="cw", scores=np.array([2.0]))),
    threshold=1.5,
    roc={"cw": (np.array([0.0, 0.5, 1.0]), np.array([0.5, 1.0, 1.0]))},
    sweeps=(SWEEP,),
    examples=(CAUGHT, PASSED),
    footer="isthmus",
)
EMPTY = dataclasses.replace(
    PAGE, facts=(), summary=(), sections=(), bands=(), score_groups=(), threshold=None, roc={}, sweeps=(), examples=()
)
CROWDED = dataclasses.replace(
    EMPTY,
    bands=tuple(dataclasses.replace(BANDS[0], name=f"group {index}") for index in range(12)),
    score_groups=tuple(ScoreGroup(name=f"group {index}", scores=MIXING) for index in range(12)),
    roc={f"attack {index}": (MIXING, MIXING) for index in range(11)},
)
"""A page of eleven attacks."""


class Elements(HTMLParser):
    """Every start tag with its attributes; fails on a tag that is closed out of order."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))
        if tag not in {"meta", "link", "img"}:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_every_element_is_closed_in_order() -> None:
    assert Elements(render_page(PAGE)).open == []


def test_the_page_asks_for_nothing_from_outside() -> None:
    html = render_page(PAGE)
    addresses = [
        value or ""
        for _, attributes in Elements(html).found
        for name, value in attributes.items()
        if name in {"src", "href"}
    ]
    assert addresses and all(address.startswith(("data:", "#")) for address in addresses)
    assert "@import" not in html and "http" not in html


def test_no_id_occurs_twice() -> None:
    ids = [attributes["id"] for _, attributes in Elements(render_page(PAGE)).found if "id" in attributes]
    assert len(ids) == len(set(ids))


def test_equal_pages_are_equal_text() -> None:
    assert render_page(PAGE) == render_page(PAGE)


def test_what_others_wrote_is_shown_and_not_run() -> None:
    hostile = "<script>alert(1)</script>"
    example = dataclasses.replace(CAUGHT, title=hostile, predicted_label=hostile, attack=hostile)
    groups = (ScoreGroup(name=hostile, scores=np.array([0.0, 1.0])),)
    table = Table(title=hostile, columns=(hostile,), rows=((hostile,),), note=hostile)
    page = dataclasses.replace(
        PAGE,
        title=hostile,
        summary=(SummaryFigure(name=hostile, value=hostile, detail=hostile),),
        sections=(Section(title=hostile, tables=(table,)),),
        score_groups=groups,
        sweeps=(dataclasses.replace(SWEEP, method=hostile, unit=hostile),),
        examples=(example,),
    )
    html = render_page(page)
    assert hostile not in html and "&lt;script&gt;alert(1)&lt;/script&gt;" in html
    assert html.count("<script>") == 1


def test_figures_in_short_stand_above_everything_else() -> None:
    html = render_page(PAGE)
    assert "<dt>mean AUROC</dt><dd><b>0.875</b><span>over 1 attack</span></dd>" in html
    assert html.index('id="summary"') < html.index("<svg") < html.index("<table")


def test_of_many_groups_the_worst_are_drawn_openly_and_the_others_folded() -> None:
    html = render_page(CROWDED)
    assert re.findall(r"<summary>([^<]+)</summary>", html) == ["Scores of the 2 other groups", "The 2 other groups"]
    openly, _, folded = html.partition('<figure class="chart folded">')
    assert ">group 9<" in openly and ">group 10<" not in openly
    assert ">group 0<" in folded and ">group 11<" in folded
    assert "In colour the 8 attacks with the lowest AUROC, in grey the 3 others." in html
    elements = Elements(html)
    ids = [attributes["id"] for _, attributes in elements.found if "id" in attributes]
    assert elements.open == [] and len(ids) == len(set(ids))


def test_few_groups_leave_nothing_folded_and_every_curve_its_colour() -> None:
    html = render_page(dataclasses.replace(PAGE, examples=()))
    assert "<details" not in html and "In colour" not in html


def test_a_cell_that_is_set_off_is_bold() -> None:
    table = dataclasses.replace(TABLE, bold=frozenset({(0, 1)}))
    html = render_page(dataclasses.replace(EMPTY, sections=(Section(title="Attacks", tables=(table,)),)))
    assert 'data-value="0.875"><b>0.875</b></td>' in html and "<b>cw</b>" not in html


def test_what_is_empty_is_left_out() -> None:
    html = render_page(EMPTY)
    assert "<h2" not in html and "<dl" not in html and Elements(html).open == []


def test_a_heading_can_be_reached_and_pressed_by_keyboard() -> None:
    html = render_page(PAGE)
    assert '<th scope="col" class="number"><button type="button">AUROC</button></th>' in html
    assert 'data-value="0.875">0.875</td>' in html


def test_a_natural_image_has_one_picture_and_an_attacked_one_three() -> None:
    def n_pictures(example: PathExample) -> int:
        found = Elements(render_page(dataclasses.replace(EMPTY, examples=(example,)))).found
        return sum(tag == "img" for tag, _ in found) - len(example.strip)

    assert (n_pictures(PASSED), n_pictures(CAUGHT)) == (1, 3)
    assert "difference × 10" in render_page(dataclasses.replace(EMPTY, examples=(CAUGHT,)))


def test_one_potential_has_one_scale_on_the_whole_page() -> None:
    steep = dataclasses.replace(CAUGHT, profiles={"cross-entropy, nats": np.array([0.0, 40.0, 1.0])})
    html = render_page(dataclasses.replace(EMPTY, examples=(PASSED, steep)))
    ranges = re.findall(r'class="range"><span>([^<]+)</span><span>([^<]+)</span>', html)
    assert ranges == [("40", "0"), ("3", "−1"), ("40", "0")]


def test_scores_that_are_not_finite_do_not_stop_the_page() -> None:
    groups = (ScoreGroup(name="clean", scores=np.array([np.inf, np.nan])), ScoreGroup(name="none", scores=np.array([])))
    example = dataclasses.replace(CAUGHT, decision=Decision.UNDECIDED, score=float("inf"), p_value=float("nan"))
    assert "undecided" in render_page(dataclasses.replace(PAGE, score_groups=groups, examples=(example,)))


def test_sixteen_photos_with_their_paths_stay_below_two_megabytes() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (12, 3, 14, 14), dtype=np.uint8)
    photos = noise.repeat(16, axis=2).repeat(16, axis=3)
    example = dataclasses.replace(
        CAUGHT, image=photos[0], original=photos[1], strip=photos[1:], mixing=np.linspace(0, 1, 11), profiles={}
    )
    assert len(render_page(dataclasses.replace(EMPTY, examples=(example,) * 16))) < 2_000_000


def test_a_page_is_written_whole_and_replaces_an_older_one(tmp_path: Path) -> None:
    path = tmp_path / "new" / "page.html"
    write_page(EMPTY, path)
    write_page(PAGE, path)
    assert path.read_text(encoding="utf-8") == render_page(PAGE)
    assert [file.name for file in path.parent.iterdir()] == ["page.html"]


def test_a_place_that_cannot_be_written_to_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(PageError, match=r"file/page\.html.*name a file in a folder that can be written to"):
        write_page(EMPTY, tmp_path / "file" / "page.html")
