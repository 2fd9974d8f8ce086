from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from scipy.stats import betabinom

from service.offline.summary.groups import N_GROUPS
from service.offline.summary.summarising import summarise
from service.offline.summary.summary_types import Summary

Results = Callable[..., Path]


def summed(folder: Path, **others: Any) -> Summary:
    return summarise(folder, false_discovery_rate=0.1, n_calibration=99, **others)


def images(folder: str, n: int, p_value: float | None = 0.5, **others: Any) -> list[dict[str, Any]]:
    return [{"path": f"{folder}{p_value}-{number}.png", "p_value": p_value, **others} for number in range(n)]


def test_folders_that_clean_images_are_least_likely_to_give_come_first(results_of: Results) -> None:
    large = images("large/", 190) + images("large/", 10, 0.03)
    small = images("up/small/", 2) + images("up/small/", 8, 0.03)
    groups = summed(results_of(large + small, images("", 4))).by_folder
    assert [(group.name, group.n_images, group.flagged.n) for group in groups.top] == [
        ("up/small", 10, 8),
        ("large", 200, 10),
        (".", 4, 0),
    ]
    assert groups.n == 3
    expected = [betabinom(10, 5, 95).sf(7), betabinom(200, 5, 95).sf(9), 1.0]
    assert [group.excess_p_value for group in groups.top] == pytest.approx(expected)
    assert [group.excess_q_value for group in groups.top] == pytest.approx([3 * expected[0], 1.5 * expected[1], 1.0])


def test_undecided_images_are_flagged_but_are_no_excess(results_of: Results) -> None:
    (group,) = summed(
        results_of(images("a/", 3, None) + images("a/", 1) + [{"path": "a/x", "error": "gone"}])
    ).by_folder.top
    assert (group.n_images, group.n_unreadable, group.flagged.n, group.flagged.of) == (5, 1, 3, 4)
    assert group.excess_p_value == 1.0


def test_of_many_folders_the_first_are_kept_and_all_are_counted(results_of: Results) -> None:
    shard = [image for number in range(N_GROUPS + 7) for image in images(f"{number:03d}/", 1)]
    groups = summed(results_of(shard + images("attacked/", 3, 0.01))).by_folder
    assert (groups.n, len(groups.top), groups.top[0].name) == (N_GROUPS + 8, N_GROUPS, "attacked")


def test_folders_with_line_breaks_and_backslashes_are_folders(results_of: Results) -> None:
    groups = summed(
        results_of([{"path": "a\nb/c\\d/x.png"}, {"path": "e\\f.png"}, {"path": "s.tar/0001/x.png"}])
    ).by_folder
    assert sorted(group.name for group in groups.top) == [".", "a\nb/c\\d", "s.tar/0001"]


def test_predicted_labels_have_their_flagged_images(results_of: Results) -> None:
    shard = images("a/", 5, 0.01, label=1) + images("a/", 20, label=0) + [{"path": "x", "error": "gone"}]
    groups = summed(results_of(shard)).by_label
    assert [(group.name, group.flagged.n, group.flagged.of) for group in groups.top] == [("dog", 5, 5), ("cat", 0, 20)]


def test_given_labels_are_compared_with_the_predicted_ones_by_name(results_of: Results) -> None:
    shard = [
        *images("1/", 6, label=0, given_label="cat"),
        *images("2/", 2, 0.01, label=0, given_label="dog"),
        *images("3/", 1, label=1, given_label=" DOG"),
        *images("4/", 3, label=1, given_label="n02084071"),
        *images("5/", 4, label=1),
        {"path": "x", "error": "gone", "given_label": "cat"},
    ]
    summary = summed(results_of(shard))
    agreement = summary.agreement
    assert agreement is not None
    assert (agreement.n_given, agreement.compared.n, agreement.compared.of) == (12, 7, 9)
    assert [(one.given_label, one.label_name, one.n, one.n_flagged) for one in agreement.confusions] == [
        ("dog", "cat", 2, 2)
    ]
    agreeing = {group.name: (group.n_images, group.n_agreeing) for group in summary.by_given_label.top}
    assert agreeing == {"cat": (7, 6), "dog": (2, 0), " DOG": (1, 1), "n02084071": (3, None)}


def test_given_labels_that_are_no_names_are_compared_as_numbers(results_of: Results) -> None:
    shard = [
        *images("1/", 3, label=0, given_label="0"),
        *images("2/", 2, label=2, given_label="1"),
        *images("3/", 1, label=1, given_label="7"),
    ]
    agreement = summed(results_of(shard), labels=("cat", "dog", "Ship")).agreement
    assert agreement is not None
    assert (agreement.n_given, agreement.compared.n, agreement.compared.of) == (6, 3, 5)


def test_a_label_that_is_never_predicted_is_compared_where_the_labels_are_told(results_of: Results) -> None:
    folder = results_of(images("1/", 3, label=0, given_label="cat") + images("2/", 2, label=0, given_label="ship"))
    known, unknown = summed(folder, labels=("cat", "dog", "Ship")).agreement, summed(folder).agreement
    assert known is not None and unknown is not None
    assert (known.compared.n, known.compared.of) == (3, 5)
    assert (unknown.compared.n, unknown.compared.of) == (3, 3)


def test_a_source_without_labels_has_no_agreement(results_of: Results) -> None:
    summary = summed(results_of(images("", 3)))
    assert summary.agreement is None
    assert (summary.by_given_label.n, summary.by_given_label.top) == (0, ())
