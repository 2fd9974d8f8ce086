"""A shard is whole or not there, whatever happens; and an audit that goes on ends as if nothing had happened."""

import dataclasses
import errno
import logging
import os
import resource
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from service.errors import InputError
from service.offline.folder.audit_folder import AuditFolder
from service.offline.folder.standing import Standing
from service.offline.work import JudgedShard


class Failing:
    """A disk that is full at one call of fsync; each file and each folder that is written is synced once.

    It need not outlast the power, so nothing is waited for.
    """

    def __init__(self, call: int) -> None:
        self.call = call
        self.n_calls = 0

    def __call__(self, _: int) -> None:
        self.n_calls += 1
        if self.n_calls - 1 == self.call:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_an_audit_writes_its_shards_and_counts_them(auditing: Any, source: Any) -> None:
    standing = auditing.run(source)
    assert auditing.numbers == [0, 1, 2]
    tables = [pq.read_table(path) for path in sorted((auditing.path / "results").iterdir())]
    assert [len(table) for table in tables] == [16, 32, 12]
    rows = pa.concat_tables(tables).to_pylist()
    assert [row["path"] for row in rows] == source.paths
    flagged = [row for row in rows if row["decision"] != "clean" and row["outcome"] is not None]
    assert standing == Standing(
        n_items=60,
        n_shards=3,
        is_complete=True,
        n_done=60,
        n_shards_done=3,
        n_flagged=len(flagged),
        n_undecided=sum(row["decision"] == "undecided" for row in flagged),
        n_errors=sum(row["outcome"] is None for row in rows),
    )


def test_a_finished_audit_that_is_called_again_judges_and_writes_nothing(
    auditing: Any, source: Any, undisturbed: dict[str, bytes]
) -> None:
    first = auditing.run(source)
    times = {path: path.stat().st_mtime_ns for path in auditing.path.rglob("*.*") if path.name != "audit.lock"}
    assert auditing.run(source) == first
    assert not auditing.numbers
    assert {path: path.stat().st_mtime_ns for path in times} == times
    assert auditing.tree() == undisturbed


def test_an_audit_goes_on_behind_the_shards_that_are_done(
    auditing: Any, source: Any, undisturbed: dict[str, bytes]
) -> None:
    auditing.run(source, n_shards=1)
    assert auditing.run(source).n_done == 60
    assert auditing.numbers == [1, 2]
    assert auditing.tree() == undisturbed


def test_a_disk_that_is_full_at_any_write_stops_an_audit_that_goes_on(
    tmp_path: Path, auditing: Any, source: Any, undisturbed: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    home = auditing.path
    call, was_reached = 0, True
    while was_reached:
        auditing.path = home / str(call)
        failing = Failing(call)
        with monkeypatch.context() as patch:
            patch.setattr(os, "fsync", failing)
            was_reached = stopped(auditing, source)
            assert not list(auditing.path.rglob("*.partial"))
            auditing.run(source)
        assert auditing.tree() == undisturbed
        call += 1
    # audit.json, listing.json, and of three shards four files: each file and its folder.
    assert call - 1 == 2 * (2 + 3 * 4)


def stopped(auditing: Any, source: Any) -> bool:
    try:
        auditing.run(source)
    except OSError as error:
        assert error.errno == errno.ENOSPC
        assert error.filename
        return True
    return False


def test_a_bound_on_the_size_of_files_stops_an_audit_that_goes_on(
    auditing: Any, listed_source: Any, tmp_path: Path
) -> None:
    paths = [os.urandom(400).hex() + ".png" for _ in range(60)]
    source, bounds = listed_source(paths), resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (30_000, bounds[1]))
    try:
        with pytest.raises(OSError, match="too large"):
            auditing.run(source)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, bounds)
    assert not list(auditing.path.rglob("*.partial"))
    assert auditing.run(source).n_done == 60
    assert 0 not in auditing.numbers


def test_what_a_killed_run_left_half_written_is_taken_away(
    auditing: Any, source: Any, undisturbed: dict[str, bytes]
) -> None:
    auditing.run(source, n_shards=2)
    for name in ("results/.00000002.parquet.7.partial", "done/.00000001.json.1.partial", ".listing.json.9.partial"):
        (auditing.path / name).write_bytes(b"half")
    # Killed between the results and the mark.
    (auditing.path / "results" / "00000002.parquet").write_bytes(b"half")
    auditing.run(source)
    assert auditing.tree() == undisturbed


@pytest.mark.parametrize("folder", ["results", "timings", "listing", "done"])
def test_a_damaged_shard_is_judged_again_and_said(
    auditing: Any, source: Any, undisturbed: dict[str, bytes], folder: str, caplog: pytest.LogCaptureFixture
) -> None:
    auditing.run(source)
    [damaged] = (auditing.path / folder).glob("00000001.*")
    damaged.write_bytes(damaged.read_bytes()[:-9])
    with caplog.at_level(logging.WARNING):
        auditing.run(source)
    # A listing comes out the same again, and the results that were judged by it are still good.
    assert auditing.numbers == ([] if folder == "listing" else [1])
    assert f"{folder}/00000001." in caplog.text
    assert "again" in caplog.text
    assert auditing.tree() == undisturbed


