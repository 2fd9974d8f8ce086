import hashlib
from pathlib import Path

import pytest
import torch

from models.files import file_digest, replace_atomically, tensor_digest


def test_a_block_that_ends_well_leaves_the_new_file_alone(tmp_path: Path) -> None:
    path = tmp_path / "folder" / "file"
    with replace_atomically(path) as temporary:
        temporary.write_text("new")
    assert [entry.name for entry in path.parent.iterdir()] == ["file"]
    assert path.read_text() == "new"


def test_a_block_that_fails_leaves_the_old_file_alone(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("old")
    with pytest.raises(KeyboardInterrupt), replace_atomically(path) as temporary:
        temporary.write_text("half")
        raise KeyboardInterrupt
    assert [entry.name for entry in tmp_path.iterdir()] == ["file"]
    assert path.read_text() == "old"


def test_the_digest_of_a_file_is_its_sha256(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"abc")
    assert file_digest(tmp_path / "file") == hashlib.sha256(b"abc").hexdigest()


def test_the_digest_of_tensors_knows_dtype_shape_and_order_but_not_layout() -> None:
    ones = torch.ones(2, 3, 4, 5)
    variants = [
        [ones],
        [ones.half()],
        [ones.view(2, 3, 20)],
        [ones, torch.zeros(1)],
        [torch.zeros(1), ones],
    ]
    assert len({tensor_digest(tensors) for tensors in variants}) == len(variants)
    image = torch.rand(2, 3, 4, 5)
    assert tensor_digest([image.contiguous(memory_format=torch.channels_last)]) == tensor_digest([image])
