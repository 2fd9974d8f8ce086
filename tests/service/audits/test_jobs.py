import json
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import pytest

from service.audits.store import State
from service.engine.work import Lane
from service.errors import NotFoundError, OverloadedError

SCRIPT = Path(__file__).with_name("killed_audits.py")


def wait_until(holds) -> None:
    until = time.monotonic() + 30
    while not holds():
        assert time.monotonic() < until
        time.sleep(0.01)


def test_every_image_of_a_folder_gets_its_result_in_order(open_server, images) -> None:
    server = open_server().start()
    done = server.wait(server.folder(images))
    records = [json.loads(line) for line in server.results(done)]
    assert [record["path"] for record in records] == [f"{index}.png" for index in range(10)]
    assert [record["path"] for record in records if record["decision"] == "adversarial"] == ["0.png", "5.png"]
    assert (done.state, done.n_files, done.n_skipped, done.n_judged, done.n_flagged, done.n_errors) == (
        *(State.DONE, 10, 1, 10),
        *(2, 0),
    )


def test_audits_are_asked_on_the_background_lane_in_chunks_of_a_step(open_server, images) -> None:
    server = open_server().start()
    audit = server.wait(server.folder(images))
    assert [len(ask.images) for ask in server.engine.asks] == [4, 4, 2]
    assert {ask.lane for ask in server.engine.asks} == {Lane.BACKGROUND}
    [first, *_] = server.observability.told
    assert (first["request_id"], first["source"], first["positions"]) == (f"audit-{audit.id}", "audit", [0, 1, 2, 3])
    assert [len(digest) for digest in first["digests"]] == [16] * 4


def test_at_most_two_chunks_are_under_way(open_server, images) -> None:
    server = open_server()
    server.engine.gate.clear()
    server.start()
    server.folder(images)
    wait_until(lambda: len(server.engine.asks) >= 2)
    time.sleep(0.3)
    assert len(server.engine.asks) == 2


def test_a_file_that_is_no_image_is_a_result_with_its_error(open_server, images) -> None:
    (images / "1.png").write_bytes(b"no image")
    (images / "2.png").write_bytes(b"")
    server = open_server().start()
    done = server.wait(server.folder(images))
    records = [json.loads(line) for line in server.results(done)]
    assert "not an image" in records[1]["error"]
    assert "empty" in records[2]["error"]
    assert (done.n_judged, done.n_errors) == (8, 2)
    assert server.observability.told[0]["positions"] == [0, 3]


@pytest.mark.slow
def test_killing_the_process_in_the_middle_loses_nothing_and_repeats_nothing(open_server, tmp_path, picture) -> None:
    n_files = 160
    names = [f"{index:03}.png" for index in range(n_files)]
    folder, archive = tmp_path / "many", tmp_path / "many.zip"
    folder.mkdir()
    with zipfile.ZipFile(archive, "w") as written:
        for index, name in enumerate(names):
            (folder / name).write_bytes(picture(index))
            written.write(folder / name, name)
    command = [sys.executable, str(SCRIPT), str(folder), str(archive)]
    killed = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    for source in (folder, archive):
        first, second = killed[source.name]
        server = open_server(state=source.with_name(f"{source.name}.state"))
        [interrupted] = server.jobs.of_key(None, offset=0, limit=10)
        assert 0 < first < second <= interrupted.n_judged < n_files
        before = server.results(interrupted)
        assert len(before) == interrupted.n_judged
        done = server.start().wait(interrupted)
        after = server.results(done)
        assert [json.loads(line)["path"] for line in after] == names
        assert after[: len(before)] == before
        assert (done.state, done.n_judged) == (State.DONE, n_files)
        # What had its result was not judged again.
        assert server.engine.n_images == n_files - len(before)
        server.jobs.close()
        assert not any((source.with_name(f"{source.name}.state") / "unpacked").iterdir())


def test_an_audit_that_was_unpacked_by_half_is_unpacked_again(open_server, tmp_path, picture) -> None:
    server = open_server()
    archive = tmp_path / "a.zip"
    with zipfile.ZipFile(archive, "w") as written:
        written.writestr("a.png", picture(1))
        written.writestr("b.png", picture(2))
    (tmp_path / "state" / "archives").mkdir()
    audit = server.archive(archive.read_bytes())
    half = tmp_path / "state" / "unpacked" / audit.id
    half.mkdir(parents=True)
    (half / "0").write_bytes(b"ha")
    done = server.start().wait(audit)
    assert [json.loads(line)["error"] for line in server.results(done)] == [None, None]


