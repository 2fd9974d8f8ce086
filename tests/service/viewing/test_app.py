import asyncio
import contextlib
import json
import re

import httpx
import numpy as np
import pytest

from service.rest.page import INDEX
from service.viewing.app import PAGE, REPORT_POLICY, SHARED, create_app
from service.viewing.state import View

HOSTILE = "<img src=x onerror=alert(1)>\u202e'\"&.png"
SCRIPTS = {name: asset.content.decode() for name, asset in PAGE.items() if name.endswith(".js")}
MARKUP = PAGE[INDEX].content.decode()


class Asked:
    def __init__(self, view):
        self.view = view
        self.app = create_app(view)

    def get(self, path, *, base="http://127.0.0.1:8090", method="GET", **options):
        async def send():
            async with httpx.AsyncClient(transport=httpx.ASGITransport(self.app), base_url=base) as client:
                return await client.request(method, path, **options)

        return asyncio.run(send())

    def json(self, path, **parameters):
        answer = self.get(f"/v1/{path}", params=parameters)
        assert answer.status_code == 200, answer.text
        return answer.json()


@pytest.fixture
def page(made, row):
    made.shard(
        0,
        row(path=HOSTILE, kind="adversarial", p_value=0.01, given="dog", own=("<script>", float("nan"))),
        row(path="a/same.png"),
        row(path="a/none.png", kind="unreadable"),
        row(path="b/also.png", seed=1),
    )
    view = View(made.folder, allow_urls=False)
    for _ in view.index.load():
        pass
    yield Asked(view)
    view.close()


def test_a_hostile_name_comes_back_as_text(page):
    [row] = page.json("rows", kind="adversarial")["rows"]
    assert row["path"] == HOSTILE
    known = page.json(f"rows/{row['shard']}/{row['row']}")
    assert known["record"]["path"] == HOSTILE
    assert known["own"] == [["uploaded_by", "<script>"]]
    answer = page.get("/v1/rows")
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["content-security-policy"].startswith("default-src 'none'; frame-ancestors 'none'")


def test_an_image_is_told_of_with_its_duplicates_and_its_place(page, made):
    known = page.json("rows/0/0")
    assert [other["path"] for other in known["duplicates"]] == ["a/same.png"]
    assert known["n_same"] == 2
    assert known["place"]["container"] == str(made.file(0))
    assert page.json("rows/0/2")["duplicates"] == []


def test_a_picture_is_a_png_made_here(page):
    answer = page.get("/v1/pictures/0/0")
    assert (answer.status_code, answer.headers["content-type"], answer.content[1:4]) == (200, "image/png", b"PNG")
    assert answer.headers["cache-control"].startswith("private")


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/v1/rows/9/0", 404),
        ("/v1/rows/0/99", 404),
        ("/v1/rows/-1/0", 404),
        ("/v1/pictures/0/99", 404),
        ("/v1/pictures/0/0?side=100000", 400),
        ("/v1/pictures/..%2f..%2faudit.json/0", 404),
        ("/v1/rows?kind=everything", 400),
        ("/v1/rows?order=path;drop", 400),
        ("/v1/rows?after=nonsense", 400),
        ("/v1/rows?p_value_least=nan", 400),
        ("/v1/rows?n=0", 400),
        ("/v1/selection.exe", 400),
        ("/report", 404),
        ("/assets/state.py", 404),
        ("/assets/..%2fapp.py", 404),
        ("/docs", 404),
        ("/openapi.json", 404),
    ],
)
def test_what_is_not_there_or_makes_no_sense_is_refused_with_a_sentence(page, path, status):
    answer = page.get(path)
    assert answer.status_code == status
    assert answer.json()["error"]


def test_a_missing_image_says_why(page, made):
    made.file(0).unlink()
    answer = page.get("/v1/pictures/0/0")
    assert (answer.status_code, answer.json()["error"]) == (404, "the file cannot be read (No such file or directory)")


@pytest.mark.parametrize("path", ["/", "/v1/audit", "/v1/pictures/0/0", "/report"])
def test_only_this_machine_is_answered_and_only_to_its_own_page(page, path):
    assert page.get(path, base="http://attacker.example").status_code == 421
    foreign = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors", "Sec-Fetch-Dest": "image"}
    assert page.get(path, headers=foreign).status_code == 403
    for host in ("http://localhost:8090", "http://[::1]:8090"):
        assert page.get(path, base=host).status_code == (404 if path == "/report" else 200)


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
def test_nothing_can_be_changed(page, method):
    assert page.get("/v1/rows", method=method).status_code == 405


