"""The list of images that stand out at the false-discovery rate, as a file."""

from pathlib import Path

from detector.files import replace_atomically
from service.offline.folder.names import DISCOVERIES_FILE
from service.offline.summary.overall import Candidates, count_p_values
from service.offline.summary.queries import STRONGEST_FIRST, opened_results
from service.offline.summary.summary_types import Summary

_LISTED = f"""
SELECT row_number() OVER (ORDER BY {STRONGEST_FIRST}) AS rank, levels.q_value, shard, "row",
    images.* EXCLUDE (shard, "row", is_judged, is_decided, is_adversarial, is_flagged, folder)
FROM images JOIN levels USING (p_value) ORDER BY rank
"""


def write_discoveries(folder: Path, summary: Summary) -> None:
    """Write `discoveries.parquet`: the rows whose p-value is at most the threshold, strongest first, copies included.

    Its columns are `rank` from 1, `q_value` (the lowest false-discovery rate whose list holds the image), `shard` and
    `row` (where it is in the results), and those of the results. It has no row where nothing stands out.

    Raises:
        InputError: the folder has no results, or they are damaged.
        OSError: the disk failed or is full.
    """
    threshold = summary.discoveries.threshold
    with opened_results(folder) as results, replace_atomically(folder / DISCOVERIES_FILE) as temporary:
        found = Candidates.of(count_p_values(results), summary.false_positive_rate)
        is_listed = found.p_values <= (0.0 if threshold is None else threshold)
        results.execute(
            """CREATE TEMP TABLE levels AS
               SELECT unnest($p_values::DOUBLE[]) AS p_value, unnest($q_values::DOUBLE[]) AS q_value""",
            p_values=found.p_values[is_listed].tolist(),
            q_values=found.q_values[is_listed].tolist(),
        )
        results.write(_LISTED, temporary)
