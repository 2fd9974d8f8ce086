"""One process at a time writes into a folder."""

import errno
import fcntl
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from service.errors import InputError
from service.offline.folder.locking import LOCK_FILE, locked

HOLDER = """
import sys, time
from pathlib import Path
from service.offline.folder.locking import locked
with locked(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


def test_a_second_process_is_told_which_one_holds_the_folder_until_that_dies(tmp_path: Path) -> None:
    folder = tmp_path / "deep" / "audit"
    with subprocess.Popen([sys.executable, "-c", HOLDER, str(folder)], stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(InputError, match=rf"being written by process {holder.pid} on "), locked(folder):
            pass
        holder.send_signal(signal.SIGKILL)
        holder.wait()
    with locked(folder):
        assert f"process {os.getpid()}" in (folder / LOCK_FILE).read_text()
    assert not (folder / LOCK_FILE).read_bytes()


def test_a_folder_is_held_against_the_same_process_too(tmp_path: Path) -> None:
    with locked(tmp_path), pytest.raises(InputError, match="wait for it"), locked(tmp_path):
        pass
    with locked(tmp_path):
        pass


def test_what_fails_while_a_folder_is_held_lets_go_of_it(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), locked(tmp_path):
        raise KeyboardInterrupt
    with locked(tmp_path):
        pass


def test_a_place_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for place in (tmp_path / "file", tmp_path / "file" / "below", Path("/proc/audit"), Path("/proc/self/fdinfo")):
        with pytest.raises(InputError, match="give --out a folder that may be written"), locked(place):
            pass


@pytest.mark.skipif(os.geteuid() == 0, reason="nothing is forbidden to root")
def test_a_folder_without_permission_is_refused(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(InputError, match="Permission denied"), locked(tmp_path):
        pass
    tmp_path.chmod(0o700)


def test_a_file_system_without_locks_is_said_and_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def without(descriptor: int, operation: int) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "flock", without)
    with locked(tmp_path):
        assert "nothing can be locked" in caplog.text
