"""The page at `/` for whoever has a keyboard, a screen reader or a small screen, in a real browser."""

import json
from typing import Any

import pytest
from headless.judged import Judged

from detector.verdict import Decision

# A browser and a server are started for them.
pytestmark = pytest.mark.slow


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
