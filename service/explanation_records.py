"""An explanation as a JSON document.

    schema_version   1; changes when a field changes its meaning or goes away
    verdict          as service/records.py has it
    classifier       name, digest
    settings         potential, unit (of what the search lowers), method, budget (forward equivalents), resolution
                     (pieces in which paths are measured)
    n_calibration    clean images that the p-value compares with
    runner_up        label, label_name of the strongest claim besides the predicted label; null if there is none
    target           kind ("prototype" or "image"), path (of the image file), label, label_name (whose potentials are
                     measured), prototype (index); null where there is none, and then search to layerwise are null too
    search           outcome, advice, barrier_before, barrier_after, n_steps, forward_equivalents, refusal; with a
                     refusal, which says why there was no search, everything else is null
    paths            straight and searched (null without a search): by potential unit, barrier, profile (from the image
                     to the target, equally spaced up to half a step)
    detour           share (where on the straight path its highest point B lies), mean_size (of B′ − B, where white is
                     255); null where there is none
    layerwise        stages (each with name, barrier, profile; cross-entropy in nats), refusal
    prototypes       label, label_name, prototype, log_distance, barrier (in the unit of the settings); nearest first
                     within a label
    labels           label, label_name, probability, takeover (nats), log_distance, standing; the predicted label, then
                     the others by standing

A field that does not apply is null, and so is every number that is not finite.
"""

import math
from collections.abc import Iterable, Sequence
from typing import Any

from detector.evaluation.connection import Connection, PathView, SearchRecord
from detector.evaluation.explanation import Explanation
from detector.evaluation.standings import LabelStanding, PrototypeLink
from detector.layerwise import LayerwiseBarriers
from service.records import verdict_record

SCHEMA_VERSION = 1

Document = dict[str, Any]


def explanation_document(
    explanation: Explanation,
    *,
    path: str,
    target_path: str | None,
    labels: Sequence[str],
    classifier: str,
    digest: str,
) -> Document:
    """Say an explanation in plain types.

    Args:
        path: what the caller knows the image by.
        target_path: the same of the image that the path leads to; None where it leads to a prototype.
        labels: the name of each label.
        classifier, digest: which classifier was asked.
    """
    settings, connection = explanation.settings, explanation.connection
    return {
        "schema_version": SCHEMA_VERSION,
        "verdict": verdict_record(path, explanation.verdict, labels),
        "classifier": {"name": classifier, "digest": digest},
        "settings": {
            "potential": settings.potential.value,
            "unit": settings.potential.unit,
            "method": settings.method.value,
            "budget": settings.search.budget,
            "resolution": settings.search.final_resolution,
        },
        "n_calibration": explanation.n_calibration,
        "runner_up": None if explanation.runner_up is None else _label(explanation.runner_up, labels),
        **_connection(connection, target_path, labels),
        "prototypes": [_prototype(link, labels) for link in explanation.prototypes],
        "labels": [_standing(standing, labels) for standing in explanation.standings],
    }


def _connection(connection: Connection | None, target_path: str | None, labels: Sequence[str]) -> Document:
    if connection is None:
        return dict.fromkeys(("target", "search", "paths", "detour", "layerwise"))
    detour, found = connection.detour, connection.found
    return {
        "target": {
            "kind": "image" if connection.prototype is None else "prototype",
            "path": target_path,
            **_label(connection.label, labels),
            "prototype": connection.prototype,
        },
        "search": _search(connection.search, connection.refusal),
        "paths": {"straight": _path(connection.straight), "searched": None if found is None else _path(found)},
        "detour": None if detour is None else {"share": detour.share, "mean_size": detour.mean_size},
        "layerwise": _layerwise(connection.layerwise, connection.layerwise_refusal),
    }


def _search(search: SearchRecord | None, refusal: str | None) -> Document:
    return {
        "outcome": None if search is None else search.outcome.value,
        "advice": None if search is None else search.outcome.advice,
        "barrier_before": None if search is None else _finite(search.barrier_before),
        "barrier_after": None if search is None else _finite(search.barrier_after),
        "n_steps": None if search is None else search.n_steps,
        "forward_equivalents": None if search is None else search.forward_equivalents,
        "refusal": refusal,
    }


def _path(view: PathView) -> Document:
    barriers = view.barriers
    return {
        kind.value: {"unit": kind.unit, "barrier": _finite(barriers[kind]), "profile": _all_finite(profile.tolist())}
        for kind, profile in view.profiles.items()
    }


def _layerwise(found: LayerwiseBarriers | None, refusal: str | None) -> Document:
    if found is None:
        return {"stages": None, "refusal": refusal}
    rows = zip(found.stages, found.barriers[:, 0].tolist(), found.profiles[:, 0].tolist(), strict=True)
    return {
        "stages": [
            {"name": name, "barrier": _finite(barrier), "profile": _all_finite(profile)}
            for name, barrier, profile in rows
        ],
        "refusal": None,
    }


def _prototype(link: PrototypeLink, labels: Sequence[str]) -> Document:
    return {
        **_label(link.label, labels),
        "prototype": link.prototype,
        "log_distance": _finite(link.log_distance),
        "barrier": _finite(link.barrier),
    }


def _standing(standing: LabelStanding, labels: Sequence[str]) -> Document:
    return {
        **_label(standing.label, labels),
        "probability": _finite(standing.probability),
        "takeover": _finite(standing.takeover),
        "log_distance": _finite(standing.log_distance),
        "standing": _finite(standing.standing),
    }


def _label(label: int, labels: Sequence[str]) -> Document:
    return {"label": label, "label_name": labels[label]}


def _all_finite(values: Iterable[float]) -> list[float | None]:
    return [_finite(value) for value in values]


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None
