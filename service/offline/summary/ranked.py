"""The flagged images that a person should see first."""

from collections.abc import Sequence
from typing import Any

from service.offline.summary.overall import Candidates
from service.offline.summary.queries import STRONGEST_FIRST, Results
from service.offline.summary.summary_types import FlaggedImage

N_STRONGEST = 5_000
"""Flagged images that are looked at one by one; clusters are made of them."""

N_RANKED = 200
"""Of those, how many the summary lists."""

_STRONGEST = f"""
SELECT path, shard, "row", digest, coalesce(copies.n, 1) AS n_copies, decision, p_value, score, barrier, label,
    label_name, given_label, prototype, suspected_label, suspected_label_name, profile, error, folder
FROM images LEFT JOIN copies USING (digest)
WHERE is_flagged AND (copies.n IS NULL OR copies.first_flagged = (shard, "row"))
ORDER BY {STRONGEST_FIRST} LIMIT $limit
"""


def strongest_images(results: Results) -> list[dict[str, Any]]:
    """Flagged images, strongest first, copies once; the table `copies` must be there."""
    return results.rows(_STRONGEST, limit=N_STRONGEST)


def ranked_images(
    strongest: Sequence[dict[str, Any]], candidates: Candidates, threshold: float | None
) -> tuple[FlaggedImage, ...]:
    """The first of them, each with the false-discovery rate that would list it.

    Args:
        threshold: the largest p-value among the discoveries.
    """
    q_values = dict(zip(candidates.p_values.tolist(), candidates.q_values.tolist(), strict=True))
    return tuple(
        FlaggedImage(
            rank=rank,
            q_value=q_values.get(row["p_value"]),
            is_discovery=threshold is not None and row["p_value"] is not None and row["p_value"] <= threshold,
            **{key: value for key, value in row.items() if key not in {"folder", "profile"}},
            profile=tuple(row["profile"] or ()),
        )
        for rank, row in enumerate(strongest[:N_RANKED], 1)
    )
