import os
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from detector.tensor_files import save_tensors


@pytest.mark.parametrize(("mask", "mode"), [(0o022, 0o644), (0o077, 0o600)])
def test_whoever_may_read_new_files_may_read_tensors(tmp_path: Path, mask: int, mode: int) -> None:
    before = os.umask(mask)
    try:
        save_tensors({"one": torch.ones(2)}, tmp_path / "x.safetensors")
    finally:
        os.umask(before)
    assert (tmp_path / "x.safetensors").stat().st_mode & 0o777 == mode
    assert load_file(tmp_path / "x.safetensors")["one"].tolist() == [1, 1]