def test_the_report_may_run_its_own_scripts_and_reach_nothing(page, made):
    (made.folder / "report.html").write_text("<!doctype html><p>the report")
    answer = page.get("/report")
    assert (answer.status_code, answer.text) == (200, "<!doctype html><p>the report")
    assert answer.headers["content-security-policy"] == REPORT_POLICY
    assert "allow-same-origin" not in REPORT_POLICY
    assert page.get("/").headers["content-security-policy"].startswith("default-src 'none'; script-src 'self';")
    assert page.json("audit")["has_report"]


def test_an_audit_that_goes_on_is_followed(page, made, row):
    before = page.json("audit")
    assert (before["n_images"], before["n_listed"], before["has_discoveries"]) == (4, None, False)
    assert page.json("choices")["given_label"] == [["dog", 1]]
    made.shard(1, row(path="new", given="cat"))
    made.discoveries(0.02)
    (made.folder / "listing.json").write_text(json.dumps({"n_shards": 2, "n_items": 5, "skipped": {}, "sha256": ""}))
    list(page.view.index.load())
    after = page.json("audit")
    assert (after["n_images"], after["n_listed"], after["threshold"]) == (5, 5, 0.02)
    assert page.json("choices")["given_label"] == [["cat", 1], ["dog", 1]]
    assert [row["path"] for row in page.json("rows", discoveries=True)["rows"]] == [HOSTILE]


def test_a_source_whose_name_is_no_text_is_told(made):
    file = made.folder / "audit.json"
    document = json.loads(file.read_text())
    document["source"]["location"] = "/data/\udcff"
    file.write_text(json.dumps(document))
    with contextlib.closing(View(made.folder, allow_urls=False)) as view:
        assert Asked(view).json("audit")["source"]["location"] == "/data/\\udcff"


def test_a_selection_is_downloaded(page):
    answer = page.get("/v1/selection.jsonl", params={"folder": "a"})
    assert [json.loads(line)["path"] for line in answer.text.splitlines()] == ["a/same.png", "a/none.png"]
    assert answer.headers["content-disposition"] == 'attachment; filename="selection.jsonl"'
    assert page.get("/v1/selection.csv").text.count("\n") == 5


def test_the_page_refers_to_every_file_and_to_none_that_is_not_there():
    referred = set(re.findall(r'(?:src|href)="assets/([^"]+)"', MARKUP))
    imported = {name for text in SCRIPTS.values() for name in re.findall(r'from "\./([^"]+)"', text)}
    assert referred == set(PAGE) - {INDEX}
    assert imported == set(SCRIPTS) - {"main.js"}
    assert set(SHARED) <= referred


def test_the_scripts_find_every_element_that_they_look_for():
    there = re.findall(r'\bid="([^"]+)"', MARKUP)
    sought = {name for text in SCRIPTS.values() for name in re.findall(r'(?:getElementById|part)\("([^"]+)"\)', text)}
    assert sought - {"detail-name"} <= set(there)
    assert len(there) == len(set(there))


@pytest.mark.parametrize("name", sorted(SCRIPTS))
def test_no_script_makes_markup_or_code_of_text(name):
    ways = r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|DOMParser|createContextualFragment|srcdoc"
    ways += r"|\beval\b|new Function|\bstyle:|javascript:|localStorage|document\.cookie"
    assert not re.findall(ways, SCRIPTS[name])


def test_the_page_needs_no_other_host_and_nothing_inline():
    for name, asset in PAGE.items():
        addresses = re.findall(r"(?:https?:)?//[\w.-]+\.\w+[^\s\"')]*", asset.content.decode())
        assert set(addresses) <= {"http://www.w3.org/2000/svg"}, name
    assert not re.search(r"<style|\sstyle=|\son\w+=|<script(?![^>]*src=)", MARKUP)
    assert not re.search(r"#[0-9a-f]{3,8}\b|rgba?\(|url\(|@import", PAGE["view.css"].content.decode())


def test_a_page_of_many_pictures_is_read_from_many_shards(page, made, row):
    for number in range(1, 12):
        made.shard(number, row(path=str(number), seed=number))
    list(page.view.index.load())
    drawn = [page.get(f"/v1/pictures/{number}/0").content for number in range(1, 12)]
    assert len(set(drawn)) == 11
    assert np.all([png[1:4] == b"PNG" for png in drawn])
