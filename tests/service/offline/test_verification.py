import json

import pytest

from service.offline import verification
from service.offline.verification import run_verification


@pytest.fixture
def problems(monkeypatch) -> list[str]:
    found: list[str] = []
    monkeypatch.setattr(verification, "verify", lambda *_: found)
    return found


def test_an_audit_that_is_whole_is_said_to_be(problems, tmp_path, capsys) -> None:
    assert run_verification(tmp_path, is_json=False) == 0
    assert capsys.readouterr().out == f"{tmp_path} is intact\n"


def test_each_damage_is_a_line_and_the_exit_code_is_2(problems, tmp_path, capsys) -> None:
    problems += ["results/00000001.parquet is [bold]damaged[/bold]", "a name with \x1b[31m in it"]
    assert run_verification(tmp_path, is_json=False) == 2
    assert capsys.readouterr().out == (
        "results/00000001.parquet is [bold]damaged[/bold]\na name with \N{REPLACEMENT CHARACTER}[31m in it\n"
    )


@pytest.mark.parametrize("found", [[], ["done/00000000.json is missing"]])
def test_a_program_is_told_in_json(problems, tmp_path, capsys, found) -> None:
    problems += found
    assert run_verification(tmp_path, is_json=True) == (2 if found else 0)
    assert json.loads(capsys.readouterr().out) == {
        "folder": str(tmp_path),
        "is_intact": not found,
        "problems": found,
    }
