"""Images that could not be read, and images that are there more than once."""

from collections.abc import Sequence

from service.offline.summary.parts import DuplicateGroup, Duplicates, UnreadableReason
from service.offline.summary.queries import Results

N_REASONS = 20
N_EXAMPLES = 5
N_DUPLICATES = 20
N_OF_EACH = 10

_REASONS = """
SELECT arg_min(error, (path, shard, "row")) AS error, count(*) AS n, min(path, $n_examples) AS examples
FROM images WHERE NOT is_judged
GROUP BY regexp_replace(coalesce(error, ''), '[0-9]+', '#', 'g')
ORDER BY n DESC, error LIMIT $n_reasons
"""

_DUPLICATES = """
WITH labelled AS (
    SELECT digest, given_label, decision, count(*) AS n, min(path, $n_of_each) AS paths
    FROM images WHERE is_judged AND digest IN (SELECT unnest($digests)) GROUP BY ALL
), given AS (
    SELECT digest, min(given_label, $n_of_each) AS given_labels
    FROM (SELECT DISTINCT digest, given_label FROM labelled WHERE given_label IS NOT NULL) GROUP BY digest
)
SELECT digest, sum(n)::BIGINT AS n, list_sort(flatten(list(paths)))[1:$n_of_each] AS paths,
    coalesce(any_value(given_labels), []) AS given_labels, list_sort(list(DISTINCT decision)) AS decisions
FROM labelled LEFT JOIN given USING (digest) GROUP BY digest ORDER BY n DESC, digest
"""


def unreadable(results: Results) -> tuple[UnreadableReason, ...]:
    """The commonest reasons; those that differ in numbers alone are one."""
    rows = results.rows(_REASONS, n_reasons=N_REASONS, n_examples=N_EXAMPLES)
    return tuple(
        UnreadableReason(error=row["error"] or "", n=row["n"], examples=tuple(row["examples"])) for row in rows
    )


def duplicates(results: Results) -> Duplicates:
    """What the table `copies`, which must be there, has in it."""
    (totals,) = results.rows(
        """SELECT count(*) AS n_groups, coalesce(sum(n), 0)::BIGINT AS n_images,
               count(*) FILTER (is_conflicting) AS n_conflicting FROM copies"""
    )
    return Duplicates(**totals, groups=_largest(results, "true"), conflicting=_largest(results, "is_conflicting"))


def _largest(results: Results, condition: str) -> tuple[DuplicateGroup, ...]:
    found = results.rows(
        f"SELECT digest FROM copies WHERE {condition} ORDER BY n DESC, digest LIMIT $limit", limit=N_DUPLICATES
    )
    return _described(results, [row["digest"] for row in found]) if found else ()


def _described(results: Results, digests: Sequence[str]) -> tuple[DuplicateGroup, ...]:
    rows = results.rows(_DUPLICATES, digests=list(digests), n_of_each=N_OF_EACH)
    return tuple(
        DuplicateGroup(
            digest=row["digest"],
            n=row["n"],
            paths=tuple(row["paths"]),
            given_labels=tuple(row["given_labels"]),
            decisions=tuple(row["decisions"]),
        )
        for row in rows
    )
