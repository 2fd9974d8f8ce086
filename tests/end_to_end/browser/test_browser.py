"""The page at `/`, in a real browser, before a real server."""

import dataclasses
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import torch
from PIL import Image
from torch import Tensor

from detector.evaluation.attacks import pgd
from detector.types import to_pixels, to_stored
from detector.verdict import Decision, Verdict
from models.digits import load_digits_images
from service.bundles import ClassifierChoice, open_detector

# A browser and a server are started for them.
pytestmark = pytest.mark.slow

RATE = 0.05
DONE = "!document.querySelector('article.pending')"


@dataclasses.dataclass(frozen=True)
class Judged:
    """An image file, and what Python says of it."""

    path: Path
    verdict: Verdict
    labels: tuple[str, ...]

    @property
    def label(self) -> str:
        return self.labels[self.verdict.label]


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> dict[Decision, Judged]:
    """A scan that passes, and one that is flagged after an attack."""
    opened = open_detector("digits", false_positive_rate=RATE, choice=ClassifierChoice())
    _, data = load_digits_images()
    clean, labels, attack = to_pixels(data.images[::30]), data.labels[::30], pgd(0.2)
    attacked = to_pixels(to_stored(attack(opened.detector.classifier, clean, labels, torch.Generator().manual_seed(0))))
    folder = tmp_path_factory.mktemp("digits")
    found = {}
    for decision, images in ((Decision.CLEAN, clean), (Decision.ADVERSARIAL, attacked)):
        verdicts = opened.detector.inspect(images)
        index = next(index for index, verdict in enumerate(verdicts) if verdict.decision is decision)
        path = folder / f"{decision.value}.png"
        write_png(images[index], path)
        found[decision] = Judged(path=path, verdict=verdicts[index], labels=opened.labels)
    return found


def write_png(image: Tensor, path: Path) -> None:
    Image.fromarray(to_stored(image[None])[0, 0].numpy()).save(path)


@pytest.fixture
def page(browser: Any, page_url: str) -> Iterator[Any]:
    """The page, with the digits' detector chosen; nothing may have gone wrong in it by the end."""
    browser.look(width=1100, height=900)
    browser.open(page_url)
    browser.until("document.querySelector('#bundle').options.length > 0")
    browser.value("document.querySelector('#bundle').value = 'digits'")
    browser.value("document.querySelector('#bundle').dispatchEvent(new Event('change'))")
    yield browser
    assert browser.complaints() == []
    assert all(address.startswith(page_url) for address in browser.requests())


@pytest.mark.parametrize("decision", [Decision.CLEAN, Decision.ADVERSARIAL])
def test_the_page_says_what_python_says(page: Any, digits: dict[Decision, Judged], decision: Decision) -> None:
    image = digits[decision]
    page.choose("#files", image.path)
    page.until(f"document.querySelector('article.{decision.value}')")
    figures = shown_figures(page)
    assert page.text("article h3") == image.path.name
    assert page.text("article .verdict").lower() == decision.value
    assert figures["classifier"] == image.label
    assert image.verdict.p_value is not None
    assert float(figures["p-value"].split()[0]) == pytest.approx(image.verdict.p_value, rel=0.05)
    if image.verdict.suspected_label is not None:
        assert figures["suspected"] == image.labels[image.verdict.suspected_label]
    assert page.value("document.querySelectorAll('article .strip img').length") == 13
    assert page.value("[...document.querySelectorAll('article img')].every((img) => img.naturalWidth === 8)")
    assert page.value("document.querySelector('article .curve .line').getTotalLength()") > 12


def shown_figures(page: Any) -> dict[str, str]:
    rows = page.value(
        "[...document.querySelectorAll('article dl > div')].map((row) => [...row.children].map((c) => c.innerText))"
    )
    return dict(rows)


def test_what_is_no_image_is_told_as_text_whatever_it_is_called(
    page: Any, digits: dict[Decision, Judged], tmp_path: Path
) -> None:
    wrong = tmp_path / "<img src=x onerror=alert(1)>.png"
    wrong.write_text("<script>alert(1)</script>")
    page.choose("#files", wrong, digits[Decision.CLEAN].path)
    page.until("document.querySelector('article.failed') && document.querySelector('article.clean')")
    assert "not an image" in page.text("article.failed .failure")
    assert page.text("article.failed h3") == wrong.name
    assert page.value("document.querySelectorAll('article.failed img, article.failed script').length") == 0
    [complaint] = page.complaints()
    assert "400" in complaint
    page.forget()


