"""What the page at `/` draws of a path and writes of its numbers, in a real browser."""

import json
from typing import Any

import pytest
from headless.judged import Judged

from detector.verdict import Decision

# A browser and a server are started for them.
pytestmark = pytest.mark.slow


def test_the_points_of_the_curve_stand_beneath_their_pictures(page: Any, digits: dict[Decision, Judged]) -> None:
    page.choose("#files", digits[Decision.CLEAN].path)
    page.until("document.querySelector('article.clean')")
    for width in (1100, 390):
        page.look(width=width, height=800)
        ends = page.value(
            """(() => { const seen = [...document.querySelectorAll('.strip li')].filter((item) => item.offsetWidth);
            const box = (node) => node.getBoundingClientRect();
            const [svg, walk] = [box(document.querySelector('.curve svg')), box(document.querySelector('.walk input'))];
            const [first, last] = [seen[0], seen.at(-1)].map((item) => (box(item).left + box(item).right) / 2);
            return [[first, svg.left, walk.left + 8], [last, svg.right, walk.right - 8]]; })()"""
        )
        for picture, curve, slider in ends:
            assert curve == pytest.approx(picture, abs=1)
            assert slider == pytest.approx(picture, abs=1)


@pytest.mark.parametrize(
    ("expression", "text"),
    [
        ("number(0)", "0"),
        ("number(-0.5)", "−0.5"),
        ("number(1234.5, 6)", "1,234.5"),
        ("number(0.00001234)", "1.23 × 10⁻⁵"),
        ("number(NaN)", "–"),
        ("nats(0.0004)", "<0.001"),
        ("percent(0.0123)", "1.2 %"),
        ("milliseconds(1234)", "1.23 s"),
        ("sentences({decision: 'clean', label: 3, label_name: 'three', p_value: 0.02}, 99).join(' ')",
         "The classifier names it “three”. "
         "Of 99 clean images kept aside for comparison, one looks at least as suspicious."),
    ],
)  # fmt: skip
def test_numbers_are_written_as_people_read_them(page: Any, expression: str, text: str) -> None:
    assert (
        page.value(
            f"import('/assets/words.js').then(({{ number, nats, percent, milliseconds, sentences }}) => {expression})"
        )
        == text
    )


def test_without_pictures_the_profile_stands_where_its_bundle_says(page: Any) -> None:
    result = {"pictures": None, "profile": [0.0, 3.0, None, 1.0]}
    drawn = page.value(
        f"""import('/assets/path.js').then(({{ pathTracks, pointsOf }}) => {{
        const points = pointsOf({json.dumps(result)}, [0, 0.5, 0.75, 1]);
        const tracks = pathTracks({{ name: 'x', onMove: () => {{}}, points }});
        return [tracks.querySelector('.line').getAttribute('d'), tracks.textContent.includes('false'),
          pointsOf({json.dumps(result)}, [0, 1]).length, pointsOf({{profile: null}}, [0, 1]).length]; }})"""
    )
    assert drawn == ["M0 94L1.5 6L3 64.67", False, 0, 0]


def test_what_rises_above_the_higher_end_is_shaded_and_nothing_else(page: Any) -> None:
    # Ends at 0 and 1, one peak at 2: above the level 1 lies a triangle from x = 0.5 to x = 2.
    shaded = page.value(
        """import('/assets/path.js').then(({ pathTracks }) => pathTracks({ name: 'x', onMove: () => {}, points:
        [0, 2, 1].map((value, index) => ({ position: index / 2, uri: null, cross_entropy: value })) })
        .querySelector('.risen').getAttribute('d'))"""
    )
    assert shaded == "M0 50L0 50L0.5 50L1 6L2 50L2 50Z"
