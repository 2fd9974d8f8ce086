import dataclasses
import re
from collections.abc import Callable
from html.parser import HTMLParser
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from detector.bundle import Bundle
from detector.detector import Detector
from detector.evaluation.explanation import Explanation, explain
from detector.evaluation.explanation_figures import comparison_figure, depth_figure
from detector.evaluation.explanation_page import ExplanationPage, render_explanation
from detector.evaluation.explanation_words import change_in_words, depth_in_words, p_value_in_words, verdict_in_words
from detector.layerwise import LayerwiseBarriers
from detector.types import LabelledImages, to_pixels
from detector.verdict import Decision, Outcome, Verdict

LABELS = ("<b>a</b>", "b & c", "cat", "d")
FLAGGED = Verdict(
    decision=Decision.ADVERSARIAL,
    label=2,
    score=3.0,
    p_value=0.01,
    false_positive_rate=0.05,
    barrier=1.0,
    prototype=0,
    suspected_label=3,
    outcome=Outcome.DECIDED,
    profile=(0.0, 1.0),
)
UNDECIDED = dataclasses.replace(
    FLAGGED,
    decision=Decision.UNDECIDED,
    score=None,
    p_value=None,
    barrier=None,
    prototype=None,
    suspected_label=None,
    outcome=Outcome.NON_FINITE,
    profile=(),
)