def test_an_image_may_be_dropped_or_pasted(page: Any, digits: dict[Decision, Judged]) -> None:
    page.drop("#drop", digits[Decision.CLEAN].path)
    page.until(f"document.querySelectorAll('article').length === 1 && {DONE}")
    assert not page.value("document.querySelector('#drop').classList.contains('over')")
    page.value(
        """(() => { const png = atob(document.querySelector('article .strip img').src.split(',')[1]);
        const file = new File([Uint8Array.from(png, (byte) => byte.charCodeAt(0))], 'pasted.png', {type: 'image/png'});
        const data = new DataTransfer(); data.items.add(file);
        dispatchEvent(new ClipboardEvent('paste', {clipboardData: data, cancelable: true})); })()"""
    )
    page.until(f"document.querySelectorAll('article').length === 2 && {DONE}")
    assert page.text("article h3") == "pasted.png"
    p_values = page.value("[...document.querySelectorAll('.scale')].map((scale) => scale.ariaLabel)")
    assert p_values[0] == p_values[1]


def test_everything_can_be_done_with_the_keyboard(page: Any, digits: dict[Decision, Judged]) -> None:
    page.choose("#files", digits[Decision.ADVERSARIAL].path)
    page.until("document.querySelector('article.adversarial')")
    page.value("document.activeElement.blur()")
    stops = walk(page, "footer a")
    assert stops[:4] == ["inspect-tab", "files", "bundle", "rate"]
    assert stops[4:] == ["range", "summary", "summary", "This verdict is wrong", "Inspect again", "Remove", "A"]
    page.value("document.querySelector('.walk input').focus()")
    for _ in range(12):
        page.press("ArrowRight")
    assert page.text(".sight figure:nth-child(2) figcaption").startswith("prototype")
    assert page.value("document.querySelector('.walk input').getAttribute('aria-valuetext')").startswith(
        "1 of the path"
    )
    page.value("document.querySelector('#inspect-tab').focus()")
    for key, shown in (("ArrowRight", "live"), ("ArrowRight", "inspect"), ("End", "live"), ("Home", "inspect")):
        page.press(key)
        assert page.value("document.activeElement.id") == f"{shown}-tab"
        assert page.value("[...document.querySelectorAll('[role=tabpanel]:not([hidden])')].map((p) => p.id)") == [shown]


def walk(page: Any, last: str) -> list[str]:
    """What Tab goes through from the top of the page, all of it visibly."""
    stops = []
    for _ in range(40):
        page.press("Tab")
        name, is_marked, is_last = page.value(
            f"""(() => {{ const node = document.activeElement, style = getComputedStyle(node.closest('.drop') ?? node);
            const thumb = node.type === 'range' && node.matches(':focus-visible');
            return [node.id || (node.type === 'range' ? 'range' : node.matches('button') ? node.innerText
              : node.matches('summary') ? 'summary' : node.tagName),
              thumb || style.outlineStyle !== 'none', node.matches({json.dumps(last)})]; }})()"""
        )
        assert is_marked, name
        stops.append(name)
        if is_last:
            return stops
    raise AssertionError(f"Tab never came to {last}: {stops}")


def test_a_screen_reader_is_told_what_there_is(page: Any, digits: dict[Decision, Judged]) -> None:
    page.choose("#files", digits[Decision.ADVERSARIAL].path)
    page.until("document.querySelector('article.adversarial')")
    nodes = page.accessible()
    named = {"button", "combobox", "spinbutton", "slider", "tab", "tabpanel", "image", "article", "heading", "link"}
    assert [node for node in nodes if node["role"] in named and not node["name"]] == []
    assert {"adversarial.png", "Isthmus"} <= {node["name"] for node in nodes if node["role"] == "heading"}
    said = page.text("#announcer")
    assert said.startswith("adversarial.png: Adversarial")
    assert any(str(node["name"]).startswith("p-value 0.") for node in nodes if node["role"] == "image")


