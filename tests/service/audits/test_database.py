import concurrent.futures
import json
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from service.audits.database import Database, StateError
from service.audits.file_store import AuditCancelledError, AuditFile, FileStore
from service.audits.store import Audit, AuditStore, Kind, State
from service.errors import InputError
from service.records import error_record


@pytest.fixture
def database(tmp_path: Path):
    opened = Database(tmp_path / "state")
    yield opened
    opened.close()


def an_audit(**fields) -> Audit:
    known = {"key_id": "a", "bundle": "toy", "bundle_digest": "d", "false_positive_rate": 0.05}
    return Audit(kind=Kind.FOLDER, source="/x", **known | fields)


def test_a_second_server_on_the_same_folder_is_refused_with_the_first_ones_number(tmp_path) -> None:
    code = (
        "import sys; from pathlib import Path; from service.audits.database import Database\n"
        "Database(Path(sys.argv[1])); print('open', flush=True); sys.stdin.read()"
    )
    command = [sys.executable, "-c", code, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"open\n"
        with pytest.raises(InputError, match=f"used by another server \\(process {process.pid}\\).*--state"):
            Database(tmp_path)
        process.kill()
        process.wait()
    # Whoever was killed holds nothing any more.
    Database(tmp_path).close()


def test_a_folder_that_cannot_be_written_is_refused(tmp_path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="--state"):
        Database(tmp_path / "file" / "state")


def test_a_damaged_database_is_refused(tmp_path) -> None:
    (tmp_path / "isthmus.sqlite").write_bytes(b"this is not a database at all" * 100)
    with pytest.raises(InputError, match="put it aside"):
        Database(tmp_path)
    # And the folder is free again.
    (tmp_path / "isthmus.sqlite").unlink()
    Database(tmp_path).close()


def test_a_database_of_a_newer_version_is_refused(tmp_path) -> None:
    Database(tmp_path).close()
    with sqlite3.connect(tmp_path / "isthmus.sqlite") as connection:
        connection.execute("PRAGMA user_version = 99")
    connection.close()
    with pytest.raises(InputError, match="newer version"):
        Database(tmp_path)


def test_a_transaction_that_fails_has_not_happened(database) -> None:
    store = AuditStore(database)
    audit = an_audit()
    store.add(audit)
    with pytest.raises(StateError):
        store.add(audit)
    with pytest.raises(RuntimeError), database.writing() as connection:
        connection.execute("DELETE FROM audits")
        raise RuntimeError
    assert len(store.of_key(None, offset=0, limit=10)) == 1


def test_many_threads_write_and_read_at_the_same_time(database) -> None:
    store = AuditStore(database)

    def work(number: int) -> int:
        store.add(an_audit(key_id=str(number % 4)))
        return len(store.of_key(str(number % 4), offset=0, limit=1000))

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        seen = list(pool.map(work, range(80)))
    assert max(seen) == 20
    assert store.count("0") == 20


def test_readers_do_not_wait_for_who_writes(database) -> None:
    store = AuditStore(database)
    store.add(an_audit())
    with database.writing() as connection:
        connection.execute("UPDATE audits SET state = 'done'")
        [audit] = store.of_key(None, offset=0, limit=10)
        assert audit.state is State.QUEUED


def test_the_oldest_waiting_audit_of_a_key_that_is_not_busy_is_taken(database) -> None:
    store = AuditStore(database)
    for key_id in ("a", "a", "b"):
        store.add(an_audit(key_id=key_id))
    first = store.take(set())
    second = store.take({"a"})
    assert (first.number, first.key_id, second.key_id, store.take({"a", "b"})) == (1, "a", "b", None)
    store.requeue_interrupted()
    assert len(store.in_state(State.QUEUED)) == 3


def running(database) -> tuple[Audit, FileStore, AuditStore]:
    store, files = AuditStore(database), FileStore(database)
    store.add(an_audit())
    audit = store.take(set())
    assert audit is not None
    files.add(audit, [AuditFile(name=f"{index}.png") for index in range(3)], lambda: 1, lambda: None)
    return audit, files, store


def test_no_file_takes_two_results(database) -> None:
    audit, files, store = running(database)
    files.judged(audit, [(0, error_record("0.png", "x"))], 1.0)
    with pytest.raises(AuditCancelledError):
        files.judged(audit, [(1, error_record("1.png", "x")), (0, error_record("0.png", "y"))], 1.0)
    [now] = store.of_key(None, offset=0, limit=1)
    assert (now.n_errors, now.seconds) == (1, 1.0)
    assert [file.position for file in files.unjudged(audit, after=-1, limit=10)] == [1, 2]
    assert [json.loads(line)["error"] for line in files.results(audit, offset=0, limit=10)] == ["x"]


def test_nothing_is_written_to_an_audit_that_was_cancelled(database) -> None:
    audit, files, store = running(database)
    store.cancel(audit)
    with pytest.raises(AuditCancelledError):
        files.judged(audit, [(0, error_record("0.png", "x"))], 1.0)
    assert files.results(audit, offset=0, limit=10) == []


def test_a_listing_that_ended_early_is_made_anew(database) -> None:
    audit, files, store = running(database)
    [before] = store.of_key(None, offset=0, limit=1)
    files.add(audit, [AuditFile(name="only.png")], lambda: 0, lambda: None)
    [after] = store.of_key(None, offset=0, limit=1)
    assert (before.n_files, before.n_skipped, after.n_files, after.n_skipped) == (3, 1, 1, 0)
    assert [file.name for file in files.unjudged(audit, after=-1, limit=10)] == ["only.png"]
