"""The first shard is small, so that there is something to look at early."""

import itertools

from service.offline.folder.names import MARK, shard_file, shard_number
from service.offline.folder.shards import in_shards, shard_sizes
from service.offline.items import Item


def test_shards_double_up_to_the_bound() -> None:
    assert list(itertools.islice(shard_sizes(100), 6)) == [16, 32, 64, 100, 100, 100]


def test_a_small_bound_holds_from_the_first_shard_on() -> None:
    assert list(itertools.islice(shard_sizes(5), 3)) == [5, 5, 5]


def test_the_last_shard_has_what_is_left_and_none_is_empty() -> None:
    items = [Item(path=str(number)) for number in range(48)]
    shards = list(in_shards(items, 32))
    assert [len(shard) for shard in shards] == [16, 32]
    assert [item for shard in shards for item in shard] == items
    assert [len(shard) for shard in in_shards([*items, Item(path="more")], 32)] == [16, 32, 1]
    assert not list(in_shards([], 32))


def test_names_of_files_sort_as_the_numbers_of_shards_do() -> None:
    assert shard_file(7) == "00000007.parquet"
    assert shard_number(shard_file(12345)) == 12345
    assert shard_number(".00000007.parquet.12.partial") is None
    assert shard_number("7.parquet") is None
    assert shard_number(shard_file(7, MARK)) is None
    assert shard_number(shard_file(7, MARK), MARK) == 7
