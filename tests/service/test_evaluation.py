import dataclasses
import json
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner, Result

from detector.evaluation import resuming
from detector.evaluation.adaptive.square import square
from detector.evaluation.attacks import MissingExtraError
from service import evaluation, evaluation_report
from service.cli import app

LIMIT = 12
ATTACKS = ("fgsm8", "tpgd8", "pgd8", "df")


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """One attack that knows the bundle, short, on three images, and no page but that of `undisturbed`."""
    short = dataclasses.replace(evaluation.ADAPTIVE[-1], most_images=3, attack=square(8 / 255, 20))
    monkeypatch.setattr(evaluation, "ADAPTIVE", (short,))
    monkeypatch.setattr(evaluation_report, "write_page", lambda _page, _path: None)
    monkeypatch.setattr(evaluation_report, "build_page", lambda *_: None)


def _evaluate(out: Path | None, *more: str, attacks: str = ",".join(ATTACKS), limit: int = LIMIT) -> Result:
    arguments = ["evaluate", "--bundle", "digits", "--images", "digits:held-out", "--device", "cpu"]
    arguments += ["--attacks", attacks, "--limit", str(limit), *more]
    return CliRunner().invoke(app, [*arguments, "--out", str(out)] if out else arguments)


def _document(out: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((out / "results.json").read_text())
    return found


def _untimed(out: Path) -> str:
    document = _document(out)
    del document["cost"]
    for other in document["others"].values():
        del other["cost"]
    return json.dumps(document)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("undisturbed") / "run"
    run = _evaluate(out)
    assert run.exit_code == 0, run.output
    assert run.stdout.rstrip().splitlines()[-1] == f"report: {out / 'report.html'}"
    return out


def test_a_run_leaves_its_files(undisturbed: Path) -> None:
    assert {path.name for path in undisturbed.iterdir()} == {
        "run.json",
        "shards",
        "results.json",
        "scores.parquet",
        "report.html",
    }
    assert {path.name for path in (undisturbed / "shards").iterdir()} == {
        f"{name}.{kind}" for name in ATTACKS for kind in ("json", "safetensors")
    }
    document = _document(undisturbed)
    assert tuple(document["attacks"]) == ATTACKS
    assert document["attacks"]["pgd8"]["n_tried"] == LIMIT
    assert len(document["benign"]) == 18
    assert (document["run"]["limit"], document["run"]["seed"], list(document["run"]["bundles"])) == (12, 0, ["digits"])


def test_every_score_has_a_row(undisturbed: Path) -> None:
    document = _document(undisturbed)
    table = pq.read_table(undisturbed / "scores.parquet")
    groups = table.column("group").to_pylist()
    assert groups.count("clean") == document["n_clean"]
    assert groups.count("misclassified") == document["n_misclassified"]
    assert groups.count("attack") == sum(row["n"] for row in document["attacks"].values())
    assert groups.count("benign") == sum(row["n"] for row in document["benign"])
    assert table.num_rows == len(groups) and set(table.column("bundle").to_pylist()) == {"digits"}
    flagged = [row["p_value"] <= 0.05 for row in table.to_pylist() if row["group"] == "clean"]
    assert sum(flagged) / len(flagged) == document["clean"]["flagged"]["0.05"]


def test_a_run_that_was_killed_goes_on_and_ends_the_same(
    undisturbed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran, real = [], resuming.run_attack

    def stopped(spec: Any, *arguments: Any, **options: Any) -> Any:
        ran.append(spec.name)
        if len(ran) == 3:
            raise KeyboardInterrupt
        return real(spec, *arguments, **options)

    monkeypatch.setattr(resuming, "run_attack", stopped)
    first = _evaluate(tmp_path / "run")
    assert first.exit_code == 130
    assert "the same command goes on from there" in " ".join(first.stderr.split())
    assert not (tmp_path / "run" / "results.json").exists()
    assert _evaluate(tmp_path / "run").exit_code == 0
    assert tuple(ran) == (*ATTACKS[:3], *ATTACKS[2:])
    assert _untimed(tmp_path / "run") == _untimed(undisturbed)
    scores = [pq.read_table(out / "scores.parquet") for out in (tmp_path / "run", undisturbed)]
    assert scores[0].equals(scores[1])


def test_a_finished_run_is_written_again_without_an_attack(undisturbed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = _untimed(undisturbed)
    (undisturbed / "results.json").unlink()

    def never(*_: object, **__: object) -> Any:
        raise AssertionError("an attack was run again")

    monkeypatch.setattr(resuming, "run_attack", never)
    run = _evaluate(undisturbed)
    assert run.exit_code == 0, run.output
    assert _untimed(undisturbed) == before


def test_a_damaged_shard_is_made_again_with_a_notice(undisturbed: Path) -> None:
    before = _untimed(undisturbed)
    shard = undisturbed / "shards" / "pgd8.safetensors"
    whole = shard.read_bytes()
    shard.write_bytes(whole[: len(whole) // 2])
    run = _evaluate(undisturbed)
    assert run.exit_code == 0, run.output
    assert "pgd8.safetensors is damaged" in " ".join(run.stderr.split())
    assert shard.read_bytes() == whole
    assert _untimed(undisturbed) == before


def test_other_settings_are_refused_and_the_difference_shown(undisturbed: Path) -> None:
    run = _evaluate(undisturbed, "--seed", "3", limit=5)
    assert run.exit_code == 2
    assert "limit was 12, now 5; seed was 0, now 3" in " ".join(run.stderr.split())
    run = _evaluate(undisturbed, "--runtime", "torch-bfloat16")
    assert run.exit_code == 2
    assert "runtime was torch, now torch-bfloat16" in " ".join(run.stderr.split())


def test_attacks_can_be_added_to_a_run(tmp_path: Path) -> None:
    assert _evaluate(tmp_path / "run", attacks="tpgd8,fgsm8").exit_code == 0
    alone = _document(tmp_path / "run")["attacks"]
    assert _evaluate(tmp_path / "run", attacks="df").exit_code == 0
    both = _document(tmp_path / "run")["attacks"]
    assert list(both) == ["tpgd8", "fgsm8", "df"]
    assert both | alone == both


@pytest.mark.slow
def test_adaptive_attacks_and_baselines_are_part_of_a_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = _evaluate(tmp_path / "run", "--adaptive", "--baselines", attacks="df")
    assert run.exit_code == 0, run.output
    document = _document(tmp_path / "run")
    assert document["adaptive"]["square-8"]["n"] == 3
    assert {"energy", "mahalanobis"} <= document["baselines"].keys()
    assert document["baselines"]["energy"]["clean"]["n"] == document["n_clean"]
    rows = pq.read_table(tmp_path / "run" / "scores.parquet").to_pylist()
    assert sum(row["group"] == "adaptive" for row in rows) == 3
    of_energy = [row for row in rows if row["bundle"] == "energy"]
    assert len(of_energy) == (
        document["n_clean"] + document["n_misclassified"] + document["baselines"]["energy"]["attacks"]["df"]["n"]
    )
    before = _untimed(tmp_path / "run")

    def never(*_: object, **__: object) -> Any:
        raise AssertionError("an attack was run again")

    monkeypatch.setattr(resuming, "run_adaptive", never)
    again = _evaluate(tmp_path / "run", attacks="df")
    assert again.exit_code == 0, again.output
    assert _untimed(tmp_path / "run") == before


def test_a_folder_of_something_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("")
    run = _evaluate(tmp_path)
    assert run.exit_code == 2 and "holds other files and no run.json" in " ".join(run.stderr.split())


def test_without_a_folder_the_run_is_only_shown() -> None:
    run = _evaluate(None, "--json", attacks="fgsm8", limit=4)
    assert run.exit_code == 0, run.output
    assert list(json.loads(run.stdout)["attacks"]) == ["fgsm8"]


def test_baselines_need_the_images_of_the_calibration(tmp_path: Path) -> None:
    arguments = ["evaluate", "--bundle", "digits", "--images", "digits:train", "--baselines", "--device", "cpu"]
    run = CliRunner().invoke(app, [*arguments, "--attacks", "fgsm8", "--out", str(tmp_path / "run")])
    assert run.exit_code == 2
    assert "give the held-out images of its calibration" in " ".join(run.stderr.split())
    assert not (tmp_path / "run").exists()


def test_where_the_extra_is_missing_the_built_in_attacks_are_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def missing(_: str) -> Any:
        raise MissingExtraError("torchattacks is not installed")

    monkeypatch.setattr(evaluation, "specs_named", missing)
    run = _evaluate(tmp_path / "run")
    assert run.exit_code == 2 and "--attacks builtin" in " ".join(run.stderr.split())


@pytest.mark.parametrize(("bundle", "name"), [("digits", "digits"), ("a/b", "b"), (".", "here"), ("..", "above")])
def test_a_bundle_is_called_by_the_name_of_its_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bundle: str, name: str
) -> None:
    (tmp_path / "above" / "here").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "above" / "here")
    assert evaluation._name(bundle) == name
