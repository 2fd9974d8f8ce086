import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from scipy.stats import betabinom

from detector.types import CalibrationError
from service.offline.summary.overall import compare_with_clean
from service.offline.summary.queries import opened_results
from service.offline.summary.summarising import N_STEPS, summarise
from service.offline.summary.summary_types import Counts, Summary

N_CALIBRATION = 99
"""p-values are hundredths."""

Results = Callable[..., Path]


def summed(folder: Path, rate: float = 0.1, **others: Any) -> Summary:
    return summarise(folder, false_discovery_rate=rate, n_calibration=N_CALIBRATION, **others)


def images(n: int, p_value: float | None = 0.5, folder: str = "a", **others: Any) -> list[dict[str, Any]]:
    return [{"path": f"{folder}/{p_value}-{number:04d}.png", "p_value": p_value, **others} for number in range(n)]


def test_every_image_is_counted_as_what_became_of_it(results_of: Results) -> None:
    unreadable = [{"path": "b/none.png", "error": "gone"}]
    counts = summed(results_of(images(7), images(3, 0.02) + images(2, None) + unreadable)).counts
    assert (counts.n_images, counts.n_clean, counts.n_adversarial, counts.n_undecided) == (13, 7, 3, 2)
    assert (counts.n_unreadable, counts.n_judged, counts.n_decided, counts.n_flagged) == (1, 12, 10, 5)


def test_images_that_left_early_are_clean_ones_and_counted_by_themselves(results_of: Results) -> None:
    early = images(4, 0.9, outcome="left_early", barrier=None, profile=[])
    counts = summed(results_of(images(3) + early, images(2, 0.02))).counts
    assert (counts.n_images, counts.n_clean, counts.n_left_early, counts.n_adversarial) == (9, 7, 4, 2)


def test_what_could_not_be_read_is_neither_flagged_nor_counted_against(results_of: Results) -> None:
    flagged = summed(
        results_of(images(8) + images(1, 0.02) + images(1, None) + [{"path": "x", "error": "gone"}])
    ).flagged
    assert (flagged.n, flagged.of, flagged.value) == (2, 10, 0.2)
    # Exactly: Clopper and Pearson of 2 in 10.
    assert (flagged.lower, flagged.upper) == pytest.approx((0.02521, 0.55610), abs=1e-5)


def test_ten_of_two_hundred_images_are_within_what_clean_ones_give(results_of: Results) -> None:
    comparison = summed(results_of(images(190), images(10, 0.04))).comparison
    assert comparison is not None
    assert comparison.standing == "within"
    # The beta-binomial law of 200 images with 5 and 95.
    law = betabinom(200, 5, 95)
    assert (comparison.lowest, comparison.highest) == (law.ppf(0.025) / 200, law.ppf(0.975) / 200)
    assert comparison.probability == pytest.approx(law.sf(9))


def test_the_ends_of_the_range_are_within_it(results_of: Results) -> None:
    standings = []
    for n_flagged in (1, 2, 22, 23):
        counts = Counts(n_images=200, n_clean=200 - n_flagged, n_adversarial=n_flagged, n_undecided=0, n_unreadable=0)
        with opened_results(results_of(images(1), name=str(n_flagged))) as results:
            results.count_copies()
            comparison = compare_with_clean(results, counts, N_CALIBRATION, 0.05)
        standings.append(comparison and comparison.standing)
    assert standings == ["below", "within", "within", "above"]


def test_copies_of_one_flagged_image_are_one_image_to_the_comparison(results_of: Results) -> None:
    copies = images(40, 0.01, digest="d" * 16)
    comparison = summed(results_of(images(99), copies)).comparison
    assert comparison is not None
    assert (comparison.adversarial.n, comparison.adversarial.of, comparison.standing) == (1, 100, "within")


def test_a_bin_holds_its_upper_end_and_what_clean_images_would_give(results_of: Results) -> None:
    bins = summed(
        results_of(images(1, 0.05) + images(2, 0.06) + images(3, 0.15) + images(4, 1.0) + images(1, None))
    ).histogram
    assert [found.n for found in bins] == [1, 2, 3] + [0] * 16 + [4]
    assert [found.expected for found in bins] == pytest.approx([0.5] * 20)
    assert (bins[2].lower, bins[2].upper) == (0.1, 0.15)


def test_with_few_possible_p_values_some_bins_hold_more_of_them(results_of: Results) -> None:
    folder = results_of(images(30, 1 / 30) + images(30, 1.0))
    bins = summarise(folder, false_discovery_rate=0.1, n_calibration=29).histogram
    # Twentieths of thirty: 1, 2, 1, 2, …, and 60 images over 30 possible values.
    assert [found.expected for found in bins] == pytest.approx([2.0, 4.0] * 10)


