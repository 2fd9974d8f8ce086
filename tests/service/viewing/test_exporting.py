import csv
import json
import re

import pytest
from typer.testing import CliRunner

from service.cli import app
from service.viewing.exporting import safe_name

runner = CliRunner()


def export(audit, folder, *flags, kind="--export"):
    return runner.invoke(app, ["view", str(audit), kind, str(folder), *flags])


def manifest(folder):
    with (folder / "manifest.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture
def audit(made, row):
    flagged = {"kind": "adversarial", "label": 1, "suspected": 0}
    made.shard(
        0,
        row(path="a/../x\ny,\"'<b>.PNG", p_value=0.03, seed=0, given="cat, or dog", **flagged),
        row(path="clean.png", seed=1),
        row(path="a/none.png", kind="unreadable"),
    )
    made.shard(
        1,
        row(path="a/x.png", p_value=0.01, seed=2, **flagged),
        row(path="b/u.png", kind="undecided", p_value=None, seed=3),
    )
    return made


def test_flagged_images_are_copied_as_they_are_with_a_manifest(audit, tmp_path):
    out = tmp_path / "out"
    done = export(audit.folder, out)
    assert (done.exit_code, done.stdout) == (0, f"3 images are in {out}\n")
    rows = {row["audited_path"]: row for row in manifest(out)}
    # The most suspicious comes first, and the undecided one, which has no p-value, last.
    ranks = {"a/x.png": "1", "a/../x\ny,\"'<b>.PNG": "2", "b/u.png": "3"}
    assert {path: row["rank"] for path, row in rows.items()} == ranks
    for path, number in (("a/../x\ny,\"'<b>.PNG", 0), ("a/x.png", 3), ("b/u.png", 4)):
        assert (out / rows[path]["path"]).read_bytes() == audit.file(number).read_bytes()
    first = rows["a/../x\ny,\"'<b>.PNG"]
    assert (first["label"], first["predicted_label"], first["suspected_label"]) == ("cat, or dog", "dog", "cat")
    assert (float(first["p_value"]), first["manifest_uploaded_by"], first["path"]) == (
        0.03,
        "me",
        "images/0000002-x_y_b.png",
    )
    assert sorted(path.name for path in out.iterdir()) == ["images", "manifest.csv"]


@pytest.mark.parametrize(
    ("flags", "paths"),
    [
        (["--limit", "1"], ["a/x.png"]),
        (["--decision", "clean"], ["clean.png"]),
        (["--decision", "undecided"], ["b/u.png"]),
        (["--folder", "b"], ["b/u.png"]),
        (["--given-label", "cat, or dog"], ["a/../x\ny,\"'<b>.PNG"]),
        (["--label", "dog", "--suspected-label", "cat", "--limit", "1"], ["a/x.png"]),
    ],
)
def test_a_part_of_them_can_be_asked_for(audit, tmp_path, flags, paths):
    done = export(audit.folder, tmp_path / "out", *flags, "--json")
    assert json.loads(done.stdout) == {"folder": str(tmp_path / "out"), "n_images": len(paths), "n_left_out": 0}
    assert [row["audited_path"] for row in manifest(tmp_path / "out")] == paths


def test_discoveries_are_exported_once_the_list_is_there(audit, tmp_path):
    done = export(audit.folder, tmp_path / "out", "--discoveries")
    assert done.exit_code == 2
    assert "is not there yet" in done.stderr
    audit.discoveries(0.01)
    assert export(audit.folder, tmp_path / "out", "--discoveries").exit_code == 0
    assert [row["audited_path"] for row in manifest(tmp_path / "out")] == ["a/x.png"]


def test_nothing_to_export_is_said_and_nothing_written(audit, tmp_path):
    done = export(audit.folder, tmp_path / "out", "--label", "horse")
    assert (done.exit_code, done.stderr) == (0, "no image is like that; nothing was written\n")
    assert not (tmp_path / "out").exists()


def test_what_changed_or_went_is_left_out_and_said(audit, tmp_path):
    audit.file(0).write_bytes(b"other")
    done = export(audit.folder, tmp_path / "out")
    assert done.stdout == f"2 images are in {tmp_path / 'out'}; 1 could not be had, see left_out.csv\n"
    with (tmp_path / "out" / "left_out.csv").open(encoding="utf-8", newline="") as file:
        [row] = csv.DictReader(file)
    assert row["path"] == "a/../x\ny,\"'<b>.PNG"
    assert "changed" in row["error"]


def test_where_none_can_be_had_nothing_is_written(audit, tmp_path):
    for number in (0, 3, 4):
        audit.file(number).unlink()
    done = export(audit.folder, tmp_path / "out")
    assert done.exit_code == 2
    assert "none of the 3 images can be read (the file cannot be read" in done.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["audit", "source"]


def test_nothing_is_written_into_what_was_audited_or_into_the_audit(audit, tmp_path):
    contract = json.loads((audit.folder / "audit.json").read_text())
    contract["source"]["location"] = str(tmp_path / "source")
    (audit.folder / "audit.json").write_text(json.dumps(contract))
    for folder in (audit.folder / "copies", tmp_path / "source" / "copies"):
        done = export(audit.folder, folder)
        assert done.exit_code == 2
        assert "lies in" in done.stderr
        assert not folder.exists()


def test_a_folder_that_holds_something_is_left_alone(audit, tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    (out / "mine").write_text("kept")
    done = export(audit.folder, out)
    assert done.exit_code == 2
    assert "is not empty" in done.stderr
    assert [path.name for path in out.iterdir()] == ["mine"]


@pytest.mark.parametrize(("images", "dataset"), [("out", "out"), ("out", "out/data"), ("out/images", "out")])
def test_two_exports_do_not_take_the_place_of_each_other(audit, tmp_path, images, dataset):
    done = export(audit.folder, tmp_path / images, "--fiftyone", str(tmp_path / dataset))
    assert done.exit_code == 2
    assert "two folders that are apart" in done.stderr
    assert not (tmp_path / "out").exists()
    apart = export(audit.folder, tmp_path / "one", "--fiftyone", str(tmp_path / "two"))
    assert (apart.exit_code, (tmp_path / "one/manifest.csv").exists(), (tmp_path / "two/data").exists()) == (
        0,
        True,
        True,
    )


def test_the_working_folder_is_not_replaced(audit, tmp_path, monkeypatch):
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    done = export(audit.folder, ".")
    assert done.exit_code == 2
    assert "name one below it" in done.stderr


def test_a_full_disk_leaves_nothing_behind(audit, tmp_path, monkeypatch):
    def full(*arguments):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("service.viewing.exporting.safe_name", full)
    done = export(audit.folder, tmp_path / "out")
    assert (done.exit_code, done.stderr) == (2, "No space left on device\n")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["audit", "source"]


def test_fiftyone_is_given_a_label_and_attributes_for_each_image(audit, tmp_path):
    out = tmp_path / "out"
    assert export(audit.folder, out, kind="--fiftyone").exit_code == 0
    document = json.loads((out / "labels.json").read_text("ascii"))
    assert set(document["labels"]) == {path.stem for path in (out / "data").iterdir()}
    entry = document["labels"]["0000001-x"]
    assert entry["label"] == "dog"
    assert entry["attributes"]["p_value"] == 0.01
    assert entry["attributes"]["profile"] == [0, 2, 1]
    assert (entry["attributes"]["rank"], entry["attributes"]["manifest_seconds"]) == (1, 1.5)
    assert None not in document["labels"]["0000003-u"]["attributes"].values()


@pytest.mark.parametrize(
    "path", ["..", "...png", "a/", "", "\x1b[31m\0.png", "é" * 300 + ".jpg", "con\\..\\x.png", "-rf.png", "\udcff.png"]
)
def test_names_are_plain_whatever_the_source_calls_them(path):
    name = safe_name(7, path, ".png")
    assert re.fullmatch(r"0000007(-[A-Za-z0-9_][A-Za-z0-9._-]{0,79})?\.png", name)


@pytest.mark.parametrize("flags", [["--limit", "3"], ["--label", "cat"], ["--discoveries"], ["--json"]])
def test_what_chooses_an_export_needs_one(audit, flags):
    done = runner.invoke(app, ["view", str(audit.folder), *flags])
    assert done.exit_code == 2
    assert "--export or --fiftyone" in done.stderr


def test_what_is_no_audit_is_one_line(tmp_path):
    done = runner.invoke(app, ["view", str(tmp_path)])
    assert done.exit_code == 2
    assert "holds no audit" in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_port_that_is_taken_is_one_line(audit):
    import socket  # noqa: PLC0415

    with socket.create_server(("127.0.0.1", 0)) as taken:
        done = runner.invoke(app, ["view", str(audit.folder), "--port", str(taken.getsockname()[1])])
    assert done.exit_code == 2
    assert "give another --port" in done.stderr
