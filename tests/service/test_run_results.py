import json
from pathlib import Path
from typing import Any

import pytest

from service.errors import InputError
from service.run_results import read_runs

DETECTOR: dict[str, Any] = {
    "attacks": {"pgd": {"title": "PGD", "n": 20, "in_summary": True, "auroc": 0.75, "tpr": {"0.05": 0.5}}},
    "adaptive": {},
    "clean": {"flagged": {"0.05": 0.06}},
    "summary": {"mean_auroc": 0.75, "worst_auroc": 0.75, "mean_tpr": {"0.05": 0.5}, "worst_case": None},
    "cost": {"forward_equivalents": 7.0, "images_per_second": 100.0},
}
DOCUMENT = {
    "schema_version": 2,
    "bundle": "mine",
    "run": {"classifier": "c", "images": "i", "limit": 60, "seed": 0, "versions": {}},
    **DETECTOR,
    "others": {"second": DETECTOR},
}


def written(folder: Path, text: str) -> Path:
    folder.mkdir(parents=True)
    (folder / "results.json").write_text(text)
    return folder


def test_every_bundle_of_a_run_is_read_the_first_one_first(tmp_path: Path) -> None:
    runs = read_runs([written(tmp_path / "a", json.dumps(DOCUMENT))])
    assert list(runs) == ["a"]
    assert list(runs["a"].detectors) == ["mine", "second"]
    assert runs["a"].detectors["second"].attacks["pgd"].auroc == 0.75
    assert runs["a"].run.limit == 60


def test_folders_of_one_name_are_told_apart_by_their_paths(tmp_path: Path) -> None:
    folders = [written(tmp_path / parent / "run", json.dumps(DOCUMENT)) for parent in ("a", "b")]
    assert list(read_runs(folders)) == [str(folder) for folder in folders]


def test_a_run_that_is_named_twice_is_refused(tmp_path: Path) -> None:
    folder = written(tmp_path / "a", json.dumps(DOCUMENT))
    with pytest.raises(InputError, match="a run is named twice"):
        read_runs([folder, folder])


def test_what_is_no_run_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for name, reason in [("absent", "does not exist"), ("file", "is a file"), (".", r"has no results\.json")]:
        with pytest.raises(InputError, match=rf"{reason}; name folders that isthmus evaluate --out wrote"):
            read_runs([tmp_path / name])


def test_a_run_that_was_not_finished_is_to_be_finished_first(tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text("{}")
    with pytest.raises(InputError, match=r"is not finished.*give the same isthmus evaluate"):
        read_runs([tmp_path])


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (json.dumps({**DOCUMENT, "schema_version": 1}), "has schema 1, and schema 2 is compared; evaluate again"),
        (json.dumps({}), "has schema None, and schema 2 is compared"),
        ("{", "is not JSON"),
        ("[]", "holds no results"),
        (json.dumps({**DOCUMENT, "summary": {}}), r"is damaged at summary\.mean_auroc \(Field required\)"),
    ],
)
def test_results_that_cannot_be_read_are_refused_with_the_reason(tmp_path: Path, text: str, reason: str) -> None:
    with pytest.raises(InputError, match=reason):
        read_runs([written(tmp_path / "a", text)])