def test_closing_leaves_the_rest_for_the_next_server(open_server, images) -> None:
    server = open_server()
    server.engine.gate.clear()
    server.start()
    audit = server.folder(images)
    server.wait(audit, State.RUNNING)
    server.jobs.close()
    again = open_server()
    done = again.start().wait(audit)
    assert done.n_judged == 10
    assert server.engine.cancelled == len(server.engine.asks)


def test_deleting_ends_what_runs_and_keeps_nothing(open_server, images, tmp_path) -> None:
    server = open_server()
    server.engine.gate.clear()
    server.start()
    audit = server.folder(images)
    server.wait(audit, State.RUNNING)
    server.jobs.forget(audit.id, None)
    with pytest.raises(NotFoundError):
        server.jobs.find(audit.id, None)
    wait_until(lambda: server.engine.cancelled == len(server.engine.asks))
    server.engine.gate.set()
    # The thread is free for the next one.
    assert server.wait(server.folder(images)).n_judged == 10
    server.jobs.close()
    again = open_server()
    assert again.results(audit) == []
    assert len(again.jobs.of_key(None, offset=0, limit=10)) == 1


def test_deleting_takes_a_waiting_and_a_done_audit_out(open_server, images) -> None:
    server = open_server()
    waiting = server.folder(images)
    server.jobs.forget(waiting.id, None)
    server.start()
    done = server.wait(server.folder(images))
    server.jobs.forget(done.id, None)
    assert server.jobs.of_key(None, offset=0, limit=10) == []
    assert server.results(done) == []


def test_what_was_deleted_when_the_server_was_killed_is_swept_up(open_server, images, tmp_path) -> None:
    server = open_server()
    audit = server.folder(images)
    server.jobs._store.cancel(audit)
    server.jobs.close()
    (tmp_path / "state" / "archives").mkdir()
    (tmp_path / "state" / "archives" / "orphan").write_bytes(b"left")
    again = open_server().start()
    assert again.jobs._store.in_state(State.CANCELLED) == []
    assert list((tmp_path / "state" / "archives").iterdir()) == []


def test_one_key_does_not_see_or_delete_the_audits_of_another(open_server, images) -> None:
    server = open_server()
    audit = server.folder(images, key_id="alice")
    assert server.jobs.of_key("bob", offset=0, limit=10) == []
    for forbidden in (server.jobs.find, server.jobs.forget, server.jobs.resume):
        with pytest.raises(NotFoundError):
            forbidden(audit.id, "bob")
    assert server.jobs.find(audit.id, "alice").id == audit.id


def test_one_keys_audits_do_not_keep_anothers_waiting(open_server, images) -> None:
    server = open_server()
    server.engine.gate.clear()
    server.start()
    first, second = server.folder(images, key_id="alice"), server.folder(images, key_id="alice")
    server.wait(first, State.RUNNING)
    server.wait(server.folder(images, key_id="bob"), State.RUNNING)
    assert server.jobs.find(second.id, None).state is State.QUEUED


def test_a_key_that_has_too_many_audits_is_told_to_wait(open_server, images, monkeypatch) -> None:
    monkeypatch.setattr("service.audits.jobs.MOST_WAITING", 2)
    server = open_server()
    server.folder(images), server.folder(images)
    with pytest.raises(OverloadedError):
        server.folder(images)
    server.folder(images, key_id="another")


def test_uploads_at_the_same_time_are_few(open_server) -> None:
    server = open_server()
    first, _ = server.jobs.uploads.open("alice"), server.jobs.uploads.open("alice")
    with pytest.raises(OverloadedError):
        server.jobs.uploads.open("alice")
    server.jobs.uploads.close(first)
    server.jobs.uploads.open("alice")


def test_a_rate_that_the_bundle_does_not_support_is_refused(open_server, images) -> None:
    with pytest.raises(ValueError, match="no such rate"):
        open_server().jobs.add_folder(str(images), bundle=None, false_positive_rate=0.001, key_id="a")
