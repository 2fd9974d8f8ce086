"""The page that shows an evaluation: figures, tables and single paths in one HTML file that needs nothing else."""

import dataclasses
from collections.abc import Iterator
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from detector.evaluation.figures import (
    ProfileBand,
    RocCurves,
    ScoreGroup,
    band_figure,
    band_limits,
    roc_figure,
    score_figure,
    score_limits,
)
from detector.evaluation.path_example import PathExample, example_contexts
from detector.evaluation.pictures import AMPLIFICATION, is_reduced
from detector.evaluation.svg import N_SERIES
from detector.evaluation.sweep_figure import SweepPanel, sweep_figure
from detector.evaluation.tables import Table, table_context
from detector.files import replace_atomically
from detector.types import DetectorError

MOST_GROUPS = 10
"""Groups of images that are drawn openly, the reference among them; the others are folded."""


class PageError(DetectorError):
    """The page cannot be written where it was asked for."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class SummaryFigure:
    """One figure of the block at the top of a page.

    Attributes:
        value: as it is read.
        detail: interval, number of images, or what it is the worst of; may be empty.
    """

    name: str
    value: str
    detail: str


@dataclasses.dataclass(frozen=True, kw_only=True)
class Section:
    """Tables under one heading."""

    title: str
    tables: tuple[Table, ...]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Page:
    """Everything a page shows; what is empty is left out.

    Attributes:
        facts: (name, value) pairs beneath the lead.
        bands: the first is the reference that is drawn behind the others, which follow worst first.
        band_unit: of the bands' potential, e.g. "cross-entropy, nats".
        score_groups: the first is set off from the others, which follow worst first.
        threshold: score from which images are flagged at `false_positive_rate`.
        roc: by name, worst first, false-positive rates in ascending order and the true-positive rate at each.
    """

    title: str
    lead: str
    facts: tuple[tuple[str, str], ...]
    summary: tuple[SummaryFigure, ...]
    sections: tuple[Section, ...]
    bands: tuple[ProfileBand, ...]
    band_unit: str
    score_groups: tuple[ScoreGroup, ...]
    threshold: float | None
    roc: RocCurves
    sweeps: tuple[SweepPanel, ...]
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
    bands = list(_band_contexts(page))
    return environment.get_template("page.html.j2").render(
        page=page,
        sections=[(section.title, [table_context(table) for table in section.tables]) for section in page.sections],
        bands=bands[: MOST_GROUPS - 1],
        folded_bands=bands[MOST_GROUPS - 1 :],
        scores=_scores_svg(page, page.score_groups[:MOST_GROUPS], "scores-"),
        folded_scores=_scores_svg(page, _with_reference(page.score_groups[MOST_GROUPS:], page), "folded-scores-"),
        n_folded_scores=len(page.score_groups) - MOST_GROUPS,
        roc=Markup(roc_figure(page.roc, prefix="roc-")) if page.roc else None,
        n_coloured=N_SERIES,
        sweeps=[
            (panel.method, Markup(sweep_figure(panel, prefix=f"sweep-{index}-")))
            for index, panel in enumerate(page.sweeps)
        ],
        examples=example_contexts(page.examples),
        amplification=AMPLIFICATION,
        has_reduced=any(is_reduced(example.image) for example in page.examples),
    )


def _band_contexts(page: Page) -> Iterator[dict[str, object]]:
    if not page.bands:
        return
    reference, *others = page.bands
    limits = band_limits(page.bands)
    for index, band in enumerate(others or [reference]):
        svg = band_figure(band, reference, limits=limits, prefix=f"band-{index}-")
        yield {"name": band.name, "svg": Markup(svg)}


def _with_reference(groups: tuple[ScoreGroup, ...], page: Page) -> tuple[ScoreGroup, ...]:
    return (page.score_groups[0], *groups) if groups else ()


def _scores_svg(page: Page, groups: tuple[ScoreGroup, ...], prefix: str) -> Markup | None:
    """Histograms of some of the page's groups, on the axis of all of them."""
    if not groups:
        return None
    svg = score_figure(
        groups,
        limits=score_limits(page.score_groups),
        threshold=page.threshold,
        false_positive_rate=page.false_positive_rate,
        prefix=prefix,
    )
    return Markup(svg)
