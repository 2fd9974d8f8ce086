from pathlib import Path

import pytest

from detector.files import replace_atomically


def test_a_block_that_ends_well_puts_the_file_in_place(tmp_path: Path) -> None:
    with replace_atomically(tmp_path / "new" / "file") as temporary:
        temporary.write_text("whole")
        assert not (tmp_path / "new" / "file").exists()
    assert (tmp_path / "new" / "file").read_text() == "whole"


def test_a_block_that_fails_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("old")
    with pytest.raises(RuntimeError), replace_atomically(tmp_path / "file") as temporary:
        temporary.write_text("half")
        raise RuntimeError
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {"file": "old"}