class Balanced(HTMLParser):
    """Every tag with its attributes; fails on one that is closed out of order."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.links: list[str] = []
        self.texts: list[str] = []
        self.feed(html)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.links += [value or "" for name, value in attrs if name in {"src", "href", "xlink:href"}]
        if tag not in {"meta", "link", "img", "br"}:
            self.open.append(tag)

    def handle_startendtag(self, _tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.links += [value or "" for name, value in attrs if name in {"src", "href"}]

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


@pytest.fixture
def image(corner_images: Callable[..., LabelledImages]) -> Tensor:
    return to_pixels(corner_images(1, seed=9).images)[0]


@pytest.fixture
def explanation(bundle: Bundle, corners: Any, image: Tensor) -> Explanation:
    return explain(Detector(corners, bundle), image)


def page_of(explanation: Explanation, **changes: Any) -> ExplanationPage:
    page = ExplanationPage(
        name="a<script>.png",
        target_name=None,
        labels=LABELS,
        explanation=explanation,
        facts=(("classifier", "x < y"),),
        footer="Isthmus & co",
    )
    return dataclasses.replace(page, **changes)


def text_of(html: str) -> str:
    return " ".join(" ".join(Balanced(html).texts).split())


def test_the_page_is_whole_and_reaches_out_for_nothing(explanation: Explanation) -> None:
    html = render_explanation(page_of(explanation))
    assert all(link.startswith(("data:", "#")) for link in Balanced(html).links)
    assert not re.search(r"https?://(?!www\.w3\.org)", html)
    assert html == render_explanation(page_of(explanation))


def test_ids_do_not_collide(explanation: Explanation) -> None:
    ids = re.findall(r'\bid="([^"]+)"', render_explanation(page_of(explanation)))
    assert len(ids) == len(set(ids))


def test_whatever_a_stranger_has_named_is_escaped(explanation: Explanation) -> None:
    html = render_explanation(page_of(explanation, target_name="<img onerror=x>"))
    assert "<script" not in html
    assert "<b>" not in html
    assert "<img onerror" not in html
    assert "a<script>.png" in text_of(html)
    assert "<img onerror=x>" in text_of(html)


def test_the_page_shows_both_strips_every_potential_and_all_prototypes(explanation: Explanation) -> None:
    html = render_explanation(page_of(explanation))
    assert html.count('alt="straight path, at') == html.count('alt="searched path, at') == 13
    assert html.count("<svg") == 4
    for name in ("cross-entropy", "log cross-entropy", "margin, negated", "distance in representation"):
        assert name in text_of(html)
    assert html.count('alt="no. ') == len(explanation.prototypes)


def test_without_a_search_the_page_says_why_and_shows_the_straight_path(explanation: Explanation) -> None:
    assert explanation.connection is not None
    refused = dataclasses.replace(
        explanation.connection, search=None, found=None, detour=None, refusal="the classifier has no gradient"
    )
    html = render_explanation(page_of(dataclasses.replace(explanation, connection=refused)))
    assert "No search was made: the classifier has no gradient." in text_of(html)
    assert html.count('alt="straight path, at') == 13
    assert "searched path, at" not in html


def test_an_image_that_is_no_number_still_makes_a_page(bundle: Bundle, corners: Any, image: Tensor) -> None:
    explanation = explain(Detector(corners, bundle), torch.full_like(image, torch.nan))
    text = text_of(render_explanation(page_of(explanation)))
    assert "Not decided" in text
    assert "non-finite" in text
    assert not re.search(r"\bnan\b", text)


def test_without_a_path_the_page_says_so(explanation: Explanation) -> None:
    text = text_of(render_explanation(page_of(dataclasses.replace(explanation, connection=None, prototypes=()))))
    assert "no prototype of the predicted label" in text


def test_the_depth_is_drawn_where_there_is_a_barrier(explanation: Explanation) -> None:
    def with_barriers(*barriers: float) -> str:
        found = LayerwiseBarriers(
            stages=("pixels", "stem"), profiles=torch.zeros(2, 1, 3), barriers=torch.tensor(barriers)[:, None]
        )
        assert explanation.connection is not None
        connection = dataclasses.replace(explanation.connection, layerwise=found, layerwise_refusal=None)
        return render_explanation(page_of(dataclasses.replace(explanation, connection=connection)))

    assert 'aria-label="Barrier on mixing at pixels, stem"' in with_barriers(1.5, 0.0)
    assert "Barrier on mixing at" not in with_barriers(0.0, 0.0)


class TestWords:
    def test_a_flagged_image_is_told_with_both_labels(self) -> None:
        text = verdict_in_words(FLAGGED, LABELS)
        assert text == "Flagged as adversarial. The classifier names it “cat”; what it truly shows may be “d”."

    def test_an_undecided_image_is_told_with_its_reason(self) -> None:
        assert verdict_in_words(UNDECIDED, LABELS) == (
            f"Not decided, and to be treated as adversarial: {Outcome.NON_FINITE.value}. The classifier names it “cat”."
        )

    @pytest.mark.parametrize(("n_as_high", "words"), [(0, "none looks"), (1, "one looks"), (4, "4 look")])
    def test_a_p_value_counts_the_clean_images_that_look_as_suspicious(
        self, explanation: Explanation, n_as_high: int, words: str
    ) -> None:
        verdict = dataclasses.replace(FLAGGED, p_value=(1 + n_as_high) / 200)
        text = p_value_in_words(dataclasses.replace(explanation, verdict=verdict, n_calibration=199))
        assert text is not None
        assert text.startswith(f"Of 199 clean images kept aside for comparison, {words} at least as suspicious")

    def test_without_a_p_value_nothing_is_said_of_it(self, explanation: Explanation) -> None:
        assert p_value_in_words(dataclasses.replace(explanation, verdict=UNDECIDED)) is None

    @pytest.mark.parametrize(
        ("barriers", "words"),
        [
            ((2.0, 0.5, 0.0, 0.0), "highest, 2 nats, where mixing takes place at pixels; from two on there is none"),
            ((0.5, 2.0, 1.0, 0.25), "highest, 2 nats, where mixing takes place at one; it lasts to the deepest stage"),
            ((0.0, 0.0, 0.0, 0.0), "no barrier at any depth"),
            ((0.0, torch.nan, 0.0, 0.0), "not finite"),
        ],
    )
    def test_the_depth_is_read_off_the_barriers(self, barriers: tuple[float, ...], words: str) -> None:
        found = LayerwiseBarriers(
            stages=("pixels", "one", "two", "three"),
            profiles=torch.zeros(4, 1, 3),
            barriers=torch.tensor(barriers)[:, None],
        )
        assert words in depth_in_words(found)

    def test_a_change_says_both_barriers(self) -> None:
        assert change_in_words(2.5, 0.0, "nats") == "The barrier went from 2.5 to 0 nats."
        assert change_in_words(torch.nan, torch.nan, "nats") == "The barrier is not finite."


class TestFigures:
    def test_a_profile_without_any_number_is_an_empty_plot(self) -> None:
        nothing = np.full(5, np.nan)
        assert comparison_figure(nothing, nothing, label="none", prefix="p-").startswith("<svg")

    def test_a_profile_with_a_gap_is_drawn_up_to_it(self) -> None:
        torn = np.array([0.0, 1.0, np.nan, 3.0, 2.0])
        whole = comparison_figure(np.arange(5.0), None, label="a profile", prefix="p-")
        assert comparison_figure(torn, None, label="a profile", prefix="p-") != whole

    def test_a_stage_without_a_barrier_to_tell_has_a_dash(self) -> None:
        svg = depth_figure(("pixels", "stem"), (1.5, float("nan")), unit="nats", prefix="d-")
        assert "1.5<" in svg
        assert "–<" in svg
