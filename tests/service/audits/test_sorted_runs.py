import errno
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.audits import sorted_runs
from service.audits.sorted_runs import BREAK, SortedRuns
from service.audits.sources import OF_THE_FILE

TEXTS = st.lists(st.binary(max_size=40).filter(lambda text: BREAK not in text), max_size=60)


def n_descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


@settings(max_examples=40)
@given(texts=TEXTS, run=st.integers(1, 20), block=st.integers(1, 50))
def test_texts_come_in_order_however_few_fit_into_memory(texts, run, block) -> None:
    with pytest.MonkeyPatch.context() as patch, SortedRuns() as runs:
        patch.setattr(sorted_runs, "RUN", run)
        patch.setattr(sorted_runs, "BLOCK", block)
        for text in texts:
            runs.add(text)
        assert list(runs) == sorted(texts)


def test_nothing_of_it_stays_on_the_disk_or_open(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(sorted_runs, "RUN", 2)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    n_open = n_descriptors()
    with SortedRuns() as runs:
        for number in range(9):
            runs.add(b"%d" % number)
        assert n_descriptors() == n_open + 1
        assert not list(tmp_path.iterdir())
    assert n_descriptors() == n_open
    assert list(runs) == []


@pytest.mark.parametrize("failure", [FileNotFoundError(errno.ENOENT, "none"), PermissionError(errno.EACCES, "no")])
def test_without_temporary_files_it_is_not_the_sorted_folder_that_is_to_blame(monkeypatch, failure) -> None:
    def failing(**_: str) -> None:
        raise failure

    monkeypatch.setattr(sorted_runs, "RUN", 1)
    monkeypatch.setattr("tempfile.mkstemp", failing)
    with pytest.raises(OSError, match="TMPDIR") as caught:
        SortedRuns().add(b"a")
    assert caught.value.errno not in OF_THE_FILE
