"""The page that explains one image: one HTML file that needs nothing else."""

import dataclasses
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, UInt8
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from numpy import ndarray
from torch import Tensor

from detector.evaluation.connection import Connection, PathView
from detector.evaluation.explanation import Explanation
from detector.evaluation.explanation_figures import comparison_figure, depth_figure
from detector.evaluation.explanation_tables import POTENTIAL_NAMES, barrier_table, number_text, standings_table
from detector.evaluation.explanation_words import (
    LOWEST_BARRIER,
    change_in_words,
    depth_in_words,
    p_value_in_words,
    verdict_in_words,
)
from detector.evaluation.pictures import AMPLIFICATION, difference_uri, is_reduced, picture_uri, thumbnail_uri
from detector.evaluation.tables import table_context
from detector.search import PotentialKind
from detector.types import to_stored


@dataclasses.dataclass(frozen=True, kw_only=True)
class ExplanationPage:
    """What the page shows.

    Attributes:
        name: what the reader knows the image by.
        target_name: what the path leads to, where it is no prototype; None otherwise.
        labels: the name of each label.
        facts: (name, value) pairs beneath the lead.
    """

    name: str
    target_name: str | None
    labels: tuple[str, ...]
    explanation: Explanation
    facts: tuple[tuple[str, str], ...]
    footer: str


def render_explanation(page: ExplanationPage) -> str:
    """The page as HTML with pictures, drawings and style inline; equal explanations give equal text."""
    environment = Environment(
        loader=PackageLoader("detector.evaluation"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    explanation, connection = page.explanation, page.explanation.connection
    image = _stored(explanation.image)
    return environment.get_template("explanation.html.j2").render(
        page=page,
        verdict=explanation.verdict,
        verdict_text=verdict_in_words(explanation.verdict, page.labels),
        p_value_text=p_value_in_words(explanation),
        image=_shown(image),
        is_pixelated=not is_reduced(image),
        figures=_figures(page),
        connection=None if connection is None else _connection_context(page, connection),
        prototypes=_prototype_groups(page),
        unit=explanation.settings.potential.unit,
        potential=POTENTIAL_NAMES[explanation.settings.potential],
        standings=table_context(standings_table(explanation.standings, page.labels)),
        amplification=AMPLIFICATION,
    )


def _figures(page: ExplanationPage) -> list[tuple[str, str]]:
    verdict, second = page.explanation.verdict, page.explanation.runner_up
    figures = [("classifier", page.labels[verdict.label])]
    if verdict.suspected_label is not None:
        figures.append(("suspected", page.labels[verdict.suspected_label]))
    elif second is not None:
        figures.append(("runner-up", page.labels[second]))
    figures.append(("p-value", number_text(verdict.p_value)))
    figures.append(("score", number_text(verdict.score)))
    barrier = number_text(verdict.barrier)
    figures.append(("barrier", barrier if verdict.barrier is None else f"{barrier} nats"))
    return figures


def _connection_context(page: ExplanationPage, connection: Connection) -> dict[str, object]:
    target = page.target_name
    if target is None:
        target = f"prototype {connection.prototype} of “{page.labels[connection.label]}”"
    search, settings = connection.search, page.explanation.settings
    return {
        "target": target,
        "target_picture": _shown(_stored(connection.target)),
        "label": page.labels[connection.label],
        "search": search,
        "method": settings.method.value,
        "budget": settings.search.budget,
        "advice": None if search is None else search.outcome.advice,
        "change": search and change_in_words(search.barrier_before, search.barrier_after, settings.potential.unit),
        "refusal": connection.refusal,
        "strips": _strips(connection),
        "detour": _detour_context(connection),
        "plots": [_plot(connection, kind, index) for index, kind in enumerate(PotentialKind)],
        "barriers": table_context(barrier_table(connection, settings.potential)),
        "depth": _depth_context(connection),
    }


def _strips(connection: Connection) -> list[tuple[str, list[tuple[str, str]]]]:
    views = [("straight", connection.straight), *([] if connection.found is None else [("searched", connection.found)])]
    return [(name, _strip(view)) for name, view in views]


def _strip(view: PathView) -> list[tuple[str, str]]:
    shares = np.linspace(0, 1, len(view.strip))
    pictures = to_stored(view.strip).numpy()
    return [(thumbnail_uri(picture), f"{share:.2g}") for picture, share in zip(pictures, shares, strict=True)]


def _detour_context(connection: Connection) -> dict[str, object] | None:
    detour = connection.detour
    if detour is None:
        return None
    before, after = _stored(detour.straight), _stored(detour.found)
    return {
        "straight": _shown(before),
        "found": _shown(after),
        "difference": (difference_uri(after, before), after.shape),
        "mean_size": f"{detour.mean_size:.2g}",
        "share": f"{detour.share:.2g}",
    }


def _plot(connection: Connection, kind: PotentialKind, index: int) -> dict[str, object]:
    straight = connection.straight.profiles[kind].numpy()
    found = None if connection.found is None else connection.found.profiles[kind].numpy()
    name = POTENTIAL_NAMES[kind]
    at_image, at_target = (number_text(value) for value in straight[[0, -1]].tolist())
    label = f"{name}, from {at_image} at the image to {at_target} at the target"
    svg = comparison_figure(straight, found, label=label, prefix=f"potential-{index}-")
    return {"name": name, "unit": kind.unit, "svg": Markup(svg)}


def _depth_context(connection: Connection) -> dict[str, object]:
    found = connection.layerwise
    if found is None:
        return {"refusal": connection.layerwise_refusal, "text": None, "svg": None}
    barriers = found.barriers[:, 0]
    if (barriers < LOWEST_BARRIER).all():
        return {"refusal": None, "text": depth_in_words(found), "svg": None}
    svg = depth_figure(found.stages, barriers.tolist(), unit="barrier, nats", prefix="depth-")
    return {"refusal": None, "text": depth_in_words(found), "svg": Markup(svg)}


def _prototype_groups(page: ExplanationPage) -> list[tuple[str, list[dict[str, object]]]]:
    groups: dict[str, list[dict[str, object]]] = {}
    explanation = page.explanation
    roles = {explanation.runner_up: "runner-up", explanation.verdict.suspected_label: "suspected"}
    roles[explanation.verdict.label] = "named by the classifier"
    for link in explanation.prototypes:
        heading = f"{page.labels[link.label]}, {roles.get(link.label, 'asked for')}"
        groups.setdefault(heading, []).append(
            {
                "picture": _shown(_stored(link.picture)),
                "number": link.prototype,
                "distance": number_text(link.log_distance),
                "barrier": number_text(link.barrier),
            }
        )
    return list(groups.items())


def _stored(picture: Float[Tensor, "channel height width"]) -> UInt8[ndarray, "channel height width"]:
    # A pixel that is no number has no colour; mid-grey stands in for it.
    return to_stored(picture.nan_to_num(nan=0.5)).numpy()


def _shown(picture: UInt8[ndarray, "channel height width"]) -> tuple[str, Sequence[int]]:
    return picture_uri(picture), picture.shape
