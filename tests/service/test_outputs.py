from pathlib import Path

import pytest

from service.errors import InputError
from service.outputs import require_writable


def test_a_folder_that_is_not_there_yet_may_be_asked_about_and_stays_away(tmp_path: Path) -> None:
    require_writable(tmp_path / "new" / "deeper")
    assert list(tmp_path.iterdir()) == []


def test_a_file_where_a_folder_should_be_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="file is a file"):
        require_writable(tmp_path / "file" / "bundle")
