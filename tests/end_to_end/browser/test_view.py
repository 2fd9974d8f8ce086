"""The page of `isthmus view`, in a real browser, before a real audit folder with names that nobody should trust."""

import hashlib
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from service.offline.folder.contract import Contract
from service.offline.items import Item
from service.offline.schema import listing_table, results_table
from service.records import FIELDS, Record

LABELS = ("cat", "<b>dog</b>")
HOSTILE = "a/<img src=x onerror=alert(1)>\u202egnp.\x07.png"
SHOWN = "a/<img src=x onerror=alert(1)>[U+202E]gnp.[U+0007].png"
N_IMAGES = 60
ROWS = "document.querySelectorAll('#rows tbody tr').length"
COLUMNS = pa.schema([pa.field("note", pa.string())])


def record(number: int, path: str) -> Record:
    empty = dict.fromkeys(FIELDS) | {"path": path}
    if number == 59:
        return empty | {"decision": "undecided", "error": "the image is damaged (cut off); give an intact file"}
    return empty | {
        "decision": "adversarial" if number < 2 else "clean",
        "label": number % 2,
        "label_name": LABELS[number % 2],
        "score": float(-number),
        "p_value": (number + 1) / 60,
        "false_positive_rate": 0.05,
        "barrier": 0.5,
        "prototype": 0,
        "suspected_label": 0,
        "suspected_label_name": LABELS[0],
        "outcome": "converged",
        "profile": [0.1, 2.0, 0.3],
    }


