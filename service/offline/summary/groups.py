"""Images by folder, by predicted label and by the label that the source gives them."""

import dataclasses
import enum
from collections.abc import Sequence
from typing import Any

import numpy as np

from detector.multiple_testing import excess_probabilities, q_values
from service.offline.summary.overall import share
from service.offline.summary.parts import Agreement, Confusion, Group, Groups
from service.offline.summary.queries import Results

N_GROUPS = 50
N_CONFUSIONS = 20


class GroupKey(enum.StrEnum):
    """What the images of a group have in common: a column."""

    FOLDER = "folder"
    LABEL = "label_name"
    GIVEN_LABEL = "given_label"


_TOP = """
SELECT g.*, e.p_value, e.q_value FROM groups AS g LEFT JOIN excesses AS e USING (n_decided, n_adversarial)
ORDER BY e.p_value NULLS LAST, g.n_flagged DESC, g.n_images DESC, g.name LIMIT $limit
"""

_GIVEN = """
CREATE OR REPLACE TEMP TABLE given AS
WITH pairs AS (
    SELECT given_label, label_name, lower(trim(given_label)) AS said,
        CASE WHEN $by_number THEN CAST(label AS VARCHAR) ELSE lower(trim(label_name)) END AS seen,
        count(*) AS n, count(*) FILTER (is_flagged) AS n_flagged
    FROM images WHERE is_judged AND given_label IS NOT NULL GROUP BY ALL
)
SELECT *, said IN (SELECT unnest($known)) AS is_known FROM pairs
"""

_CONFUSIONS = """
SELECT given_label, label_name, n, n_flagged FROM given WHERE is_known AND said <> seen
ORDER BY n DESC, given_label, label_name LIMIT $limit
"""


def group_by(results: Results, key: GroupKey, n_calibration: int, false_positive_rate: float | None) -> Groups:
    """The groups that clean images are least likely to give come first."""
    results.execute(
        f"""CREATE OR REPLACE TEMP TABLE groups AS
            SELECT {key.value} AS name, count(*) AS n_images, count(*) FILTER (NOT is_judged) AS n_unreadable,
                count(*) FILTER (is_flagged) AS n_flagged, count(*) FILTER (is_decided) AS n_decided,
                count(*) FILTER (is_adversarial) AS n_adversarial
            FROM images WHERE {key.value} IS NOT NULL GROUP BY {key.value}"""
    )
    _keep_excesses(results, n_calibration, false_positive_rate)
    (row,) = results.rows("SELECT count(*) AS n FROM groups")
    return Groups(n=row["n"], top=tuple(_group(found) for found in results.rows(_TOP, limit=N_GROUPS)))


def agreement(results: Results, groups: Groups, labels: Sequence[str] | None) -> tuple[Agreement | None, Groups]:
    """How given labels agree with predicted ones, and the groups by given label with that of each.

    Given labels are compared as names of the classifier's labels, whatever their case; where none of them is one, as
    numbers of labels.

    Args:
        labels: names of the classifier's labels; the predicted ones if not given.
    """
    if groups.n == 0:
        return None, groups
    names = labels if labels is not None else _predicted(results)
    known = {name.strip().lower() for name in names}
    results.execute(_GIVEN, known=sorted(known), by_number=False)
    if not _sums(results, "is_known"):
        results.execute(_GIVEN, known=[str(number) for number in range(len(names))], by_number=True)
    found = Agreement(
        n_given=_sums(results, "true"),
        compared=share(_sums(results, "is_known AND said = seen"), _sums(results, "is_known")),
        confusions=tuple(Confusion(**row) for row in results.rows(_CONFUSIONS, limit=N_CONFUSIONS)),
    )
    agreeing = results.rows(
        """SELECT given_label, sum(n) FILTER (said = seen)::BIGINT AS n FROM given
           WHERE is_known AND given_label IN (SELECT unnest($names)) GROUP BY given_label ORDER BY given_label""",
        names=[group.name for group in groups.top],
    )
    n_agreeing = {row["given_label"]: row["n"] or 0 for row in agreeing}
    top = [dataclasses.replace(group, n_agreeing=n_agreeing.get(group.name)) for group in groups.top]
    return found, Groups(n=groups.n, top=tuple(top))


def _predicted(results: Results) -> list[str]:
    """Names of labels up to the last that is predicted; those that never are have none."""
    rows = results.rows("SELECT label, any_value(label_name) AS name FROM images WHERE is_judged GROUP BY label")
    names = {row["label"]: row["name"] for row in rows}
    return [names.get(label, "") for label in range(max(names, default=-1) + 1)]


def _sums(results: Results, condition: str) -> int:
    (row,) = results.rows(f"SELECT coalesce(sum(n) FILTER ({condition}), 0)::BIGINT AS n FROM given")
    return int(row["n"])


def _keep_excesses(results: Results, n_calibration: int, false_positive_rate: float | None) -> None:
    """Make the table `excesses`; groups with the same numbers share a row, so that there may be millions of groups."""
    rows = results.rows(
        """SELECT n_decided, n_adversarial, count(*) AS n FROM groups WHERE n_decided > 0
           GROUP BY ALL ORDER BY ALL"""
    )
    n_decided, n_adversarial, n = (
        np.array([row[name] for row in rows], np.int64) for name in ("n_decided", "n_adversarial", "n")
    )
    p_values = (
        np.zeros(0)
        if false_positive_rate is None
        else excess_probabilities(n_adversarial, n_decided, n_calibration, false_positive_rate)
    )
    order = p_values.argsort(kind="stable")
    results.execute(
        """CREATE OR REPLACE TEMP TABLE excesses AS SELECT unnest($n_decided::BIGINT[]) AS n_decided,
               unnest($n_adversarial::BIGINT[]) AS n_adversarial, unnest($p_values::DOUBLE[]) AS p_value,
               unnest($q_values::DOUBLE[]) AS q_value""",
        n_decided=n_decided[order].tolist(),
        n_adversarial=n_adversarial[order].tolist(),
        p_values=p_values[order].tolist(),
        q_values=q_values(p_values[order], n[order], int(n.sum())).tolist(),
    )


def _group(row: dict[str, Any]) -> Group:
    return Group(
        name=row["name"],
        n_images=row["n_images"],
        n_unreadable=row["n_unreadable"],
        flagged=share(row["n_flagged"], row["n_images"] - row["n_unreadable"]),
        excess_p_value=row["p_value"],
        excess_q_value=row["q_value"],
    )
