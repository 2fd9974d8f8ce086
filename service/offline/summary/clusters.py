"""Groups of adversarial images whose paths look alike: candidates for one attack, seen several times.

HDBSCAN (Campello, Moulavi and Sander 2013) on score and profile, each cross-entropy on a logarithmic scale: whether the
classifier is sure of an image to a tenth or to a thousandth of a nat tells how an attack stopped. Of a group in which
one predicted label is much commoner than among the images that passed, the images with that label become a group of
their own: so shows an attack that heads for one label.

What it finds are ways of attacking, not names of attacks. Tried twice on CIFAR-10 images that `cifar10-resnet20` had
not seen, flagged at 5 % together with 98 of 1,197 natural images; of the flagged images of each attack:

    300 attacked                      group 1          group 2         group 3, aimed at one label
    PGD, 8/255: 300                   0                256             41
    PGD to one label, 4/255: 262      2                0               215
    FGSM, 4/255: 201                  181              4               0
    DeepFool: 42                      28               0               0
    natural: 98                       89               0               0

    200 others attacked
    PGD, L2 0.5: 198                  1                176             9
    MI-FGSM, 8/255: 200               0                194             5
    PGD to one label, 4/255: 176      1                0               161
    FAB: 85                           60               0               0
    natural: 98                       83               1               0

Many strong steps stand apart from false alarms, and of them what heads for one label; different such attacks lie
together. One step, or the smallest perturbation, lies among the false alarms, whose paths look the same. Features were
chosen on the first images, and the share that makes a label one that is aimed at on both.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float64, Int64
from numpy import ndarray
from sklearn.cluster import HDBSCAN

from service.offline.summary.parts import Cluster, Clusters, FolderCount, LabelPair
from service.offline.summary.queries import Results

FEWEST = 10
"""Images that make a group, and neighbours that say how dense it is where an image lies."""

LEAST_SHARE = 0.02
"""Of the images that are looked at, for a group; smaller ones are specks of dust among many."""

SURE = 1e-4
"""Nats below which it makes no difference how sure the classifier is."""

AIMED_SHARE, AIMED_RATIO = 1 / 4, 2.0
"""Of a group, and times its share of the images that passed: what makes a label one that is aimed at."""

N_COMMONEST = 5
N_EXAMPLES = 10

Row = Mapping[str, Any]


def passed_shares(results: Results) -> dict[str, float]:
    """Of the images that were found clean, the share that each label is predicted for."""
    rows = results.rows(
        "SELECT label_name, count(*) AS n FROM images WHERE decision = 'clean' GROUP BY label_name ORDER BY label_name"
    )
    n_passed = sum(row["n"] for row in rows)
    return {row["label_name"]: row["n"] / n_passed for row in rows}


def cluster_images(strongest: Sequence[Row], passed: Mapping[str, float]) -> Clusters:
    """Group the adversarial images among these; the same rows in the same order give the same groups.

    Args:
        strongest: rows of the view `images`, with `folder`.
        passed: see `passed_shares`.
    """
    rows = _comparable(strongest)
    if len(rows) < 2 * FEWEST:
        return Clusters(n_considered=len(rows), n_unclustered=len(rows), clusters=())
    points = _points(rows)
    smallest = max(FEWEST, round(LEAST_SHARE * len(rows)))
    search = HDBSCAN(min_cluster_size=smallest, min_samples=FEWEST, algorithm="kd_tree", copy=True)
    groups = [part for group in _members(search.fit_predict(points)) for part in _parted(group, rows, passed)]
    # Rows come strongest first: of groups equally large, the one with the strongest image.
    groups.sort(key=lambda found: (-len(found[0]), found[0][0]))
    return Clusters(
        n_considered=len(rows),
        n_unclustered=len(rows) - sum(len(members) for members, _ in groups),
        clusters=tuple(
            _described(number, [rows[member] for member in members], points[members], aim)
            for number, (members, aim) in enumerate(groups, 1)
        ),
    )


def _comparable(strongest: Sequence[Row]) -> list[Row]:
    """The adversarial images whose profiles have as many waypoints as most have."""
    rows = [
        row
        for row in strongest
        if row["decision"] == "adversarial" and row["score"] is not None and None not in (row["profile"] or ())
    ]
    lengths = Counter(len(row["profile"] or ()) for row in rows)
    usual = min(lengths, key=lambda length: (-lengths[length], length), default=0)
    return [row for row in rows if len(row["profile"] or ()) == usual]


def _points(rows: Sequence[Row]) -> Float64[ndarray, "image feature"]:
    """What makes paths alike, each feature with a deviation of 1 unless it is constant."""
    # The last waypoint is the prototype, which says nothing of the image.
    profiles = np.array([(row["profile"] or ())[:-1] for row in rows], np.float64)
    scores = np.array([row["score"] for row in rows], np.float64)
    features = np.column_stack([np.log(profiles.clip(min=0) + SURE), scores])
    deviations = features.std(0)
    return np.asarray((features - features.mean(0)) / np.where(deviations > 1e-12, deviations, 1.0))


def _members(numbers: Int64[ndarray, " image"]) -> Iterator[Int64[ndarray, " member"]]:
    for number in range(int(numbers.max()) + 1):
        yield np.flatnonzero(numbers == number)


def _parted(
    members: Int64[ndarray, " member"], rows: Sequence[Row], passed: Mapping[str, float]
) -> list[tuple[Int64[ndarray, " member"], str | None]]:
    """The images of a label that is aimed at, and the others; either only where there are enough."""
    labels = np.array([rows[member]["label_name"] for member in members])
    commonest, n = min(Counter(labels.tolist()).items(), key=lambda found: (-found[1], found[0]))
    share = n / len(members)
    if n < FEWEST or share < AIMED_SHARE or share < AIMED_RATIO * passed.get(commonest, 0.0):
        return [(members, None)]
    others = members[labels != commonest]
    aimed = [(members[labels == commonest], commonest)]
    return aimed if len(others) < FEWEST else [*aimed, (others, None)]


def _described(number: int, rows: Sequence[Row], points: Float64[ndarray, "image feature"], aim: str | None) -> Cluster:
    profiles = np.array([row["profile"] or () for row in rows], np.float64)
    lower, middle, upper = np.quantile(profiles, [0.25, 0.5, 0.75], axis=0)
    barriers = [row["barrier"] for row in rows if row["barrier"] is not None]
    pairs = _commonest((row["label_name"], row["suspected_label_name"]) for row in rows)
    distances = np.linalg.norm(points - np.median(points, axis=0), axis=1)
    return Cluster(
        number=number,
        n=len(rows),
        aimed_at=aim,
        pairs=tuple(LabelPair(label_name=seen, suspected_label_name=other, n=n) for (seen, other), n in pairs),
        folders=tuple(FolderCount(folder=name, n=n) for name, n in _commonest(row["folder"] for row in rows)),
        median_score=float(np.median([row["score"] for row in rows])),
        median_barrier=float(np.median(barriers)) if barriers else None,
        profile=tuple(middle.tolist()),
        profile_lower=tuple(lower.tolist()),
        profile_upper=tuple(upper.tolist()),
        examples=tuple(rows[place]["path"] for place in distances.argsort(kind="stable")[:N_EXAMPLES].tolist()),
    )


def _commonest(names: Iterator[Any]) -> list[tuple[Any, int]]:
    return sorted(Counter(names).items(), key=lambda found: (-found[1], str(found[0])))[:N_COMMONEST]
