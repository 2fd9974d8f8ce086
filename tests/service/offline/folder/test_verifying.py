"""What is wrong with the folder of an audit is said, file by file."""

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from service.errors import InputError
from service.offline.folder import verifying
from service.offline.folder.audit_folder import AuditFolder
from service.offline.folder.verifying import verify
from service.offline.work import JudgedShard


@pytest.fixture
def audit(auditing: Any, source: Any) -> Path:
    """A finished audit, with a stand-in for what is made at the end."""
    standing = auditing.run(source)
    path: Path = auditing.path
    counts = {
        "n_images": standing.n_done,
        "n_adversarial": standing.n_flagged - standing.n_undecided,
        "n_undecided": standing.n_undecided,
        "n_unreadable": standing.n_errors,
    }
    (path / "summary.json").write_text(json.dumps({"counts": counts}))
    (path / "discoveries.parquet").touch()
    (path / "report.html").touch()
    return path


def cut(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-9])


def test_a_whole_audit_has_no_problem(audit: Path) -> None:
    seen: list[tuple[str, int, int]] = []
    assert not verify(audit, lambda *step: seen.append(step))
    assert seen[-1] == ("verifying shards", 3, 3)


@pytest.mark.parametrize("name", ["results/00000001.parquet", "timings/00000001.parquet", "done/00000001.json"])
def test_a_damaged_file_is_named(audit: Path, name: str) -> None:
    cut(audit / name)
    assert f"{name} is damaged" in verify(audit)


def test_a_flipped_bit_of_the_listing_is_found(audit: Path) -> None:
    file = audit / "listing" / "00000001.parquet"
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)
    problems = verify(audit)
    assert "done/00000001.json is of another listing of shard 1" in problems
    assert "listing/ is not what listing.json was written for" in problems


def test_missing_files_are_named(audit: Path) -> None:
    for name in ("results/00000000.parquet", "listing/00000001.parquet", "done/00000002.json", "report.html"):
        (audit / name).unlink()
    problems = " | ".join(verify(audit))
    for words in (
        "results/00000000.parquet is missing",
        "listing/00000001.parquet is missing",
        "shard 2 was not judged; the command that made the audit goes on with it",
        "report.html is missing",
    ):
        assert words in problems


def test_surplus_files_are_named(audit: Path) -> None:
    surplus = [
        "results/00000003.parquet",
        "listing/notes.txt",
        "done/00000003.json",
        "timings/.00000001.parquet.9.partial",
    ]
    for name in surplus:
        (audit / name).touch()
    assert sorted(verify(audit)) == sorted(f"{name} belongs to no shard" for name in surplus)


def test_results_of_other_images_are_found_though_their_mark_fits(audit: Path) -> None:
    results = pq.read_table(audit / "results" / "00000001.parquet")
    turned = pa.concat_tables([results.slice(16), results.slice(0, 16)])
    timings = pq.read_table(audit / "timings" / "00000001.parquet")
    AuditFolder(audit).write(JudgedShard(number=1, results=turned, timings=timings))
    assert verify(audit) == ["results/00000001.parquet has other images than were listed"]


def test_a_mark_that_counts_otherwise_is_found(audit: Path) -> None:
    file = audit / "done" / "00000001.json"
    mark = json.loads(file.read_bytes())
    file.write_text(json.dumps({**mark, "n_flagged": mark["n_flagged"] + 1}))
    problems = verify(audit)
    assert problems[0] == "done/00000001.json counts otherwise than the results"
    assert problems[1].startswith("summary.json counts ")


def test_a_summary_of_other_results_is_found(audit: Path) -> None:
    file = audit / "summary.json"
    summary = json.loads(file.read_bytes())
    summary["counts"]["n_images"] += 1
    file.write_text(json.dumps(summary))
    assert [problem.startswith("summary.json counts ") for problem in verify(audit)] == [True]
    file.write_text('{"counts": 3}')
    assert [problem.startswith("summary.json is damaged") for problem in verify(audit)] == [True]


def test_an_audit_that_was_not_finished_is_said_to_be_so(auditing: Any, source: Any) -> None:
    auditing.run(source, n_shards=1)
    (auditing.path / "listing.json").unlink(missing_ok=True)
    [problem] = verify(auditing.path)
    assert "was not finished" in problem


def test_a_folder_without_an_audit_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="holds no audit"):
        verify(tmp_path)


def test_more_problems_than_one_may_read_are_counted(audit: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verifying, "MOST_PROBLEMS", 2)
    for file in (audit / "done").iterdir():
        file.unlink()
    problems = verify(audit)
    assert len(problems) == 3
    assert problems[-1] == "and 2 more"
