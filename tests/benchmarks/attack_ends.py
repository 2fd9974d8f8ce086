"""Splits the figures of an evaluation by where attacks end: in labels that there are natural images of, and elsewhere.

    python tests/benchmarks/attack_ends.py RUN/scores.parquet

RUN is what `isthmus evaluate --out RUN` wrote. Of a classifier of 1,000 labels evaluated with images of ten of them
most attacks end in labels that no clean image has; a detector that took the label alone for evidence would look perfect
on them. Misclassified natural images that end in such labels say whether it does.
"""

import sys

import numpy as np
import pyarrow.parquet as pq
from rich.console import Console
from sklearn.metrics import roc_auc_score

RATE = 0.05

say = Console(width=120, highlight=False).print


def main(path: str) -> None:
    """Print one line an attack, detector and kind of end."""
    rows = pq.read_table(path).to_pylist()
    for bundle in sorted({row["bundle"] for row in rows if row["label"] is not None}):
        own = [row for row in rows if row["bundle"] == bundle]
        clean = [row for row in own if row["group"] == "clean"]
        known = {row["true_label"] for row in own}
        say(f"{bundle}: {len(clean)} clean images of {len(known)} labels, {_flagged(clean)} flagged at {RATE}")
        groups = {(row["group"], row["name"]) for row in own if row["group"] in ("attack", "misclassified")}
        for group, name in sorted(groups):
            of_group = [row for row in own if (row["group"], row["name"]) == (group, name)]
            for where, is_inside in (("labels with images", True), ("other labels", False)):
                ended = [row for row in of_group if (row["label"] in known) is is_inside]
                if ended:
                    say(f"  {name or group:14} in {where:18} {_figures(clean, ended)}")


def _figures(clean: list[dict[str, float]], ended: list[dict[str, float]]) -> str:
    scores = [row["score"] if row["score"] is not None else np.inf for row in (*clean, *ended)]
    finite = np.nan_to_num(np.array(scores), posinf=1e9)
    area = roc_auc_score([0] * len(clean) + [1] * len(ended), finite)
    return f"n {len(ended):4}  AUROC {area:.3f}  flagged at {RATE}: {_flagged(ended)}"


def _flagged(rows: list[dict[str, float]]) -> str:
    n_flagged = sum(row["p_value"] is None or row["p_value"] <= RATE for row in rows)
    return f"{n_flagged / max(1, len(rows)):.3f} of {len(rows)}"


if __name__ == "__main__":
    main(sys.argv[1])
