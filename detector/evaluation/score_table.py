"""Every score of a run, one row an image and detector, for whoever wants to count again."""

import dataclasses
import enum
import io
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import torch
from torch import Tensor

from detector.evaluation.judgements import Judgement
from detector.types import Labels

SCHEMA = pa.schema(
    [
        ("bundle", pa.string()),
        ("group", pa.string()),
        ("name", pa.string()),
        ("source", pa.string()),
        ("true_label", pa.int64()),
        ("label", pa.int64()),
        ("decision", pa.string()),
        ("score", pa.float64()),
        ("p_value", pa.float64()),
        ("barrier", pa.float64()),
        ("suspected_label", pa.int64()),
        ("l2", pa.float64()),
        ("linf", pa.float64()),
    ]
)
"""Columns of `scores.parquet`: what does not apply, or was not decided, is null.

`bundle` names the detector, or the baseline; `name` the attack or corruption, empty for natural images; `source` is the
digest of the natural image, as bundles keep them; `l2` and `linf` are sizes of perturbations in pixel units of [0, 1].
"""


class Group(enum.StrEnum):
    """What kind of images a score is of."""

    CLEAN = "clean"
    MISCLASSIFIED = "misclassified"
    ATTACK = "attack"
    ADAPTIVE = "adaptive"
    BENIGN = "benign"


@dataclasses.dataclass(frozen=True, kw_only=True)
class ScoredGroup:
    """The scores that one detector gave one group of images.

    Attributes:
        sources: digest of the natural image of each.
        sizes: L2 and L∞ of each perturbation; None for images that nobody perturbed.
    """

    bundle: str
    group: Group
    name: str = ""
    sources: Sequence[bytes]
    true_labels: Labels
    judgement: Judgement
    sizes: tuple[Tensor, Tensor] | None = None


def scores_as_parquet(groups: Sequence[ScoredGroup]) -> bytes:
    """The rows of all groups as the content of a Parquet file."""
    table = pa.concat_tables([SCHEMA.empty_table(), *(_table(group) for group in groups)])
    buffer = io.BytesIO()
    pq.write_table(table, buffer, compression="zstd")
    return buffer.getvalue()


def _table(group: ScoredGroup) -> Any:
    n = len(group.sources)
    columns: dict[str, Any] = dict.fromkeys(SCHEMA.names, [None] * n)
    columns |= {key: [getattr(group, key)] * n for key in ("bundle", "group", "name")}
    columns |= {"source": [digest.hex() for digest in group.sources], "true_label": group.true_labels.tolist()}
    if group.sizes is not None:
        columns |= dict(zip(("l2", "linf"), (size.tolist() for size in group.sizes), strict=True))
    columns |= dict(_judged(group.judgement))
    return pa.table(columns, schema=SCHEMA)


def _judged(judgement: Judgement) -> Iterator[tuple[str, list[Any]]]:
    if not judgement.verdicts:
        yield "score", [score if math.isfinite(score) else None for score in judgement.scores.tolist()]
        yield "p_value", judgement.p_values.tolist()
        return
    yield "decision", [verdict.decision.value for verdict in judgement.verdicts]
    for key in ("label", "score", "p_value", "barrier", "suspected_label"):
        yield key, [getattr(verdict, key) for verdict in judgement.verdicts]


def perturbation_sizes(images: Tensor, sources: Tensor) -> tuple[Tensor, Tensor]:
    """L2 and L∞ of what was added to each image, pixel units of [0, 1], each of shape (image,)."""
    difference = (images - sources).flatten(1)
    if len(difference) == 0:
        return torch.zeros(0), torch.zeros(0)
    return difference.norm(dim=1), difference.abs().amax(1)


def groups_of_attacks(
    bundle: str, sources: Sequence[bytes], attacked: Mapping[str, Any], judged: Mapping[str, Judgement]
) -> list[ScoredGroup]:
    """The successes of each attack; `sources` are the digests of the clean images."""
    return [
        ScoredGroup(
            bundle=bundle,
            group=Group.ATTACK,
            name=name,
            sources=[sources[index] for index in attacked[name].sources.tolist()],
            true_labels=attacked[name].true_labels,
            judgement=found,
            sizes=(attacked[name].l2, attacked[name].linf),
        )
        for name, found in judged.items()
    ]
