import io
import warnings
import zipfile
from pathlib import Path

import pytest

from models import archives
from models.archives import read_archive, written_anew
from models.errors import ModelError

PATH = Path("m.zip")


def zipped(*members: tuple[str, bytes], compression: int = zipfile.ZIP_STORED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as archive, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name, content in members:
            archive.writestr(name, content)
    return buffer.getvalue()


def changed(content: bytes, place: int, value: int) -> bytes:
    """With two bytes of both headers of the first member replaced; `place` counts from the local one's start."""
    directory = content.index(b"PK\x01\x02") + 2
    for start in (place, directory + place):
        content = content[:start] + value.to_bytes(2, "little") + content[start + 2 :]
    return content


def test_what_is_written_anew_reads_the_same() -> None:
    members = {"a/b": b"1", "c": b"2" * 100}
    archive = read_archive(written_anew(members, "folder").getvalue(), PATH)
    assert archive.members == members
    assert not archive.is_compressed
    assert read_archive(zipped(("x/a", b"1" * 99), compression=zipfile.ZIP_DEFLATED), PATH).is_compressed


@pytest.mark.parametrize("names", [("m/a", "m/a"), ("m/code/a.py", "m/code/a.PY"), ("m/a", "other/A")])
def test_names_that_readers_could_take_for_one_another_are_refused(names: tuple[str, str]) -> None:
    with pytest.raises(ModelError, match=r"m.zip is not loaded: it holds '.*' twice"):
        read_archive(zipped(*((name, b"1") for name in names)), PATH)


STORED = zipped(("m/a", b"12345678"))
DEFLATED = zipped(("m/a", b"12345678" * 9), compression=zipfile.ZIP_DEFLATED)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        STORED[:30],
        STORED.replace(b"12345678", b"12345679"),
        changed(STORED, 6, 1),
        changed(STORED, 8, 99),
        DEFLATED[:33] + b"\xff\xff\xff" + DEFLATED[36:],
    ],
    ids=["empty", "cut", "other content", "encrypted", "unknown compression", "broken compression"],
)
def test_what_cannot_be_read_is_said_to_be_damaged(content: bytes) -> None:
    with pytest.raises(ModelError, match=r"m.zip is damaged, encrypted, or no such archive"):
        read_archive(content, PATH)


def test_what_unpacks_to_far_more_than_the_file_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    content = zipped(("m/a", bytes(100_000)), compression=zipfile.ZIP_DEFLATED)
    assert len(read_archive(content, PATH).members["a"]) == 100_000
    monkeypatch.setattr(archives, "MOST_GAINED", 10_000)
    with pytest.raises(ModelError, match="unpacks to 10000 bytes more"):
        read_archive(content, PATH)
