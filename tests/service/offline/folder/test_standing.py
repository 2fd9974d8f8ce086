"""Several threads count in one standing."""

import threading

from service.offline.folder.standing import Standing, Tally


def test_no_count_of_two_threads_is_lost() -> None:
    tally = Tally()

    def count() -> None:
        for _ in range(500):
            tally.listed(3)
            tally.done(3, 2, 1, 1)

    threads = [threading.Thread(target=count) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert tally.standing == Standing(
        n_items=3000, n_shards=1000, n_done=3000, n_shards_done=1000, n_flagged=2000, n_undecided=1000, n_errors=1000
    )
    tally.complete()
    assert tally.standing.is_complete
