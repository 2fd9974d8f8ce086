import threading
import zipfile
from pathlib import Path

import pytest

from service.audits import background, workers
from service.audits.store import State
from service.engine.work import EngineState
from service.errors import EngineError, InputError


def test_the_engine_is_asked_again_where_it_fails(open_server, images, monkeypatch) -> None:
    monkeypatch.setattr(background, "FIRST_PAUSE_SECONDS", 0.001)
    server = open_server()
    server.engine.failures = [EngineError("no memory")] * 3
    done = server.start().wait(server.folder(images))
    assert (done.state, done.n_judged) == (State.DONE, 10)


def test_an_engine_that_fails_each_time_fails_the_audit_which_can_be_resumed(open_server, images, monkeypatch) -> None:
    monkeypatch.setattr(background, "FIRST_PAUSE_SECONDS", 0.001)
    server = open_server()
    server.engine.failures = [EngineError("no memory")] * 12
    failed = server.start().wait(server.folder(images))
    assert (failed.state, failed.can_resume, "no memory" in failed.error) == (State.FAILED, True, True)
    server.engine.failures.clear()
    server.jobs.resume(failed.id, None)
    assert server.wait(failed, State.DONE).n_judged == 10


def test_a_broken_engine_leaves_audits_as_they_are(open_server, images) -> None:
    server = open_server()
    server.engine.state = EngineState.BROKEN
    server.engine.failures = [EngineError("broken")] * 3
    audit = server.folder(images)
    server.start()
    server.wait(audit, State.RUNNING)
    server.jobs.close()
    assert open_server().start().wait(audit).n_judged == 10


def test_another_bundle_of_the_same_name_does_not_go_on(open_server, images, other_bundle) -> None:
    server = open_server()
    audit = server.folder(images)
    server.jobs.close()
    failed = open_server(served=other_bundle(digest="d2")).start().wait(audit)
    assert (failed.state, failed.can_resume) == (State.FAILED, True)
    assert "not served as it was" in failed.error


def test_a_full_disk_ends_in_failed_with_its_reason_and_can_be_resumed(open_server, images, monkeypatch) -> None:
    server = open_server().start()

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr("service.audits.run.unpack", full)
        failed = server.wait(server.archive(zipped(images)))
    assert (failed.state, failed.can_resume) == (State.FAILED, True)
    assert "No space left" in failed.error
    server.jobs.resume(failed.id, None)
    assert server.wait(failed, State.DONE).n_judged == 10


def test_a_failure_that_cannot_be_written_is_shown_all_the_same(open_server, images, monkeypatch, picture) -> None:
    for index in range(60):
        (images / f"more-{index}.png").write_bytes(picture(index))
    server = open_server()
    audit = server.folder(images)
    # From now on the database does not grow any more.
    server.jobs._database._writer.execute("PRAGMA max_page_count = 1")
    grown = threading.Event()
    monkeypatch.setattr(workers.AuditStore, "fail", broken(workers.AuditStore.fail, grown))
    server.start()
    failed = server.wait(audit)
    assert (failed.state, failed.can_resume) == (State.FAILED, True)
    assert "full" in failed.error
    server.jobs._database._writer.execute("PRAGMA max_page_count = 1000000")
    grown.set()
    server.jobs.resume(audit.id, None)
    assert server.wait(audit, State.DONE).n_judged == 70


def broken(write, grown):
    def fail(self, *arguments, **options):
        if not grown.is_set():
            raise workers.StateError("full")
        write(self, *arguments, **options)

    return fail


def test_a_damaged_archive_fails_for_good(open_server, images) -> None:
    server = open_server().start()
    failed = server.wait(server.archive(zipped(images)[:-30]))
    assert (failed.state, failed.can_resume) == (State.FAILED, False)
    assert "damaged" in failed.error
    with pytest.raises(InputError, match="cannot be resumed"):
        server.jobs.resume(failed.id, None)


def zipped(folder: Path) -> bytes:
    path = folder.parent / "zipped.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for image in sorted(folder.glob("*.png")):
            archive.write(image, image.name)
    return path.read_bytes()
