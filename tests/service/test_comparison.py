import copy
import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from service.cli import app
from service.comparison import contenders_of, run_comparison, warnings_about
from service.comparison_tables import adaptive_comparison, auroc_comparison, flagged_comparison, summary_comparison
from service.errors import InputError
from service.run_results import RunResults


def attack(auroc: float | None, flagged: float, *, in_summary: bool = True) -> dict[str, Any]:
    return {"title": "it", "n": 20, "in_summary": in_summary, "auroc": auroc, "tpr": {"0.01": 0.0, "0.05": flagged}}


def document(attacks: dict[str, Any], **changes: Any) -> dict[str, Any]:
    given = {
        "schema_version": 2,
        "bundle": "mine",
        "run": {"classifier": "c", "images": "i", "limit": 60, "seed": 0},
        "attacks": attacks,
        "adaptive": {"orthogonal": {"title": "Orthogonal PGD", "evaded": {"0.05": 0.5}}},
        "clean": {"flagged": {"0.05": 0.06}},
        "summary": {
            "mean_auroc": 0.75,
            "worst_auroc": 0.5,
            "mean_tpr": {"0.05": 0.25},
            "worst_case": {"n": 12, "auroc": 0.375, "tpr": {"0.05": 0.125}},
        },
        "cost": {"forward_equivalents": 7.0, "images_per_second": 100.0},
        "others": {},
    }
    return copy.deepcopy(given | changes)


FIRST = document({"pgd": attack(0.75, 0.5), "cw": attack(0.875, 0.75)})
SECOND = document(
    {"pgd": attack(0.875, 0.25), "fab": attack(0.5, 0.0)},
    adaptive={},
    cost={"forward_equivalents": 3.0, "images_per_second": 200.0},
)


def runs_of(**documents: dict[str, Any]) -> dict[str, RunResults]:
    return {name: RunResults.model_validate(one) for name, one in documents.items()}


def folders(where: Path, **documents: dict[str, Any]) -> list[Path]:
    for name, one in documents.items():
        (where / name).mkdir()
        (where / name / "results.json").write_text(json.dumps(one))
    return [where / name for name in documents]


def test_every_attack_of_any_run_has_a_row_in_which_the_best_is_bold() -> None:
    contenders = contenders_of(runs_of(a=FIRST, b=SECOND))
    table = auroc_comparison(contenders)
    assert table.columns == ("attack", "a", "b")
    assert table.rows == (("pgd", 0.75, 0.875), ("cw", 0.875, None), ("fab", None, 0.5))
    assert table.bold == {(0, 2)}
    assert flagged_comparison(contenders).bold == {(0, 1)}


def test_attacks_that_hardly_succeeded_are_named_beneath_their_figures() -> None:
    rare = document({"fab": attack(1.0, 1.0, in_summary=False), "jsma": attack(None, 0.0, in_summary=False)})
    contenders = contenders_of(runs_of(a=FIRST, b=rare))
    assert auroc_comparison(contenders).note.endswith("Too few successes to count in every run: fab, jsma.")
    assert "Too few" not in auroc_comparison(contenders_of(runs_of(a=FIRST, b=SECOND))).note


def test_runs_of_two_runtimes_are_told_apart_and_old_ones_had_torch() -> None:
    run = FIRST["run"]
    half = document(FIRST["attacks"], run={**run, "runtime": "torch-float16"})
    torch = document(FIRST["attacks"], run={**run, "runtime": "torch"})
    runs = runs_of(a=FIRST, b=half)
    [warning] = warnings_about(runs, contenders_of(runs))
    assert "different runtimes" in warning
    runs = runs_of(a=FIRST, b=torch)
    assert warnings_about(runs, contenders_of(runs)) == []


def test_the_summary_is_told_over_all_attacks_and_over_those_that_count_in_every_run() -> None:
    table = summary_comparison(contenders_of(runs_of(a=FIRST, b=SECOND)), note="Careful.")
    assert table.rows[0] == ("a", 0.75, 0.5, 0.75, 0.75, 0.25, 0.375, 0.125, 0.06, 7.0, 100.0)
    assert table.rows[1][3:5] == (0.875, 0.875)
    # Of equal figures none is best; fewer passes are better, and speed is nobody's merit.
    assert table.bold == {(1, 3), (1, 4), (1, 9)}
    assert table.note.startswith("Careful. ")


def test_of_adaptive_attacks_the_lowest_success_is_best() -> None:
    lower = document({}, adaptive={"orthogonal": {"title": "it", "evaded": {"0.05": 0.25}}})
    table = adaptive_comparison(contenders_of(runs_of(a=FIRST, b=lower)))
    assert table.rows == (("orthogonal", 0.5, 0.25),)
    assert table.bold == {(0, 2)}


def test_a_run_of_several_bundles_has_a_column_for_each() -> None:
    several = document(FIRST["attacks"], others={"second": FIRST})
    assert list(contenders_of(runs_of(a=several, b=SECOND))) == ["a · mine", "a · second", "b"]


def test_runs_made_alike_raise_no_warning() -> None:
    runs = runs_of(a=FIRST, b=FIRST)
    assert warnings_about(runs, contenders_of(runs)) == []


def test_what_makes_runs_hard_to_compare_is_said() -> None:
    other = document(
        {"pgd": {**attack(0.875, 0.25), "title": "another"}},
        run={"classifier": "d", "images": "j", "limit": 12, "seed": 0},
    )
    runs = runs_of(a=FIRST, b=other)
    assert warnings_about(runs, contenders_of(runs)) == [
        "Careful: the runs have different classifiers, images and limits, so their figures differ for that too.",
        "Careful: not the same attack in every run: pgd.",
        "Careful: mean, worst and worst case are over different attacks.",
    ]


def test_a_page_and_the_terminal_show_the_runs_side_by_side(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "new" / "compared.html"
    run_comparison(folders(tmp_path, a=FIRST, b=SECOND), out=out, json=False)
    html = out.read_text()
    assert "<title>Comparison of a and b</title>" in html and "<b>0.875</b>" in html and "Careful: mean, worst" in html
    shown = capsys.readouterr().out
    assert "SR@5" in shown and f"page: {out}" in shown


def test_json_holds_the_figures_and_the_warnings(tmp_path: Path) -> None:
    paths = folders(tmp_path, a=FIRST, b=SECOND)
    result = CliRunner().invoke(app, ["compare", *map(str, paths), "--json"])
    assert result.exit_code == 0
    found = json.loads(result.stdout)
    assert found["warnings"] == ["Careful: mean, worst and worst case are over different attacks."]
    assert found["runs"]["b"]["attacks"]["pgd"]["auroc"] == 0.875
    assert found["runs"]["a"]["summary"]["worst_case"]["tpr"] == {"0.05": 0.125}


def test_one_bundle_alone_is_not_compared(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="name two runs or more"):
        run_comparison(folders(tmp_path, a=FIRST), out=None, json=False)


def test_a_folder_that_is_no_run_is_one_line_and_exit_code_2(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["compare", str(tmp_path / "absent"), str(tmp_path)])
    assert (result.exit_code, result.stdout, result.stderr.count("\n")) == (2, "", 1)
    assert "does not exist" in result.stderr
