import os
from pathlib import Path

import pytest

from service.errors import InputError
from service.offline.items import Item
from service.offline.reading.container_reading import read_forward
from service.offline.reading.open_streams import MOST_IDLE, OpenStreams
from service.offline.reading.places import LocalPlace
from service.offline.sources.source import ContainerFile
from service.offline.sources.tars import TarSource


@pytest.fixture
def items(tmp_path, tar_of) -> list[Item]:
    path = tmp_path / "a.tgz"
    path.write_bytes(tar_of([(f"{number}.png", b"%d" % number) for number in range(4)], "gz"))
    return list(TarSource([ContainerFile(name="a.tgz", place=str(path))]).items(lambda: None))


def test_the_next_reader_goes_on_where_the_last_one_ended(items) -> None:
    streams = OpenStreams()
    with streams.borrowed(items[0]) as first:
        assert first.read(items[0]) == b"0"
    with streams.borrowed(items[1]) as second:
        assert second is first
        with streams.borrowed(items[3]) as third:
            assert third is not first
            assert third.read(items[3]) == b"3"
        assert second.read(items[1]) == b"1"
    with streams.borrowed(items[2]) as fourth:
        assert fourth is first
    streams.close()


def test_nobody_goes_back(items) -> None:
    streams = OpenStreams()
    with streams.borrowed(items[3]) as last:
        last.read(items[3])
    with streams.borrowed(items[0]) as first:
        assert first is not last
        assert first.read(items[0]) == b"0"
    streams.close()


def test_a_container_that_changed_is_opened_again(items) -> None:
    streams = OpenStreams()
    with streams.borrowed(items[0]) as first:
        pass
    os.utime(items[0].container, (1, 1))
    with streams.borrowed(items[0]) as second:
        assert second is not first
    streams.close()


def test_who_breaks_off_between_two_images_leaves_the_stream_to_the_next(items) -> None:
    streams = OpenStreams()
    answers = read_forward(items[:2], 100, streams)
    assert [next(answers), next(answers)] == [b"0", b"1"]
    answers.close()
    with streams.borrowed(items[2]) as stream:
        assert stream.position == 2
    streams.close()


def test_a_container_of_which_nothing_can_be_known_any_more_does_not_stay_open(items, monkeypatch) -> None:
    def gone(_: object) -> bool:
        raise InputError("gone")

    before, streams = n_open(), OpenStreams()
    with streams.borrowed(items[0]):
        pass
    monkeypatch.setattr(LocalPlace, "has_changed", gone)
    with pytest.raises(InputError, match="gone"), streams.borrowed(items[1]):
        pass
    assert n_open() == before


def test_a_reader_that_passes_over_much_gives_up_where_all_is_closed(items) -> None:
    streams = OpenStreams()
    with pytest.raises(RuntimeError, match="closed"), streams.borrowed(items[0]) as stream:
        streams.close()
        stream.read(items[3])


def n_open() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def test_few_containers_stay_open_and_none_behind_the_end(items) -> None:
    before, streams = n_open(), OpenStreams()
    held = [streams.borrowed(items[0]) for _ in range(MOST_IDLE + 3)]
    for holding in held:
        holding.__enter__()
    assert n_open() == before + MOST_IDLE + 3
    for holding in held[:-1]:
        holding.__exit__(None, None, None)
    assert n_open() == before + MOST_IDLE + 1
    streams.close()
    assert n_open() == before + 1
    held[-1].__exit__(None, None, None)
    assert n_open() == before


def test_what_cannot_be_opened_leaves_nothing_open(tmp_path, items) -> None:
    before = n_open()
    (tmp_path / "a.tgz").write_bytes(b"\x28\xb5\x2f\xfd")
    with pytest.raises(InputError), OpenStreams().borrowed(items[0]):
        pass
    assert n_open() == before
