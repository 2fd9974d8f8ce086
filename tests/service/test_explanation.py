import json
import time

import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

from detector.search import MethodName, PotentialKind
from models.digits import load_digits_images
from service import explanation
from service.bundles import ClassifierChoice, open_detector
from service.cli import app
from service.errors import InputError
from service.explanation import DOCUMENT_FILE, PAGE_FILE, parse_target, summary
from service.options import SearchedPotential, SearchMethod

runner = CliRunner()


@pytest.fixture(scope="module")
def opened():
    return open_detector("digits", false_positive_rate=0.05, choice=ClassifierChoice(device="cpu"))


@pytest.fixture(scope="module")
def digit(tmp_path_factory):
    """A scan that calibration has not been fitted on, as a file."""
    _, held_out = load_digits_images()
    path = tmp_path_factory.mktemp("digit") / "scan<i>.png"
    Image.fromarray(held_out.images[0, 0].numpy()).save(path)
    return path


def explain(*arguments):
    return runner.invoke(app, ["explain", *map(str, arguments), "--bundle", "digits", "--device", "cpu"])


def strictly(text):
    return json.loads(text, parse_constant=pytest.fail)


def test_the_shipped_digits_are_explained_within_ten_seconds(digit, tmp_path):
    started = time.process_time()
    result = explain(digit, "--out", tmp_path / "ticket", "--json")
    assert time.process_time() - started < 10
    assert (result.exit_code, result.stderr) == (0, "")
    document = strictly((tmp_path / "ticket" / DOCUMENT_FILE).read_text())
    assert document == strictly(result.stdout)
    assert sorted(file.name for file in (tmp_path / "ticket").iterdir()) == sorted([PAGE_FILE, DOCUMENT_FILE])
    page = (tmp_path / "ticket" / PAGE_FILE).read_text()
    assert "scan&lt;i&gt;.png" in page
    assert "scan<i>.png" not in page


def test_the_verdict_is_the_one_of_detect(digit, tmp_path):
    explain(digit, "--out", tmp_path)
    detected = runner.invoke(app, ["detect", str(digit), "--bundle", "digits", "--device", "cpu", "--json"])
    assert strictly((tmp_path / DOCUMENT_FILE).read_text())["verdict"] == strictly(detected.stdout)


def test_the_document_holds_what_its_schema_names(digit, tmp_path):
    explain(digit, "--out", tmp_path, "--potential", "margin", "--method", "chain", "--budget", "200")
    document = strictly((tmp_path / DOCUMENT_FILE).read_text())
    assert list(document) == [
        "schema_version",
        "verdict",
        "classifier",
        "settings",
        "n_calibration",
        "runner_up",
        "target",
        "search",
        "paths",
        "detour",
        "layerwise",
        "prototypes",
        "labels",
    ]
    assert document["schema_version"] == 1
    assert document["classifier"]["name"] == "digits"
    assert document["settings"] == {
        "potential": "margin",
        "unit": "logits",
        "method": "chain",
        "budget": 200,
        "resolution": 32,
    }
    assert document["target"]["kind"] == "prototype"
    assert document["target"]["label"] == document["verdict"]["label"]
    for path in document["paths"].values():
        assert list(path) == [kind.value for kind in PotentialKind]
        assert {len(entry["profile"]) for entry in path.values()} == {33}
    before = document["paths"]["straight"]["margin"]["barrier"]
    assert document["search"]["barrier_before"] == pytest.approx(before, abs=1e-4)
    assert document["search"]["refusal"] is None
    assert document["layerwise"]["stages"][0]["name"] == "pixels"
    assert document["labels"][0]["label"] == document["verdict"]["label"]


def test_a_path_to_the_same_file_has_no_length(digit, tmp_path):
    result = explain(digit, "--out", tmp_path, "--to", digit)
    assert "Start and end are the same image" in result.stdout
    document = strictly((tmp_path / DOCUMENT_FILE).read_text())
    assert document["search"]["outcome"] == "no-length"
    assert document["target"]["kind"] == "image"
    assert document["target"]["path"] == str(digit)


def test_an_unknown_target_is_one_line_that_lists_the_labels_and_writes_nothing(digit, tmp_path):
    result = explain(digit, "--out", tmp_path / "out", "--to", "eleven")
    assert result.exit_code == 2
    assert result.stderr.startswith("'eleven' is neither an image file nor a label; the labels are 0 0, 1 1, ")
    assert result.stderr.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_an_image_that_cannot_be_read_is_one_line(tmp_path):
    result = explain(tmp_path / "absent.png", "--out", tmp_path / "out")
    assert (result.exit_code, result.stdout) == (2, "")
    assert "No such file" in result.stderr


def test_a_folder_that_cannot_be_written_is_refused_before_the_work(digit, tmp_path, monkeypatch):
    monkeypatch.setattr(explanation, "open_detector", pytest.fail)
    (tmp_path / "file").write_text("")
    assert explain(digit, "--out", tmp_path / "file").exit_code == 2


def test_a_label_is_found_by_its_name_or_number_and_a_file_goes_first(opened, digit, tmp_path, monkeypatch):
    named = type(opened)(detector=opened.detector, preprocessing=opened.preprocessing, labels=("Cat", "dog", "3"))
    monkeypatch.chdir(tmp_path)
    assert parse_target("cat", named) == 0
    assert parse_target("1", named) == 1
    assert parse_target("3", named) == 2
    (tmp_path / "dog").mkdir()
    assert parse_target("dog", named) == 1
    (tmp_path / "cat").write_bytes(digit.read_bytes())
    assert isinstance(parse_target("cat", named), torch.Tensor)
    with pytest.raises(InputError, match=r"0 Cat, 1 dog, 2 3$"):
        parse_target("4", named)


def test_of_many_labels_some_are_listed(opened):
    many = tuple(f"n{index}" for index in range(1000))
    wide = type(opened)(detector=opened.detector, preprocessing=opened.preprocessing, labels=many)
    with pytest.raises(InputError, match=r"19 n19, … 1000 in all$"):
        parse_target("zebra", wide)


def test_where_one_file_cannot_be_written_neither_is(digit, tmp_path, monkeypatch):
    def unwritable(*arguments, **options):
        return "\udcff"

    def fail(*arguments, **options):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(explanation.json_format, "dumps", unwritable)
    assert isinstance(explain(digit, "--out", tmp_path).exception, UnicodeEncodeError)
    assert list(tmp_path.iterdir()) == []
    monkeypatch.undo()
    monkeypatch.setattr("pathlib.Path.write_text", fail)
    result = explain(digit, "--out", tmp_path)
    assert result.exit_code == 2
    assert "No space left on device" in result.stderr
    assert list(tmp_path.iterdir()) == []


def test_people_read_why_there_was_no_search(digit, tmp_path):
    explain(digit, "--out", tmp_path)
    document = strictly((tmp_path / DOCUMENT_FILE).read_text())
    document["search"] = dict.fromkeys(document["search"]) | {"refusal": "the classifier cannot be differentiated"}
    assert [line.plain for line in summary(document)][1] == "no search: the classifier cannot be differentiated"


def test_the_methods_and_potentials_offered_are_the_detectors():
    assert [name.value for name in SearchMethod] == [name.value for name in MethodName]
    assert [name.value for name in SearchedPotential] == [kind.value for kind in PotentialKind]
