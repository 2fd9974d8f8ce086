import errno
from pathlib import Path

import pytest
import torch

from detector.evaluation.shards import FolderShards, MemoryShards, Shard, ShardStore, write_whole

SHARD = Shard(
    tensors={"images": torch.rand(3, 1, 2, 2, generator=torch.Generator().manual_seed(0)), "sources": torch.arange(3)},
    facts={"title": "PGD, L∞ 8/255", "seconds": 0.1, "n_tried": 7},
)


@pytest.fixture
def notices() -> list[str]:
    return []


@pytest.fixture(params=["folder", "memory"])
def store(request: pytest.FixtureRequest, tmp_path: Path, notices: list[str]) -> ShardStore:
    return FolderShards(tmp_path / "shards", notices.append) if request.param == "folder" else MemoryShards()


def test_a_shard_comes_back_bit_for_bit(store: ShardStore, notices: list[str]) -> None:
    assert "pgd-8" not in store and store.read("pgd-8") is None
    store.write("pgd-8", SHARD)
    found = store.read("pgd-8")
    assert "pgd-8" in store and found is not None
    assert found.facts == SHARD.facts
    assert {name: tensor.dtype for name, tensor in found.tensors.items()} == {
        "images": torch.float32,
        "sources": torch.int64,
    }
    assert all(torch.equal(found.tensors[name], tensor) for name, tensor in SHARD.tensors.items())
    assert notices == []


def test_a_shard_without_tensors_comes_back(store: ShardStore) -> None:
    store.write("jsma", Shard(tensors={}, facts={"reason": "too slow"}))
    found = store.read("jsma")
    assert found is not None and (dict(found.tensors), found.facts) == ({}, {"reason": "too slow"})


@pytest.mark.parametrize("damage", ["cut", "changed", "missing", "facts"])
def test_a_damaged_shard_is_not_taken_and_named(tmp_path: Path, notices: list[str], damage: str) -> None:
    store = FolderShards(tmp_path, notices.append)
    store.write("pgd-8", SHARD)
    tensors, facts = tmp_path / "pgd-8.safetensors", tmp_path / "pgd-8.json"
    content = tensors.read_bytes()
    match damage:
        case "cut":
            tensors.write_bytes(content[:-4])
        case "changed":
            tensors.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
        case "missing":
            tensors.unlink()
        case "facts":
            facts.write_text(facts.read_text()[:20])
    assert store.read("pgd-8") is None
    assert len(notices) == 1 and str(tensors) in notices[0] and "made again" in notices[0]


def test_a_shard_whose_writing_was_stopped_halfway_is_not_there(
    tmp_path: Path, notices: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    store = FolderShards(tmp_path, notices.append)
    store.write("first", SHARD)
    real = Path.write_bytes

    def full(path: Path, content: bytes) -> int:
        real(path, content[:10])
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(Path, "write_bytes", full)
        with pytest.raises(OSError, match="No space left") as raised:
            store.write("second", SHARD)
    assert raised.value.filename == str(tmp_path / "second.safetensors")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["first.json", "first.safetensors"]
    assert store.read("second") is None and store.read("first") is not None and notices == []


def test_what_cannot_be_written_names_the_file(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match=r"file/results\.json"):
        write_whole(tmp_path / "file" / "results.json", b"{}")
