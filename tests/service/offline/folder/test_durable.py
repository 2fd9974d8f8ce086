"""What is written is on the disk, whole, and shows its damage."""

import errno
import os
from pathlib import Path

import pyarrow as pa
import pytest

from service.offline.folder.durable import parquet_bytes, parquet_table, write_durably


def test_a_table_in_pieces_gives_the_same_file_as_the_whole() -> None:
    whole = pa.table({"number": list(range(100)), "name": [f"n{number % 7}" for number in range(100)]})
    pieces = pa.concat_tables([whole.slice(0, 33), whole.slice(33, 1), whole.slice(34)])
    assert parquet_bytes(pieces) == parquet_bytes(whole)
    assert parquet_bytes(whole.replace_schema_metadata({"made": "elsewhere"})) == parquet_bytes(whole)
    assert parquet_table(parquet_bytes(pieces)).equals(whole)


def test_a_flipped_bit_among_the_values_does_not_pass_for_data() -> None:
    content = bytearray(parquet_bytes(pa.table({"number": pa.array([3.25] * 9 + [1.5])})))
    place = content.index(b"(\xb5/\xfd") + 12
    content[place] ^= 1
    assert parquet_table(bytes(content)) is None
    assert parquet_table(b"") is None


def test_a_file_is_synced_before_it_gets_its_name_and_the_folder_after(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[bool, bool]] = []
    sync, file = os.fsync, tmp_path / "new" / "file"

    def watched(descriptor: int) -> None:
        seen.append((os.path.isdir(f"/proc/self/fd/{descriptor}"), file.exists()))  # noqa: PTH112
        sync(descriptor)

    monkeypatch.setattr(os, "fsync", watched)
    write_durably(file, b"content")
    assert seen == [(False, False), (True, True)]
    assert file.read_bytes() == b"content"


def test_a_full_disk_leaves_the_older_file_and_nothing_beside_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "file"
    write_durably(file, b"old")

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left") as failure:
        write_durably(file, b"new")
    assert failure.value.filename == str(file)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
    assert file.read_bytes() == b"old"


def test_a_folder_that_cannot_be_synced_is_written_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sync = os.fsync

    def without_folders(descriptor: int) -> None:
        if os.path.isdir(f"/proc/self/fd/{descriptor}"):  # noqa: PTH112
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
        sync(descriptor)

    monkeypatch.setattr(os, "fsync", without_folders)
    write_durably(tmp_path / "file", b"content")
    assert (tmp_path / "file").read_bytes() == b"content"
