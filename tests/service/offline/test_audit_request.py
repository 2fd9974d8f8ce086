from pathlib import Path

import pytest
from typer.testing import CliRunner

from service.cli import app
from service.errors import InputError
from service.offline.audit_request import AuditRequest
from service.offline.summary.ranked import N_RANKED
from service.options import AuditEngine


def request(**changes) -> AuditRequest:
    return AuditRequest(bundle="digits", images="pictures", out=Path("out"), **changes)


@pytest.mark.parametrize("rate", [0, 1, -0.1, 1.5, float("nan")])
def test_a_false_discovery_rate_lies_between_nothing_and_everything(rate) -> None:
    with pytest.raises(InputError, match="false-discovery rate"):
        request(false_discovery_rate=rate)


def test_shards_are_not_smaller_than_the_first() -> None:
    with pytest.raises(InputError, match="shards of 8 images"):
        request(shard_size=8)
    assert request(shard_size=16).shard_size == 16


def test_no_more_images_can_be_asked_for_than_the_summary_ranks() -> None:
    said = [CliRunner().invoke(app, ["audit", "--pictures", str(n)]).stderr for n in (N_RANKED, N_RANKED + 1)]
    assert "needs --images" in said[0]
    assert f"or equal to {N_RANKED}" in said[1]


@pytest.mark.parametrize("changes", [{"address": "auto"}, {"n_workers": 2}])
def test_what_belongs_to_a_cluster_is_refused_without_one(changes) -> None:
    with pytest.raises(InputError, match="add --engine ray"):
        request(**changes)
    assert request(engine=AuditEngine.RAY, **changes).engine is AuditEngine.RAY


def test_one_thread_a_core_decodes_unless_something_else_is_said(monkeypatch) -> None:
    monkeypatch.setattr("os.sched_getaffinity", lambda _: {0, 3, 5})
    assert request().readers == 3
    assert request(n_readers=7).readers == 7