def test_a_wrong_verdict_is_reported_with_its_image(page: Any, digits: dict[Decision, Judged], page_url: str) -> None:
    page.choose("#files", digits[Decision.CLEAN].path)
    page.until("document.querySelector('article.clean')")
    page.value("document.querySelector('[aria-controls^=feedback]').focus()")
    page.press("Enter")
    assert page.value("document.activeElement.value") == "adversarial"
    page.value("document.querySelector('.feedback select').value = '7'")
    page.value("document.querySelector('.feedback input[type=text]').focus()")
    page.write("a seven, by the looks of it")
    page.press("Enter")
    page.until("document.querySelector('.feedback').innerText.startsWith('Recorded')")
    request_id = shown_figures(page)["request"]
    lines = httpx.get(f"{page_url}/v1/feedback").text.splitlines()
    [report] = [report for report in map(json.loads, lines) if report["request_id"] == request_id]
    assert report["correct_decision"] == "adversarial"
    assert report["correct_label"] == 7
    assert report["note"] == "a seven, by the looks of it"


def test_the_live_view_counts_and_can_be_paused(page: Any, digits: dict[Decision, Judged]) -> None:
    page.choose("#files", digits[Decision.CLEAN].path, digits[Decision.ADVERSARIAL].path)
    page.until(f"document.querySelectorAll('article').length === 2 && {DONE}")
    page.click("#live-tab")
    page.until("/^clean [1-9]/m.test(document.querySelector('.verdicts ul').innerText)")
    assert "adversarial" in page.text(".verdicts ul")
    assert "digits" in page.text(".drift tbody")
    assert "steady" in page.text(".drift tbody")
    page.click("#pause")
    n_asked = len(stats_requests(page))
    page.value("new Promise((done) => setTimeout(done, 1300))")
    assert len(stats_requests(page)) == n_asked
    page.click("#pause")
    page.until("document.querySelector('#pause').ariaPressed === 'false'")
    page.value("new Promise((done) => setTimeout(done, 1300))")
    assert len(stats_requests(page)) > n_asked


def stats_requests(page: Any) -> list[str]:
    return [address for address in page.requests() if address.endswith("/v1/stats")]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [320, 390, 1400])
def test_nothing_is_cut_off_on_any_screen(page: Any, digits: dict[Decision, Judged], width: int, scheme: str) -> None:
    page.look(width=width, height=800, scheme=scheme)
    page.choose("#files", digits[Decision.ADVERSARIAL].path)
    page.until("document.querySelector('article.adversarial')")
    for tab in ("#inspect-tab", "#live-tab"):
        page.click(tab)
        assert page.value("document.documentElement.scrollWidth") <= width
    paper = page.value("getComputedStyle(document.body).backgroundColor")
    assert (sum(json.loads(f"[{paper[4:-1]}]")) < 200) == (scheme == "dark")


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


def test_a_busy_server_is_asked_again_and_a_lost_one_is_told_of(page: Any, digits: dict[Decision, Judged]) -> None:
    page.value(
        """(() => { const real = window.fetch; let nRefused = 0; window.fetch = (address, options) => {
        if (!String(address).includes('/v1/detect') || nRefused++ > 0) return real(address, options);
        return Promise.resolve(new Response('{"error": "every place is taken"}',
          {status: 429, headers: {'Retry-After': '0'}})); }; })()"""
    )
    page.choose("#files", digits[Decision.CLEAN].path)
    page.until("document.querySelector('article.clean')")
    page.value("window.fetch = () => Promise.reject(new TypeError('gone'))")
    page.choose("#files", digits[Decision.CLEAN].path)
    page.until("document.querySelector('article.failed')")
    assert page.text("article.failed .failure") == "The server cannot be reached."


def test_a_rate_that_the_detector_does_not_support_is_not_sent(page: Any, digits: dict[Decision, Judged]) -> None:
    for rate in ("", "0", "100", "0.0001"):
        page.value(f"document.querySelector('#rate').value = {json.dumps(rate)}")
        page.value("document.querySelector('#rate').dispatchEvent(new Event('input'))")
        assert page.value("document.querySelector('#rate').ariaInvalid") == "true"
    page.choose("#files", digits[Decision.CLEAN].path)
    page.until("!document.querySelector('#intake-failure').hidden")
    assert page.value("document.activeElement.id") == "rate"
    assert page.value("document.querySelectorAll('article').length") == 0


def test_the_page_opens_to_whoever_has_a_key(
    browser: Any, running_server: Callable[..., Any], digits: dict[Decision, Judged]
) -> None:
    server = running_server(ISTHMUS_KEYS="me:four-and-twenty-blackbirds")
    browser.open(server.url.replace("//", "//anybody:four-and-twenty-blackbirds@"))
    browser.until("document.querySelector('#bundle').options.length > 0")
    browser.choose("#files", digits[Decision.CLEAN].path)
    browser.until("document.querySelector('article.clean')")
    assert browser.complaints() == []


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
