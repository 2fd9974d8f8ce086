from collections.abc import Iterator
from typing import Any

import fsspec
import pytest

from service.offline.reading import urls
from service.offline.reading.urls import UnreachableError, filesystem_of
from service.offline.sources.folders import ImageSelection
from service.offline.sources.remote_folders import open_remote_folder


@pytest.fixture
def store() -> Iterator[Any]:
    filesystem = fsspec.filesystem("memory")
    filesystem.store.clear()
    yield filesystem
    filesystem.store.clear()
    filesystem.pseudo_dirs[:] = [""]


def listed(root: str = "memory://bucket"):
    source = open_remote_folder(root, ImageSelection(), {})
    return list(source.items(lambda: None))


def test_files_come_in_order_of_their_names_before_those_of_inner_folders(store) -> None:
    for name in ("z/1.png", "b.png", "a.png", "c/2.png", "c/d/3.png", ".hidden.png"):
        store.pipe_file(f"/bucket/{name}", b"xyz")
    items = listed()
    assert [item.path for item in items] == [".hidden.png", "a.png", "b.png", "c/2.png", "c/d/3.png", "z/1.png"]
    assert items[1].container == "memory://bucket/a.png"
    assert items[1].size == 3
    assert items[1].stamp


def test_folders_of_classes_give_their_names_as_labels(store) -> None:
    for name in ("cat/1.png", "dog/2.png"):
        store.pipe_file(f"/bucket/{name}", b"x")
    assert [item.given_label for item in listed()] == ["cat", "dog"]


def test_an_inner_folder_that_may_not_be_listed_is_a_row(store, monkeypatch) -> None:
    for name in ("a.png", "secret/b.png"):
        store.pipe_file(f"/bucket/{name}", b"x")
    filesystem = filesystem_of("memory://bucket")
    whole = filesystem.ls

    def ls(path: str, **options: Any) -> Any:
        if path.endswith("secret"):
            raise PermissionError
        return whole(path, **options)

    monkeypatch.setattr(filesystem, "ls", ls)
    image, refused = listed()
    assert image.refused is None
    assert (refused.path, "permit" in refused.refused) == ("secret", True)


def test_a_store_that_fails_ends_the_listing(store, monkeypatch) -> None:
    store.pipe_file("/bucket/a.png", b"x")
    monkeypatch.setattr(urls, "PAUSES", ())

    def ls(*_: object, **__: object) -> Any:
        raise TimeoutError

    monkeypatch.setattr(filesystem_of("memory://bucket"), "ls", ls)
    with pytest.raises(UnreachableError):
        listed()


def test_markers_of_empty_folders_are_no_files(store, monkeypatch) -> None:
    store.pipe_file("/bucket/a.png", b"x")
    filesystem = filesystem_of("memory://bucket")
    whole = filesystem.ls

    def ls(path: str, **options: Any) -> Any:
        return [{"name": "/bucket/", "size": 0, "type": "file"}, *whole(path, **options)]

    monkeypatch.setattr(filesystem, "ls", ls)
    assert [item.path for item in listed()] == ["a.png"]
