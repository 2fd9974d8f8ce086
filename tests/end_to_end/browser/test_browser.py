"""The page at `/`, in a real browser, before a real server."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from headless.judged import Judged

from detector.verdict import Decision

# A browser and a server are started for them.
pytestmark = pytest.mark.slow

DONE = "!document.querySelector('article.pending')"


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
    lines = httpx.get(f"{page_url}/v1/feedback", timeout=30).text.splitlines()
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
