import json
from pathlib import Path

import pytest

from service.offline.audit_request import AuditRequest
from service.offline.run_record import RunRecord


@pytest.fixture
def begin(tmp_path, contract_of, source):
    request = AuditRequest(bundle="digits", images="pictures", out=tmp_path, n_readers=3)
    return lambda: RunRecord.begin(request, contract_of(source), tmp_path)


def runs(folder: Path) -> list[dict[str, object]]:
    return json.loads((folder / "run.json").read_text())["runs"]


def test_a_run_is_written_down_when_it_begins_and_when_it_ends(begin, tmp_path) -> None:
    record = begin()
    [run] = runs(tmp_path)
    assert (run["ended"], run["images_judged"]) == (None, None)
    assert (run["engine"], run["device"], run["readers"]) == ("embedded", "cpu", 3)
    record.end(n_images=100, seconds=8.0)
    [run] = runs(tmp_path)
    assert (run["images_judged"], run["seconds_judging"], run["images_per_second"]) == (100, 8, 12.5)
    assert run["started"] <= run["ended"]


def test_the_threads_are_those_that_compute_whatever_torch_has_when_the_run_begins(
    tmp_path, contract_of, source, monkeypatch
) -> None:
    monkeypatch.setattr("torch.get_num_threads", lambda: 7)
    request = AuditRequest(bundle="digits", images="pictures", out=tmp_path)
    RunRecord.begin(request, contract_of(source, n_threads=1), tmp_path)
    RunRecord.begin(request, contract_of(source, n_threads=None, device="cuda"), tmp_path)
    assert [run["threads"] for run in runs(tmp_path)] == [1, 7]


def test_a_run_that_was_killed_is_remembered_as_one_without_an_end(begin, tmp_path) -> None:
    begin()
    begin().end(n_images=0, seconds=0.0)
    killed, finished = runs(tmp_path)
    assert killed["ended"] is None
    assert finished["ended"] is not None
    assert finished["images_per_second"] is None


@pytest.mark.parametrize("content", ["", "{", "[]", '{"runs": 3}', '{"runs": [1, null]}'])
def test_nothing_rests_on_it_so_that_damage_stops_nobody(begin, tmp_path, content) -> None:
    (tmp_path / "run.json").write_text(content)
    begin()
    assert len(runs(tmp_path)) == 1
