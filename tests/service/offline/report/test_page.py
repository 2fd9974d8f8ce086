import dataclasses
import json
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from service.errors import InputError
from service.offline.report.page import OPEN_CARDS, render_report, write_report

HOSTILE = "<script>alert('1')</script>&\n\x1b[31m\u202egnp.png"

VOID = {"meta", "link", "img", "br"}


class Elements(HTMLParser):
    """Every start tag with its attributes; fails on a tag that is closed out of order."""

    def __init__(self, html):
        super().__init__()
        self.found, self.open, self.texts = [], [], []
        self.feed(html)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.texts.append(data)


@pytest.fixture(scope="module")
def html(contract, summary, pictures):
    return render_report(contract, {".txt": 2}, summary, pictures)


def test_every_element_is_closed_in_order_no_id_occurs_twice_and_every_link_leads_somewhere(html):
    elements = Elements(html)
    ids = [attributes["id"] for _, attributes in elements.found if "id" in attributes]
    assert len(ids) == len(set(ids)) > 10
    targets = {a["href"] for tag, a in elements.found if tag == "a"}
    assert targets and {target.removeprefix("#") for target in targets} <= set(ids)


def test_images_that_left_early_are_said_where_there_are_some(html, contract, summary, pictures):
    assert "first look" not in html
    early = dataclasses.replace(summary, counts=dataclasses.replace(summary.counts, n_left_early=500))
    assert "judged, 500 by a first look" in render_report(contract, {}, early, pictures)


def test_the_page_asks_for_nothing_from_outside_and_names_no_place_of_the_machine(html):
    addresses = [a[name] or "" for _, a in Elements(html).found for name in ("src", "href", "xlink:href") if name in a]
    assert addresses and all(address.startswith(("data:", "#")) for address in addresses)
    assert "@import" not in html and "http" not in html
    assert "uploads" in html and "/secret" not in html


def test_all_that_was_found_has_its_section(html):
    headings = re.findall(r'<h2 id="([a-z]+)">', html)
    assert headings == [
        *("steps", "counts", "share", "discoveries", "ranked", "clusters"),
        *("folders", "labels", "unreadable", "duplicates", "reading"),
    ]
    text = " ".join(Elements(html).texts)
    assert "120 are flagged" in text and "more than chance explains" in text and "2\u202f× .txt" in text
    assert "The image cannot be shown any more: the file is gone." in text


def test_an_audit_without_flagged_images_says_so_and_shows_no_empty_section(contract, nothing_flagged, no_pictures):
    html = render_report(contract, {}, nothing_flagged, no_pictures)
    assert re.findall(r'<h2 id="([a-z]+)">', html) == ["steps", "counts", "share", "discoveries", "reading"]
    text = " ".join(Elements(html).texts)
    assert "none is flagged" in text and "no proof that none was attacked" in text and "It is empty" in text


def test_an_audit_in_which_nothing_could_be_read_shows_why_and_no_figure_of_chance(contract, nothing_read, no_pictures):
    html = render_report(contract, {}, nothing_read, no_pictures)
    assert re.findall(r'<h2 id="([a-z]+)">', html) == ["steps", "counts", "unreadable", "reading"]
    assert "<svg" not in html and "nothing is known" in html


def test_what_strangers_named_is_shown_and_not_run(contract, summary, pictures):
    def renamed(part, **changes):
        return dataclasses.replace(part, **changes)

    image, found = summary.ranked[0], summary.duplicates
    group = renamed(summary.by_folder.top[0], name=HOSTILE)
    cluster = renamed(
        summary.clusters.clusters[0],
        aimed_at=HOSTILE,
        pairs=(renamed(summary.clusters.clusters[0].pairs[0], label_name=HOSTILE, suspected_label_name=HOSTILE),),
        folders=(renamed(summary.clusters.clusters[0].folders[0], folder=HOSTILE),),
        examples=(HOSTILE,),
    )
    hostile = renamed(
        summary,
        ranked=(
            renamed(image, path=HOSTILE, label_name=HOSTILE, given_label=HOSTILE, suspected_label_name=HOSTILE),
            renamed(image, rank=2, decision="undecided", error=HOSTILE),
        ),
        by_folder=renamed(summary.by_folder, top=(group,)),
        by_label=renamed(summary.by_label, top=(group,)),
        by_given_label=renamed(summary.by_given_label, top=(group,)),
        clusters=renamed(summary.clusters, clusters=(cluster,)),
        agreement=renamed(
            summary.agreement,
            confusions=(renamed(summary.agreement.confusions[0], given_label=HOSTILE, label_name=HOSTILE),),
        ),
        unreadable=(renamed(summary.unreadable[0], error=HOSTILE, examples=(HOSTILE,)),),
        duplicates=renamed(
            found,
            groups=(renamed(found.groups[0], paths=(HOSTILE,)),),
            conflicting=(renamed(found.conflicting[0], paths=(HOSTILE,), given_labels=(HOSTILE, "b")),),
        ),
    )
    named = contract.model_copy(update={"source": {"kind": HOSTILE, "location": HOSTILE}, "bundle": HOSTILE})
    examples = {HOSTILE: pictures.strips[0].image}
    strips = (pictures.strips[0], renamed(pictures.strips[1], refusal=HOSTILE))
    html = render_report(named, {HOSTILE: 1}, hostile, renamed(pictures, examples=examples, strips=strips))
    tags = [tag for tag, _ in Elements(html).found]
    assert tags.count("script") == 1 and "alert(" in html
    assert "\x1b" not in html and "\u202e" not in html
    assert html.count("&lt;script&gt;") >= 20


def test_many_images_are_shown_behind_a_fold(contract, summary, pictures):
    image, strip = summary.ranked[0], pictures.strips[1]
    many = tuple(dataclasses.replace(image, rank=rank) for rank in range(1, OPEN_CARDS + 4))
    html = render_report(
        contract,
        {},
        dataclasses.replace(summary, ranked=many),
        dataclasses.replace(pictures, strips=(strip,) * len(many)),
    )
    assert "<summary>3 more</summary>" in html
    assert html.index('id="flagged-12"') < html.index("<details") < html.index('id="flagged-13"')


def test_the_page_is_written_whole_and_is_the_same_text_each_time(tmp_path, contract, summary, pictures, html):
    with pytest.raises(InputError, match="holds no audit"):
        write_report(tmp_path, summary, pictures)
    (tmp_path / "audit.json").write_bytes(contract.as_bytes())
    listed = {"n_shards": 1, "n_items": 2, "skipped": {".txt": 2}, "sha256": "0"}
    (tmp_path / "listing.json").write_text(json.dumps(listed))
    write_report(tmp_path, summary, pictures)
    assert (tmp_path / "report.html").read_text("utf-8") == html
    assert sorted(path.name for path in tmp_path.iterdir()) == ["audit.json", "listing.json", "report.html"]


def test_a_page_that_cannot_be_written_leaves_the_old_one(tmp_path, contract, nothing_read, no_pictures, monkeypatch):
    (tmp_path / "audit.json").write_bytes(contract.as_bytes())
    (tmp_path / "report.html").write_text("old")

    def full(*_args, **_kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_text", full)
    with pytest.raises(OSError, match="No space left"):
        write_report(tmp_path, nothing_read, no_pictures)
    assert (tmp_path / "report.html").read_bytes() == b"old"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["audit.json", "report.html"]
