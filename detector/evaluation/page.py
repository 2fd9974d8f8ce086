"""The page that shows an evaluation: figures, tables and single paths in one HTML file that needs nothing else."""

import dataclasses
import math
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
from jaxtyping import Float, UInt8
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from numpy import ndarray

from detector.evaluation.figures import (
    ProfileBand,
    RocCurves,
    ScoreGroup,
    band_figure,
    band_limits,
    finite_range,
    profile_figure,
    roc_figure,
    score_figure,
)
from detector.evaluation.pictures import AMPLIFICATION, difference_uri, is_reduced, picture_uri, thumbnail_uri
from detector.evaluation.tables import Table, table_context
from detector.files import replace_atomically
from detector.types import DetectorError
from detector.verdict import Decision

__all__ = ["Page", "PageError", "PathExample", "ProfileBand", "ScoreGroup", "Table", "render_page", "write_page"]

MOST_WEIGHTS = 12
"""Mixing weights written beneath one strip at most."""


class PageError(DetectorError):
    """The page cannot be written where it was asked for."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class PathExample:
    """One image and its lowest-barrier path.

    Attributes:
        title: heading of its card.
        attack: None for a natural image.
        suspected_label: None where nothing is suspected.
        p_value, score: not finite for an undecided image.
        barrier: in nats; None where there is no path.
        image: what was judged.
        original: the image that was attacked; None for a natural image.
        strip: pictures along the path, from the image to the prototype.
        mixing: share of the prototype in each picture of the strip, 0 to 1.
        profiles: by "name, unit"; one value a picture of the strip.
    """

    title: str
    attack: str | None
    true_label: str
    predicted_label: str
    suspected_label: str | None
    decision: Decision
    p_value: float
    score: float
    barrier: float | None
    image: UInt8[ndarray, "channel height width"]
    original: UInt8[ndarray, "channel height width"] | None
    strip: UInt8[ndarray, "point channel height width"]
    mixing: Float[ndarray, " point"]
    profiles: Mapping[str, Float[ndarray, " point"]]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Page:
    """Everything a page shows; what is empty is left out.

    Attributes:
        facts: (name, value) pairs beneath the lead.
        bands: the first is the reference that is drawn behind the others.
        band_unit: of the bands' potential, e.g. "cross-entropy, nats".
        score_groups: the first is set off from the others.
        threshold: score from which images are flagged at `false_positive_rate`.
        roc: by name, false-positive rates in ascending order and the true-positive rate at each.
    """

    title: str
    lead: str
    facts: tuple[tuple[str, str], ...]
    tables: tuple[Table, ...]
    bands: tuple[ProfileBand, ...]
    band_unit: str
    score_groups: tuple[ScoreGroup, ...]
    threshold: float | None
    roc: RocCurves
    examples: tuple[PathExample, ...]
    footer: str
    false_positive_rate: float = 0.05


def write_page(page: Page, path: Path) -> None:
    """Write the page; the file is whole or not there at all.

    Raises:
        PageError: nothing can be written at `path`.
    """
    html = render_page(page)
    try:
        with replace_atomically(path) as temporary:
            temporary.write_text(html, encoding="utf-8")
    except OSError as error:
        raise PageError(
            f"the page cannot be written to {path} ({error.strerror}); name a file in a folder that can be written to"
        ) from error


def render_page(page: Page) -> str:
    """The page as HTML with pictures, drawings, style and script inline; equal pages give equal text."""
    environment = Environment(
        loader=PackageLoader("detector.evaluation"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    limits = _profile_limits(page.examples)
    return environment.get_template("page.html.j2").render(
        page=page,
        tables=[table_context(table) for table in page.tables],
        bands=list(_band_contexts(page)),
        scores=_scores_svg(page),
        roc=Markup(roc_figure(page.roc, prefix="roc-")) if page.roc else None,
        examples=[_example_context(example, index, limits) for index, example in enumerate(page.examples)],
        amplification=AMPLIFICATION,
        has_reduced=any(is_reduced(example.image) for example in page.examples),
    )


def verdict_in_words(example: PathExample) -> str:
    """The verdict as a sentence, e.g. "flagged: p = 0.004; the classifier says 3, the path says 8"."""
    says = f"the classifier says {example.predicted_label}"
    if example.suspected_label is not None:
        says += f", the path says {example.suspected_label}"
    match example.decision:
        case Decision.ADVERSARIAL:
            return f"flagged: p = {_p_text(example.p_value)}; {says}"
        case Decision.CLEAN:
            return f"passed: p = {_p_text(example.p_value)}; {says}"
        case Decision.UNDECIDED:
            return f"undecided, to be treated as adversarial; {says}"


def truth_in_words(example: PathExample) -> str:
    """What the image really is, e.g. "pgd8 attack on 8"."""
    if example.attack is None:
        return f"natural image of {example.true_label}"
    return f"{example.attack} attack on {example.true_label}"


def is_right(example: PathExample) -> bool:
    """Whether an attack was stopped or a natural image let through."""
    return (example.decision is Decision.CLEAN) == (example.attack is None)


def _p_text(p_value: float) -> str:
    if not math.isfinite(p_value):
        return "–"
    return np.format_float_positional(p_value, precision=2, fractional=False, trim="-")


def _band_contexts(page: Page) -> Iterator[dict[str, object]]:
    if not page.bands:
        return
    reference, *others = page.bands
    limits = band_limits(page.bands)
    for index, band in enumerate(others or [reference]):
        svg = band_figure(band, reference, limits=limits, prefix=f"band-{index}-")
        yield {"name": band.name, "svg": Markup(svg)}


def _scores_svg(page: Page) -> Markup | None:
    if not page.score_groups:
        return None
    svg = score_figure(
        page.score_groups,
        threshold=page.threshold,
        false_positive_rate=page.false_positive_rate,
        prefix="scores-",
    )
    return Markup(svg)


def _profile_limits(examples: tuple[PathExample, ...]) -> Mapping[str, tuple[float, float]]:
    """One vertical range for each potential, so that the cards can be compared by eye."""
    values: dict[str, list[Float[ndarray, " _"]]] = {}
    for example in examples:
        for name, profile in example.profiles.items():
            values.setdefault(name, []).append(profile)
    return {name: finite_range(np.concatenate(profiles)) for name, profiles in values.items()}


def _example_context(example: PathExample, index: int, limits: Mapping[str, tuple[float, float]]) -> dict[str, object]:
    pictures = [("what came", picture_uri(example.image), example.image.shape)]
    if example.original is not None:
        pictures += [
            ("before the attack", picture_uri(example.original), example.original.shape),
            (f"difference × {AMPLIFICATION}", difference_uri(example.image, example.original), example.image.shape),
        ]
    every = math.ceil(len(example.mixing) / MOST_WEIGHTS)
    return {
        "example": example,
        "verdict": verdict_in_words(example),
        "truth": truth_in_words(example),
        "is_right": is_right(example),
        "is_pixelated": not is_reduced(example.image),
        "pictures": pictures,
        "strip": [
            (thumbnail_uri(picture), f"{weight:.2g}", position % every == 0)
            for position, (picture, weight) in enumerate(zip(example.strip, example.mixing, strict=True))
        ],
        "profiles": [
            _profile_context(name, values, limits=limits[name], prefix=f"example-{index}-{row}-")
            for row, (name, values) in enumerate(example.profiles.items())
        ],
    }


def _profile_context(
    name: str, values: Float[ndarray, " point"], *, limits: tuple[float, float], prefix: str
) -> dict[str, object]:
    potential, _, unit = name.partition(", ")
    label = f"{name}, from {_number_text(values[0])} at the image to {_number_text(values[-1])} at the prototype"
    return {
        "potential": potential,
        "unit": unit,
        "lowest": _number_text(limits[0]),
        "highest": _number_text(limits[1]),
        "values": [_number_text(value) for value in values],
        "svg": Markup(profile_figure(values, limits=limits, label=label, prefix=prefix)),
    }


def _number_text(value: float) -> str:
    return f"{value:.3g}".replace("-", "−")
