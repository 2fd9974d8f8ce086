import asyncio
import re
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI

from service.rest.failures import Failures
from service.rest.page import ASSETS, INDEX, router

FOLDER = Path(__file__).parents[3] / "service" / "rest" / "page"
SCRIPTS = {name: asset.content.decode() for name, asset in ASSETS.items() if name.endswith(".js")}
MARKUP = ASSETS[INDEX].content.decode()
STYLES = {name: ASSETS[name].content.decode() for name in ("report.css", "page.css")}


def get(path: str, *, method: str = "GET", known: str | None = None) -> httpx.Response:
    """The answer of an app that has the page alone."""
    app = FastAPI()
    app.include_router(router)
    app.add_middleware(Failures)

    async def asked() -> httpx.Response:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://page") as client:
            return await client.request(method, path, headers={} if known is None else {"If-None-Match": known})

    return asyncio.run(asked())


def test_every_file_of_the_folder_is_served_as_what_it_is() -> None:
    kinds = {".css": "text/css", ".html": "text/html", ".js": "text/javascript", ".svg": "image/svg+xml"}
    for file in FOLDER.iterdir():
        answer = get(f"/assets/{file.name}")
        assert answer.status_code == 200
        assert answer.content == file.read_bytes()
        assert answer.headers["content-type"].split(";")[0] == kinds[file.suffix]


def test_the_root_is_the_page() -> None:
    answer = get("/")
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert answer.text == MARKUP
    assert get("/", method="HEAD").headers["content-length"] == str(len(answer.content))


@pytest.mark.parametrize("path", ["/", "/assets/page.css"])
def test_a_browser_that_has_a_file_already_is_told_so(path: str) -> None:
    tag = get(path).headers["etag"]
    for known in (tag, f'"other", W/{tag}'):
        again = get(path, known=known)
        assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", tag)
    assert get(path, known='"other"').status_code == 200


@pytest.mark.parametrize("name", ["page.py", "..%2fpage.py", "%2e%2e", "", "page.css.bak", "index.html%00"])
def test_nothing_but_the_page_is_served(name: str) -> None:
    assert get(f"/assets/{name}").status_code == 404


def test_the_page_refers_to_every_file_and_to_none_that_is_not_there() -> None:
    referred = set(re.findall(r'(?:src|href)="assets/([^"]+)"', MARKUP))
    imported = {name for text in SCRIPTS.values() for name in re.findall(r'from "\./([^"]+)"', text)}
    assert referred == set(ASSETS) - {INDEX}
    assert imported == set(SCRIPTS) - {"main.js"}, "each module is loaded early, and by somebody"


def test_the_scripts_find_every_element_that_they_look_for() -> None:
    there = re.findall(r'\bid="([^"]+)"', MARKUP)
    sought = {name for text in SCRIPTS.values() for name in re.findall(r'(?:getElementById|part)\("([^"]+)"\)', text)}
    assert len(there) == len(set(there))
    assert sought <= set(there)
    pointed = re.findall(r'(?:for|aria-controls|aria-labelledby|aria-describedby)="([^"]+)"', MARKUP)
    assert set(pointed) <= set(there)


@pytest.mark.parametrize("name", sorted(SCRIPTS))
def test_no_script_makes_markup_or_code_of_text(name: str) -> None:
    ways = r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|DOMParser|createContextualFragment|srcdoc"
    ways += r"|\beval\b|new Function|\bstyle:|javascript:|localStorage|document\.cookie"
    assert not re.findall(ways, SCRIPTS[name])


def test_the_page_needs_no_other_host_and_nothing_inline() -> None:
    for name, asset in ASSETS.items():
        addresses = re.findall(r"(?:https?:)?//[\w.-]+\.\w+[^\s\"')]*", asset.content.decode())
        assert set(addresses) <= {"http://www.w3.org/2000/svg"}, name
    assert not re.search(r"<style|\sstyle=|\son\w+=|<script(?![^>]*src=)", MARKUP)
    assert "@import" not in STYLES["page.css"]
    assert "url(" not in STYLES["page.css"]


def test_all_colours_are_those_of_the_reports() -> None:
    used = set(re.findall(r"var\((--[\w-]+)\)", STYLES["page.css"]))
    made_here = {"--columns", "--points"}
    assert used - made_here <= set(colours("light"))
    assert not re.search(r"#[0-9a-f]{3,8}\b|rgba?\(|hsla?\(", STYLES["page.css"])


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("ink", ["--ink", "--soft", "--accent", "--warning", "--good"])
def test_text_stands_out_from_the_paper(scheme: str, ink: str) -> None:
    known = colours(scheme)
    for paper in ("--paper", "--raised"):
        assert contrast(known[ink], known[paper]) >= 4.5, paper


def colours(scheme: str) -> dict[str, str]:
    """The last values of each variable, which in the dark scheme come after those of the light one."""
    found = re.findall(r"(--[\w-]+): (#[0-9a-f]{6});", STYLES["report.css"])
    return dict(found) if scheme == "dark" else dict(reversed(found))


def contrast(one: str, other: str) -> float:
    """WCAG 2.2's contrast ratio of two colours, from 1 to 21."""
    darker, lighter = sorted((luminance(one), luminance(other)))
    return (lighter + 0.05) / (darker + 0.05)


def luminance(colour: str) -> float:
    channels = [int(colour[start : start + 2], 16) / 255 for start in (1, 3, 5)]
    linear = [value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4 for value in channels]
    return sum(weight * value for weight, value in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def test_contrast_is_that_of_the_definition() -> None:
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#767676", "#ffffff") == pytest.approx(4.54, abs=0.01)
