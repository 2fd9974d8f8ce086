import pytest

from service.rest.preparing import GROUP_BYTES, waves


def sizes(files, n_threads):
    return [[[len(data) for data in group] for group in wave] for wave in waves(files, n_threads)]


def test_small_files_share_a_group_and_large_ones_have_their_own():
    large = bytes(GROUP_BYTES)
    assert sizes([b"a", b"bb", large, b"c"], 2) == [[[1, 2], [GROUP_BYTES]], [[1]]]


@pytest.mark.parametrize("n_threads", [1, 2, 5])
def test_no_wave_has_more_groups_than_there_are_threads_and_no_file_is_lost(n_threads):
    files = [bytes(length) for length in (0, GROUP_BYTES, 5, GROUP_BYTES * 2, 0, 7, GROUP_BYTES - 7, 1)]
    found = sizes(files, n_threads)
    assert max(map(len, found)) <= n_threads
    assert [size for wave in found for group in wave for size in group] == [len(data) for data in files]


def test_no_files_make_no_wave():
    assert sizes([], 2) == []