def write_audit(folder: Path) -> Path:
    """Sixty images, the second the most suspicious but one; the image of the third has gone since."""
    audit, source = folder / "audit", (folder / "source").resolve()
    for place in (source, audit / "results", audit / "listing", audit / "done"):
        place.mkdir(parents=True)
    items, records, digests = [], [], []
    for number in range(N_IMAGES):
        path = HOSTILE if number == 1 else f"{'a' if number < 30 else 'b'}/{number:02}.png"
        pixels = np.random.default_rng(number % 50).integers(0, 256, (8, 8, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(source / f"{number}.png")
        status = (source / f"{number}.png").stat()
        items.append(
            Item(
                path=path,
                container=str(source / f"{number}.png"),
                size=status.st_size,
                stamp=str(status.st_mtime_ns),
                columns=("<script>alert(2)</script>",),
            )
        )
        records.append(record(number, path))
        digests.append(hashlib.sha256(pixels).hexdigest()[:16] if number != 59 else None)
    (source / "2.png").unlink()
    pq.write_table(results_table(items, records, digests, COLUMNS), audit / "results" / "00000000.parquet")
    pq.write_table(listing_table(items, COLUMNS), audit / "listing" / "00000000.parquet")
    (audit / "done" / "00000000.json").write_text("{}")
    contract = Contract(
        bundle="digits", bundle_digest="b", classifier="digits", classifier_digest="c", preprocessing={}, labels=LABELS,
        false_positive_rate=0.05, n_calibration=99, runtime="torch", chunk_images=256, columns=(), shard_size=1024,
        source={"kind": "folder", "location": "/data/uploads"}, device="cpu", n_threads=1,
        isthmus_version="0", torch_version="0",
    )  # fmt: skip
    (audit / "audit.json").write_bytes(contract.as_bytes())
    return audit


@pytest.fixture(scope="module")
def view_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("view")
    audit, said, temporary = write_audit(folder), folder / "said", folder / "temporary"
    temporary.mkdir()
    command = [str(Path(sys.executable).with_name("isthmus")), "view", str(audit), "--port", "0"]
    with said.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output, env=os.environ | {"TMPDIR": str(temporary)})
    deadline = time.monotonic() + 120
    while not (found := re.search(r"http://127\.0\.0\.1:\d+", said.read_text())):
        assert process.poll() is None and time.monotonic() < deadline, said.read_text()
        time.sleep(0.05)
    yield found[0]
    process.send_signal(signal.SIGTERM)
    assert process.wait(20) == 0, said.read_text()
    assert list(temporary.iterdir()) == [], "the index goes away with the process"


@pytest.fixture
def page(browser: Any, view_url: str) -> Iterator[Any]:
    """The page with its first rows; nothing may have gone wrong in it by the end."""
    browser.look(width=1300, height=900)
    browser.open(view_url)
    browser.until(f"{ROWS} === 50")
    yield browser
    complaints = [complaint for complaint in browser.complaints() if "/v1/pictures/0/2?" not in complaint]
    assert complaints == []
    assert all(address.startswith(view_url) for address in browser.requests())


def paths(page: Any) -> list[str]:
    return list(page.value("[...document.querySelectorAll('#rows button.path')].map((button) => button.innerText)"))


def fill(page: Any, name: str, value: str) -> None:
    page.value(f"document.querySelector('[name={name}]').focus()")
    page.write(value)


def test_the_most_suspicious_come_first_with_their_pictures_and_their_names_as_text(page: Any) -> None:
    assert paths(page)[:3] == ["a/00.png", SHOWN, "a/02.png"]
    page.until("document.querySelector('#rows img').naturalWidth === 8")
    page.until("document.querySelector('#rows tbody tr:nth-child(3) .thumb').innerText === 'not to be had'")
    assert page.value("document.querySelectorAll('#rows img[src=x], #rows b').length") == 0
    assert page.text("#count") == "60 images"
    assert page.text("#kinds").split("\n")[1:5] == ["All", "60", "Flagged", "2"]
    assert page.text("#source") == "/data/uploads · digits"


def test_pages_are_turned_and_rows_sorted(page: Any) -> None:
    page.click("#next")
    page.until(f"{ROWS} === 10")
    assert page.text("#range") == "51 to 60"
    page.click("#previous")
    page.until(f"{ROWS} === 50")
    page.click("#rows th:nth-child(2) button")
    page.until("document.querySelector('#rows th:nth-child(2)').ariaSort === 'ascending'")
    page.click("#rows th:nth-child(2) button")
    page.until("document.querySelector('#rows button.path').innerText === 'b/59.png'")
    assert page.value("document.querySelector('#rows [aria-sort]').ariaSort") == "descending"
    page.value("window.isOld = true")
    page.open(page.value("location.href"))
    assert not page.value("window.isOld")
    page.until(f"{ROWS} === 50")
    assert paths(page)[0] == "b/59.png"


def test_filters_change_rows_numbers_and_the_address(page: Any) -> None:
    page.click("[name=kind][value=flagged]")
    page.until(f"{ROWS} === 2")
    assert page.text("#count") == "2 images"
    page.click("button[type=reset]")
    page.until(f"{ROWS} === 50")
    fill(page, "folder", "b")
    page.until(f"{ROWS} === 30")
    fill(page, "p_value_most", "0.6")
    page.until(f"{ROWS} === 6")
    assert page.value("location.search") == "?p_value_most=0.6&folder=b"
    assert "folder=b" in page.value("document.querySelector('#downloads a').href")
    fill(page, "text", "no such thing")
    page.until("document.querySelector('#rows .note')")
    fill(page, "p_value_least", "7")
    page.until("!document.querySelector('#failure').hidden")


def test_a_label_is_chosen_from_those_there_are(page: Any) -> None:
    page.until("document.querySelector('#label').options.length === 3")
    assert page.text("#label option:nth-child(2)") == "cat (30)"
    page.value("document.querySelector('#label').value = '<b>dog</b>'")
    page.value("document.querySelector('#label').dispatchEvent(new Event('input', {bubbles: true}))")
    page.until("document.querySelector('#count').innerText === '29 images'")


def test_a_bar_of_the_histogram_is_shown_alone(page: Any) -> None:
    page.value("document.querySelector('#histogram .bin:nth-child(2)').dispatchEvent(new Event('click'))")
    page.until(f"{ROWS} === 4")
    assert page.value("location.search") == "?p_value_least=0.05&p_value_most=0.1"


def test_an_image_is_opened_and_left_with_the_keyboard(page: Any) -> None:
    page.value("document.querySelector('#rows button.path').focus()")
    page.command(
        "Input.dispatchKeyEvent", type="rawKeyDown", key="ArrowDown", code="ArrowDown", windowsVirtualKeyCode=40
    )
    page.press("Enter")
    page.until("document.querySelector('dialog[open] .large img')?.naturalWidth === 8")
    # Picture and fields come by two requests, in either order.
    page.until("document.querySelector('dialog .same')?.innerText && document.querySelector('dialog .profile .line')")
    assert page.text("#detail-name") == SHOWN
    assert "<script>alert(2)</script>" in page.text("dialog dl")
    assert "1 more with the same pixels" in page.text("dialog .same")
    assert page.value("document.querySelectorAll('dialog script, dialog img[src=x]').length") == 0
    assert page.value("document.querySelector('dialog .profile .line').getTotalLength()") > 2
    page.press("ArrowRight")
    page.until("document.querySelector('dialog .large .failure')")
    assert "cannot be read" in page.text("dialog .large .failure")
    page.press("ArrowLeft")
    page.until(f"document.querySelector('#detail-name').innerText === {SHOWN!r}")
    page.press("Escape")
    page.until(f"document.activeElement.innerText === {SHOWN!r}")
    assert not page.value("document.querySelector('dialog').open")
    # The dialog's event of closing comes behind its closing, and sets the focus once more.
    page.value("new Promise(done => requestAnimationFrame(() => setTimeout(done, 50)))")
    page.press("/")
    assert page.value("document.activeElement.name") == "text"


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 800, 1300])
def test_nothing_is_wider_than_the_screen(page: Any, width: int, scheme: str) -> None:
    page.look(width=width, height=800, scheme=scheme)
    assert page.value("document.documentElement.scrollWidth") <= width
    page.value("document.querySelectorAll('#rows button.path')[1].click()")
    page.until("document.querySelector('dialog[open] .large')")
    assert page.value("document.querySelector('dialog').scrollWidth <= document.querySelector('dialog').clientWidth")


def test_every_control_has_a_name(page: Any) -> None:
    roles = {"button", "textbox", "combobox", "radio", "checkbox", "spinbutton", "link"}
    controls = [node for node in page.accessible() if node["role"] in roles]
    assert len(controls) > 60
    assert [node for node in controls if not node["name"]] == []
