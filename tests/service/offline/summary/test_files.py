from collections.abc import Callable
from pathlib import Path

from service.offline.summary.files import N_DUPLICATES, N_EXAMPLES, N_OF_EACH, N_REASONS
from service.offline.summary.summarising import summarise
from service.offline.summary.summary_types import Summary

Results = Callable[..., Path]


def summed(folder: Path) -> Summary:
    return summarise(folder, false_discovery_rate=0.1, n_calibration=99)


def test_reasons_that_differ_in_numbers_alone_are_one(results_of: Results) -> None:
    damaged = [{"path": f"{number}.png", "error": f"damaged at byte {100 - number}"} for number in range(9)]
    found = summed(results_of(damaged, [{"path": "b", "error": "gone"}, {"path": "a", "error": "gone"}])).unreadable
    assert [(reason.error, reason.n) for reason in found] == [("damaged at byte 100", 9), ("gone", 2)]
    assert found[0].examples == tuple(f"{number}.png" for number in range(N_EXAMPLES))
    assert found[1].examples == ("a", "b")


def test_the_commonest_reasons_are_kept(results_of: Results) -> None:
    names = "abcdefghijklmnopqrstuvwxyz"
    errors = [{"path": f"{letter}{n}", "error": letter} for n, letter in enumerate(names)]
    found = summed(results_of([*errors, {"path": "z", "error": "z"}])).unreadable
    assert [reason.error for reason in found] == ["z", *names[: N_REASONS - 1]]


def test_images_with_the_same_pixels_are_a_group(results_of: Results) -> None:
    def copies(digest: str, *paths: str, **others: object) -> list[dict[str, object]]:
        return [{"path": path, "digest": digest, **others} for path in paths]

    shards = (
        copies("1" * 16, "d", "a") + copies("2" * 16, "e") + copies("3" * 16, "f", given_label="cat"),
        copies("1" * 16, "c") + copies("3" * 16, "g", given_label="dog") + copies("3" * 16, "h"),
        [
            *copies("4" * 16, "i", "j", given_label="cat"),
            {"path": "k", "error": "gone"},
            {"path": "l", "error": "gone"},
        ],
    )
    found = summed(results_of(*shards)).duplicates
    assert (found.n_groups, found.n_images, found.n_conflicting) == (3, 8, 1)
    assert [(group.digest[0], group.n, group.paths, group.given_labels) for group in found.groups] == [
        ("1", 3, ("a", "c", "d"), ()),
        ("3", 3, ("f", "g", "h"), ("cat", "dog")),
        ("4", 2, ("i", "j"), ("cat",)),
    ]
    assert [group.digest[0] for group in found.conflicting] == ["3"]
    assert found.groups[0].decisions == ("clean",)


def test_large_groups_are_told_by_their_first_paths_and_labels(results_of: Results) -> None:
    many = [{"path": f"{number:03d}", "digest": "1" * 16, "given_label": f"{99 - number:03d}"} for number in range(60)]
    (group,) = summed(results_of(many)).duplicates.groups
    assert group.n == 60
    assert group.paths == tuple(f"{number:03d}" for number in range(N_OF_EACH))
    assert group.given_labels == tuple(f"{number:03d}" for number in range(40, 40 + N_OF_EACH))


def test_the_largest_groups_are_kept_and_all_are_counted(results_of: Results) -> None:
    pairs = [
        {"path": f"{group:03d}-{number}", "digest": f"{group:016d}"}
        for group in range(N_DUPLICATES + 5)
        for number in range(3 if group == 7 else 2)
    ]
    found = summed(results_of(pairs)).duplicates
    assert (found.n_groups, len(found.groups), found.groups[0].n) == (N_DUPLICATES + 5, N_DUPLICATES, 3)


def test_a_copy_on_the_other_side_of_the_threshold_is_shown(results_of: Results) -> None:
    twice = {"digest": "1" * 16}
    summary = summed(results_of([{"path": "a", "p_value": 0.06, **twice}, {"path": "b", "p_value": 0.05, **twice}]))
    assert summary.duplicates.groups[0].decisions == ("adversarial", "clean")
    assert [image.path for image in summary.ranked] == ["b"]
