from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from service.offline.summary.clusters import FEWEST, N_EXAMPLES, cluster_images, passed_shares
from service.offline.summary.queries import opened_results

LABELS = ("cat", "dog", "ship", "frog", "deer")
EVENLY = dict.fromkeys(LABELS, 0.1)
"""Of the images that passed, a tenth is predicted as each of ten labels."""


def images(
    folder: str, n: int, nats: float, score: float, *, labels: tuple[str, ...] = LABELS, seed: int = 0
) -> list[dict[str, Any]]:
    """Flagged images whose paths start at so many nats, within a factor of about 1.5, and score about alike."""
    random = np.random.default_rng(seed)
    return [
        {
            "path": f"{folder}/{number:03d}",
            "folder": folder,
            "decision": "adversarial",
            "label_name": labels[number % len(labels)],
            "suspected_label_name": "truck",
            "score": score + random.normal(0, 0.3),
            "barrier": 1.0,
            "profile": [nats * random.lognormal(0, 0.4), 2 * nats * random.lognormal(0, 0.4), 0.07 * (number % 2)],
        }
        for number in range(n)
    ]


TWO_WAYS = images("sure", 60, 0.01, 15.0) + images("unsure", 40, 1.0, 4.0, seed=1)


def test_two_ways_of_attacking_are_two_groups() -> None:
    found = cluster_images(TWO_WAYS, EVENLY)
    assert [[one.folder for one in cluster.folders] for cluster in found.clusters] == [["sure"], ["unsure"]]
    assert all(cluster.n > 0.8 * n for cluster, n in zip(found.clusters, (60, 40), strict=True))
    assert found.n_considered == 100
    assert found.n_unclustered == 100 - sum(cluster.n for cluster in found.clusters)
    assert [cluster.number for cluster in found.clusters] == [1, 2]


def test_a_group_is_described_by_its_images() -> None:
    first = cluster_images(TWO_WAYS, EVENLY).clusters[0]
    assert first.median_score == pytest.approx(15.0, abs=0.2)
    assert first.profile[:2] == pytest.approx((0.01, 0.02), rel=0.3)
    spread = zip(first.profile_lower, first.profile, first.profile_upper, strict=True)
    assert all(lower <= middle <= upper for lower, middle, upper in spread)
    assert len(first.examples) == N_EXAMPLES
    assert all(path.startswith("sure/") for path in first.examples)
    assert (first.median_barrier, first.aimed_at) == (1.0, None)
    assert [pair.suspected_label_name for pair in first.pairs] == ["truck"] * 5


def test_the_prototype_at_the_end_of_a_path_parts_nothing() -> None:
    # The last waypoint is 0 for half of the images and 0.07 for the others, as two prototypes would give.
    assert len(cluster_images(TWO_WAYS, EVENLY).clusters) == 2


def test_images_driven_to_one_label_are_a_group_of_their_own() -> None:
    aimed = images("aimed", 50, 0.01, 15.0, labels=("ship",), seed=2)
    found = cluster_images(TWO_WAYS + aimed, EVENLY)
    clusters = {cluster.aimed_at: cluster for cluster in found.clusters}
    assert clusters.keys() == {"ship", None}
    assert {pair.label_name for pair in clusters["ship"].pairs} == {"ship"}
    assert clusters["ship"].folders[0].folder == "aimed"
    # A fifth of the others with that kind of path are ships too.
    assert clusters["ship"].n == sum(one.n for one in clusters["ship"].folders) > 50
    assert len(found.clusters) == 3


def test_a_label_that_is_common_anyway_is_not_aimed_at() -> None:
    aimed = images("aimed", 50, 0.01, 15.0, labels=("ship",), seed=2)
    found = cluster_images(TWO_WAYS + aimed, {"ship": 0.3, "cat": 0.7})
    assert {cluster.aimed_at for cluster in found.clusters} == {None}


def test_one_kind_of_path_is_no_group() -> None:
    found = cluster_images(images("same", 150, 0.1, 5.0), EVENLY)
    assert (found.clusters, found.n_unclustered) == ((), 150)


def test_too_few_images_are_no_group() -> None:
    found = cluster_images(TWO_WAYS[: 2 * FEWEST - 1], EVENLY)
    assert (found.n_considered, found.clusters) == (2 * FEWEST - 1, ())
    assert cluster_images([], {}).n_considered == 0


def test_a_group_needs_its_share_of_many_images() -> None:
    many = images("many", 900, 0.01, 15.0) + images("few", 12, 1.0, 4.0, seed=1)
    assert all(cluster.n >= 18 for cluster in cluster_images(many, EVENLY).clusters)


def test_undecided_images_and_odd_profiles_are_left_out() -> None:
    undecided = {**TWO_WAYS[0], "decision": "undecided", "score": None, "profile": []}
    odd = [{**TWO_WAYS[0], "profile": [0.1]}, {**TWO_WAYS[0], "profile": [None, 0.1, 0.2]}]
    assert cluster_images([*TWO_WAYS, undecided, *odd], EVENLY) == cluster_images(TWO_WAYS, EVENLY)


def test_images_without_paths_are_grouped_by_their_scores() -> None:
    rows = [{**row, "profile": [], "barrier": None} for row in TWO_WAYS]
    found = cluster_images(rows, EVENLY).clusters
    assert Counter(one.folder for cluster in found for one in cluster.folders) == Counter(["sure", "unsure"])
    assert (found[0].median_barrier, found[0].profile) == (None, ())


def test_profiles_that_are_all_alike_are_grouped_by_their_scores() -> None:
    rows = [{**row, "profile": [0.0, 0.0, 0.0]} for row in TWO_WAYS]
    assert len(cluster_images(rows, EVENLY).clusters) == 2


def test_labels_of_images_that_passed_have_their_shares(results_of: Callable[..., Path]) -> None:
    clean = [{"path": f"{number}", "label": number // 3} for number in range(4)]
    with opened_results(
        results_of([*clean, {"path": "a", "p_value": 0.01}, {"path": "b", "error": "gone"}])
    ) as results:
        assert passed_shares(results) == {"cat": 0.75, "dog": 0.25}