def test_the_list_is_that_of_benjamini_and_hochberg(results_of: Results) -> None:
    # 0.01 · 100 / 12 and 0.02 · 100 / 20 are within 0.1; 0.03 · 100 / 22 is not.
    folder = results_of(images(12, 0.01) + images(8, 0.02) + images(2, 0.03), images(78))
    found = summed(folder).discoveries
    assert (found.threshold, found.n, found.n_tested) == (0.02, 20, 100)
    assert found.n_expected_false == pytest.approx(2.0)
    ranked = summed(folder).ranked
    assert [image.is_discovery for image in ranked] == [True] * 20 + [False] * 2
    assert [image.q_value for image in ranked] == pytest.approx([1 / 12] * 12 + [0.1] * 8 + [3 / 22] * 2)


def test_no_image_that_passed_is_listed_however_many_are_attacked(results_of: Results) -> None:
    found = summed(results_of(images(90, 0.01) + images(10, 0.06))).discoveries
    assert (found.threshold, found.n) == (0.01, 90)


def test_an_empty_list_says_how_many_would_have_to_share_the_smallest_p_value(results_of: Results) -> None:
    found = summed(results_of(images(9, 0.01) + images(91))).discoveries
    assert (found.threshold, found.n, found.n_expected_false) == (None, 0, 0)
    assert (found.smallest_p_value, found.n_at_smallest, found.n_needed) == (0.01, 9, 10)


def test_flagged_images_come_by_p_value_then_score_then_path_and_undecided_ones_last(results_of: Results) -> None:
    shards = (
        [{"path": "u", "p_value": None}, {"path": "c", "p_value": 0.02, "score": 9.0}],
        [
            {"path": "b", "p_value": 0.01, "score": 3.0},
            {"path": "a", "p_value": 0.01, "score": 3.0},
            {"path": "z", "p_value": 0.01, "score": 4.0},
        ],
    )
    ranked = summed(results_of(*shards)).ranked
    assert [(image.rank, image.path, image.shard, image.row) for image in ranked] == [
        (1, "z", 1, 2),
        (2, "a", 1, 1),
        (3, "b", 1, 0),
        (4, "c", 0, 1),
        (5, "u", 0, 0),
    ]
    assert (ranked[4].q_value, ranked[4].error, ranked[4].profile) == (None, "not finite", ())
    assert (ranked[0].profile, ranked[0].suspected_label_name, ranked[0].prototype) == ((0.5, 1.0, 0.0), "dog", 2)


def test_of_copies_the_first_of_the_source_is_ranked_with_their_number(results_of: Results) -> None:
    twice = {"p_value": 0.01, "digest": "d" * 16}
    ranked = summed(
        results_of([{"path": "z", **twice}], [{"path": "a", **twice}, {"path": "b", "p_value": 0.02}])
    ).ranked
    assert [(image.path, image.n_copies) for image in ranked] == [("z", 2), ("b", 1)]


def test_an_image_listed_twice_is_two_images(results_of: Results) -> None:
    summary = summed(results_of([{"path": "same.png"}], [{"path": "same.png"}]))
    assert summary.counts.n_images == 2
    assert summary.duplicates.groups[0].paths == ("same.png", "same.png")


def test_an_audit_in_which_nothing_could_be_read_has_a_summary(results_of: Results) -> None:
    summary = summed(results_of([{"path": "a", "error": "gone"}, {"path": "b", "error": "gone"}]))
    assert (summary.flagged.value, summary.comparison, summary.false_positive_rate) == (None, None, None)
    assert (summary.discoveries.n, summary.clusters.clusters, summary.ranked) == (0, (), ())
    assert [(group.name, group.n_unreadable, group.excess_p_value) for group in summary.by_folder.top] == [
        (".", 2, None)
    ]
    json.dumps(summary.as_document(), allow_nan=False)


def test_the_same_rows_give_the_same_document_and_leave_nothing_behind(results_of: Results) -> None:
    shards = (images(50) + images(20, 0.01, digest="d" * 16), images(30, 0.02, "b", given_label="cat"))
    steps: list[tuple[str, int, int]] = []
    folders = [results_of(*shards, name=name) for name in ("one", "another [1] * ?")]
    first = summed(folders[0], progress=lambda *step: steps.append(step)).as_document()
    assert json.dumps(first, allow_nan=False) == json.dumps(summed(folders[1]).as_document(), allow_nan=False)
    assert [path.name for path in folders[0].iterdir()] == ["results"]
    assert [(done, total) for _, done, total in steps] == [(number, N_STEPS) for number in range(N_STEPS + 1)]
    assert (first["schema"], first["counts"]["n_judged"], first["counts"]["n_flagged"]) == (1, 100, 50)


def test_a_false_discovery_rate_that_is_none_is_refused(results_of: Results) -> None:
    with pytest.raises(CalibrationError, match="must lie between 0 and 1, not 1"):
        summed(results_of(images(1)), rate=1.0)
