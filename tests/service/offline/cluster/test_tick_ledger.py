from service.offline.cluster.tick_ledger import TickLedger, added
from service.offline.work import Tick


def tick(shard: int, n_images: int, n_flagged: int = 0, n_errors: int = 0) -> Tick:
    return Tick(shard=shard, n_images=n_images, n_flagged=n_flagged, n_errors=n_errors)


def test_only_what_is_new_is_told() -> None:
    told: list[Tick] = []
    ledger = TickLedger(told.append)
    for so_far in (tick(3, 0), tick(3, 10, 1), tick(3, 10, 1), tick(3, 30, 1, 2)):
        ledger.counted(so_far)
    assert told == [tick(3, 10, 1), tick(3, 20, 0, 2)]


def test_a_shard_that_is_begun_again_is_told_of_from_where_it_was() -> None:
    told: list[Tick] = []
    ledger = TickLedger(told.append)
    for n_images in (20, 0, 10, 20, 30):
        ledger.counted(tick(0, n_images))
    assert [one.n_images for one in told] == [20, 10]


def test_ticks_of_a_whole_shard_add_up_to_it_whatever_was_told_before() -> None:
    told: list[Tick] = []
    ledger = TickLedger(told.append)
    ledger.counted(tick(5, 7, 2, 1))
    ledger.done(tick(5, 16, 4, 1))
    ledger.done(tick(6, 3, 1, 0))
    assert [one for one in told if one.shard == 5] == [tick(5, 7, 2, 1), tick(5, 9, 2, 0)]
    assert told[-1] == tick(6, 3, 1, 0)


def test_ticks_add_up() -> None:
    assert added(tick(1, 2, 3, 4), tick(1, 10, 20, 30)) == tick(1, 12, 23, 34)