@pytest.mark.parametrize("name", ["listing/00000001.parquet", "listing.json", "results/00000001.parquet"])
def test_a_file_that_is_gone_is_made_again(
    auditing: Any, source: Any, undisturbed: dict[str, bytes], name: str
) -> None:
    auditing.run(source)
    (auditing.path / name).unlink()
    auditing.run(source)
    assert auditing.tree() == undisturbed


def test_another_bundle_is_refused_and_nothing_is_written(auditing: Any, source: Any) -> None:
    auditing.run(source, n_shards=1)
    before = auditing.tree()
    with pytest.raises(InputError, match="bundle: was small"):
        auditing.run(source, bundle_digest="f" * 64)
    assert auditing.tree() == before


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda source: source.paths.insert(50, "new.png"), r"1 added \('new.png'\)"),
        (lambda source: source.paths.append("new.png"), r"1 added \('new.png'\)"),
        (lambda source: source.paths.extend(f"z{n}.png" for n in range(50)), r"50 added \('z0.png', .*"),
        (lambda source: source.paths.pop(), r"1 removed \('059.png'\)"),
        (lambda source: source.paths.__delitem__(slice(16, None)), r"44 removed \('016.png', .*"),
        (lambda source: source.paths.__delitem__(slice(48, None)), r"12 removed \('048.png', .*"),
        (lambda source: source.stamps.update({"020.png": "2"}), r"1 changed \(020.png: written again since\)"),
    ],
)
def test_a_changed_source_is_refused_before_anything_is_judged(
    auditing: Any, listed_source: Any, change: Any, said: str
) -> None:
    source = listed_source()
    source.items = sized(source)
    auditing.run(source)
    for name in ("results", "done"):
        for file in (auditing.path / name).iterdir():
            file.unlink()
    change(source)
    with pytest.raises(InputError, match=f"the source is not what it was.*{said}; put it back"):
        auditing.run(source)
    assert not auditing.numbers
    assert not list((auditing.path / "done").iterdir())


def sized(source: Any) -> Any:
    """Items that do not tell their place, so that one more changes no other."""
    listed = source.items

    def items(check: Any) -> Any:
        for item in listed(check):
            yield dataclasses.replace(item, size=1, given_label=None)

    return items


def test_a_changed_source_is_refused_where_its_listing_was_cut_short(auditing: Any, source: Any) -> None:
    auditing.run(source)
    (auditing.path / "listing.json").unlink()
    (auditing.path / "listing" / "00000002.parquet").unlink()
    source.stamps["020.png"] = "2"
    with pytest.raises(InputError, match=r"1 changed \(020.png"):
        auditing.run(source)


def test_what_is_added_behind_a_listing_that_was_cut_short_belongs_to_the_audit(auditing: Any, source: Any) -> None:
    auditing.run(source)
    (auditing.path / "listing.json").unlink()
    (auditing.path / "listing" / "00000002.parquet").unlink()
    source.paths.append("new.png")
    assert auditing.run(source).n_done == 61
    assert auditing.numbers == [2]


def test_the_items_of_a_shard_are_read_from_the_listing(auditing: Any, listed_source: Any) -> None:
    source = listed_source(columns=pa.schema([("note", pa.string())]))
    auditing.run(source)
    items = AuditFolder(auditing.path).read_shard(1)
    assert items == list(source.items(lambda: None))[16:48]
    assert items[0].columns == ("note of 016.png",)


def test_a_folder_that_holds_something_else_is_not_written_into(tmp_path: Path) -> None:
    (tmp_path / "holiday.png").touch()
    with pytest.raises(InputError, match=r"holds 'holiday.png' and no audit"), AuditFolder(tmp_path).locked():
        pass
    assert [path.name for path in tmp_path.iterdir()] == ["holiday.png"]


def test_an_empty_disk_of_its_own_is_written_into(tmp_path: Path) -> None:
    (tmp_path / "lost+found").mkdir()
    with AuditFolder(tmp_path).locked():
        assert (tmp_path / "audit.lock").exists()


def test_a_shard_of_other_rows_than_were_listed_is_not_written(auditing: Any, source: Any) -> None:
    auditing.run(source)
    results = pq.read_table(auditing.path / "results" / "00000000.parquet")
    timings = pq.read_table(auditing.path / "timings" / "00000000.parquet")
    with pytest.raises(ValueError, match=r"\[15, 16\] rows"):
        AuditFolder(auditing.path).write(JudgedShard(number=0, results=results.slice(1), timings=timings))
