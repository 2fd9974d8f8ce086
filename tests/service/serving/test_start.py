import pytest

from service.errors import InputError
from service.serving.start import run_server
from service.settings import ServeSettings


@pytest.mark.parametrize("name", ["none", "file", "file/below"])
def test_a_folder_for_audits_that_is_none_is_told_before_anything_is_loaded(tmp_path, name):
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="--audit-folder"):
        run_server(ServeSettings(port=0, audit_folders=(tmp_path, tmp_path / name)))
