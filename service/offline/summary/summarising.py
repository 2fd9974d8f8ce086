"""From the rows of an audit to what they come to."""

from collections.abc import Sequence
from pathlib import Path

from detector.types import ProgressCallback, no_progress
from service.offline.summary.clusters import cluster_images, passed_shares
from service.offline.summary.files import duplicates, unreadable
from service.offline.summary.groups import GroupKey, agreement, group_by
from service.offline.summary.overall import (
    Candidates,
    compare_with_clean,
    count_images,
    count_p_values,
    discoveries,
    false_positive_rate_of,
    histogram,
    share,
)
from service.offline.summary.queries import Results, opened_results
from service.offline.summary.ranked import ranked_images, strongest_images
from service.offline.summary.summary_types import Summary

N_STEPS = 5


def summarise(
    folder: Path,
    *,
    false_discovery_rate: float,
    n_calibration: int,
    labels: Sequence[str] | None = None,
    progress: ProgressCallback = no_progress,
) -> Summary:
    """Sum up `folder/results`, which nobody writes meanwhile; the same rows give the same summary.

    Memory follows neither the number of images nor that of folders: what DuckDB cannot hold is written below `folder`
    for the while.

    Args:
        false_discovery_rate: share of the discoveries that may be clean, on average.
        n_calibration: clean images that the p-values compare with.
        labels: names of the classifier's labels, which given labels are compared with; the predicted ones by default.

    Raises:
        InputError: there are no results, or they are damaged.
        CalibrationError: the false-discovery rate is not in (0, 1), or the p-values are not of so few images.
        OSError: the disk failed or is full.
    """
    with opened_results(folder) as results:
        return _summarise(results, false_discovery_rate, n_calibration, labels, progress)


def _summarise(
    results: Results,
    false_discovery_rate: float,
    n_calibration: int,
    labels: Sequence[str] | None,
    progress: ProgressCallback,
) -> Summary:
    def step(number: int) -> None:
        progress("summing up", number, N_STEPS)

    step(0)
    counts, rate, p_values = count_images(results), false_positive_rate_of(results), count_p_values(results)
    candidates = Candidates.of(p_values, rate)
    listed = discoveries(candidates, n_calibration, false_discovery_rate)
    step(1)
    results.count_copies()
    step(2)
    strongest = strongest_images(results)
    step(3)
    clusters = cluster_images(strongest, passed_shares(results))
    step(4)
    by_folder, by_label, by_given_label = (group_by(results, key, n_calibration, rate) for key in GroupKey)
    agreeing, by_given_label = agreement(results, by_given_label, labels)
    summary = Summary(
        n_calibration=n_calibration,
        false_positive_rate=rate,
        counts=counts,
        flagged=share(counts.n_flagged, counts.n_judged),
        comparison=None if rate is None else compare_with_clean(results, counts, n_calibration, rate),
        histogram=histogram(p_values, n_calibration),
        discoveries=listed,
        ranked=ranked_images(strongest, candidates, listed.threshold),
        clusters=clusters,
        by_folder=by_folder,
        by_label=by_label,
        by_given_label=by_given_label,
        agreement=agreeing,
        unreadable=unreadable(results),
        duplicates=duplicates(results),
    )
    step(N_STEPS)
    return summary
