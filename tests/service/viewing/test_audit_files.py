import os

import pytest

from service.errors import InputError, NotFoundError
from service.viewing.audit_files import AuditFiles


def test_a_folder_that_is_no_audit_is_refused_with_what_to_give(tmp_path):
    with pytest.raises(InputError, match="holds no audit"):
        AuditFiles(tmp_path)
    (tmp_path / "file").touch()
    for path in (tmp_path / "absent", tmp_path / "file"):
        with pytest.raises(InputError, match="isthmus audit wrote"):
            AuditFiles(path)


def test_an_audit_that_has_only_begun_is_shown(made):
    files = AuditFiles(made.folder)
    (made.folder / "done").rmdir()
    standing = files.standing()
    assert (files.done(), standing.n_listed, standing.has_discoveries, standing.has_report) == ([], None, False, False)


def test_the_threshold_is_the_largest_p_value_of_the_list(made):
    files = AuditFiles(made.folder)
    made.discoveries(0.01, 0.03, 0.02)
    assert files.standing().threshold == 0.03
    made.discoveries()
    assert (files.standing().threshold, files.standing().has_discoveries) == (None, True)


@pytest.mark.parametrize("content", ["", "[]", "{", '{"n_items": null}'])
def test_a_damaged_listing_is_said(made, content):
    (made.folder / "listing.json").write_text(content)
    with pytest.raises(InputError, match=r"listing.json is damaged"):
        AuditFiles(made.folder).standing()


def test_a_row_is_found_with_its_item(made, row):
    made.shard(3, row(path="a"), row(path="b", own=("<script>", None), given="g"))
    files = AuditFiles(made.folder)
    record, item = files.record(3, 1), files.item(3, 1)
    assert (record["path"], record["manifest_uploaded_by"], item.path) == ("b", "<script>", "b")
    assert (item.given_label, item.columns, item.container) == ("g", ("<script>", None), str(made.file(1)))
    records, items = files.chosen(3, [1, 0])
    assert [record["path"] for record in records] == [item.path for item in items] == ["b", "a"]


@pytest.mark.parametrize(("shard", "place"), [(0, 1), (0, -1), (1, 0), (-1, 0), (10**30, 0)])
def test_a_row_that_is_not_there_is_not_found(made, row, shard, place):
    made.shard(0, row(path="a"))
    files = AuditFiles(made.folder)
    for ask in (files.record, files.item):
        with pytest.raises(NotFoundError):
            ask(shard, place)


def test_a_folder_whose_name_is_no_text_is_read_like_any_other(made, row, tmp_path):
    made.shard(0, row(path="a"))
    odd = os.fsdecode(os.fsencode(tmp_path) + b"/\xff*[1]?")
    os.rename(made.folder, odd)  # noqa: PTH104
    files = AuditFiles(tmp_path / odd)
    assert files.record(0, 0)["path"] == "a"
