import json
import os
import subprocess
import sys

import numpy as np
import pytest
from typer.testing import CliRunner

from detector.evaluation.tables import Table
from service import study
from service.cli import app
from service.studies.report import Finding, StudyReport

runner = CliRunner()


def toy_study(request, progress):
    progress("toying", 1, 1)
    return StudyReport(
        name="toy",
        title="A toy",
        lead="Nothing was measured.",
        facts=(("limit", str(request.limit)),),
        findings=(Finding(claim="Two and two make four.", measured="They make 4 [of 4].", agrees=True),),
        plots=(),
        tables=(Table(title="Sums", columns=("sum", "value"), rows=(("2 + 2", 4.0),), note=""),),
        data={"sum": np.float64(4), "nothing": np.nan},
    )


@pytest.fixture
def toy_named(monkeypatch):
    monkeypatch.setattr(study, "entry_named", lambda name: name)
    monkeypatch.setattr(study, "study_of", lambda _: toy_study)


def test_a_study_leaves_its_page_and_its_numbers(toy_named, tmp_path):
    out = tmp_path / "new" / "folder"
    result = runner.invoke(app, ["study", "toy", "--limit", "3", "--seed", "5", "--out", str(out)])
    assert result.exit_code == 0, result.output
    assert sorted(path.name for path in out.iterdir()) == ["report.html", "study.json"]
    document = json.loads((out / "study.json").read_text())
    assert document["schema_version"] == 1
    assert document["data"] == {"sum": 4.0, "nothing": None}
    assert document["findings"] == [
        {"claim": "Two and two make four.", "measured": "They make 4 [of 4].", "verdict": "agrees"}
    ]
    assert document["facts"]["limit"] == "3" and document["facts"]["seed"] == "5"
    assert document["facts"]["run time"].endswith(" s")
    assert "They make 4 [of 4]." in (out / "report.html").read_text()


def test_findings_and_tables_are_printed(toy_named, tmp_path):
    printed = runner.invoke(app, ["study", "toy", "--out", str(tmp_path)]).stdout
    assert "✓ agrees: They make 4 [of 4]." in printed
    assert "2 + 2" in printed
    assert str(tmp_path / "report.html") in printed


def test_json_is_the_document_and_nothing_else(toy_named, tmp_path):
    result = runner.invoke(app, ["study", "toy", "--json", "--out", str(tmp_path)])
    assert json.loads(result.stdout) == json.loads((tmp_path / "study.json").read_text())


def test_a_folder_that_cannot_be_written_is_refused_before_the_work(monkeypatch, toy_named, tmp_path):
    def work(request, progress):
        raise AssertionError("the work began")

    monkeypatch.setattr(study, "study_of", lambda _: work)
    (tmp_path / "file").write_text("")
    result = runner.invoke(app, ["study", "toy", "--out", str(tmp_path / "file")])
    assert result.exit_code == 2
    assert "is a file" in result.stderr


@pytest.mark.parametrize("arguments", [[], ["--list"], ["barriers", "--list"]])
def test_studies_are_listed_with_a_line_each(arguments):
    result = runner.invoke(app, ["study", *arguments])
    assert result.exit_code == 0
    assert "barriers  " in result.stdout and "--limit counts pairs" in result.stdout


def test_the_list_is_to_be_had_as_json():
    studies = json.loads(runner.invoke(app, ["study", "--json"]).stdout)["studies"]
    assert {"name", "line", "limit"} == set(studies[0])


@pytest.mark.parametrize(
    ("arguments", "words"),
    [(["barriers"], "add --out DIR"), (["astrology", "--out", "x"], "there is no study 'astrology'")],
)
def test_what_is_missing_is_one_line_and_exit_code_2(arguments, words):
    result = runner.invoke(app, ["study", *arguments])
    assert (result.exit_code, result.stdout) == (2, "")
    assert words in result.stderr and result.stderr.count("\n") == 1


@pytest.mark.parametrize("arguments", [["study", "--help"], ["study"]])
def test_help_and_list_leave_torch_alone(arguments):
    program = (
        "import sys\n"
        "from service.cli import main\n"
        "try: main()\n"
        "except SystemExit as stop: code = stop.code\n"
        "sys.exit('imported torch' if 'torch' in sys.modules else code)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, *arguments],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"COLUMNS": "200"},
    )
    assert (done.returncode, done.stderr) == (0, "")
