"""The report of an audit: one HTML file that needs nothing else, the same text for the same results."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from detector.evaluation.tables import Table, table_context
from detector.files import replace_atomically
from service.offline.folder.contract import Contract, read_contract
from service.offline.folder.listing import Listing
from service.offline.folder.names import REPORT_FILE
from service.offline.report import tables
from service.offline.report.about import facts_of, passed_over, source_name
from service.offline.report.cards import cluster_cards, flagged_cards, profile_limits
from service.offline.report.figures import FlaggedShare, p_value_figure, share_figure
from service.offline.report.pictures import ReportPictures
from service.offline.report.steps import steps_of
from service.offline.report.words import (
    chance_of,
    copies_of,
    discoveries_of,
    lead_of,
    nats,
    number,
    p_text,
    percent,
    rate_text,
    resolution_of,
)
from service.offline.summary.summary_types import Counts, Discoveries, Standing, Summary

OPEN_CARDS = 12
"""Flagged images that are shown openly; the others are folded."""


def write_report(folder: Path, summary: Summary, pictures: ReportPictures) -> None:
    """Write `report.html` into the folder of an audit; the file is whole or not there at all.

    Raises:
        InputError: the folder holds no audit.
        OSError: the file cannot be written.
    """
    listed = Listing(folder).record()
    html = render_report(read_contract(folder), {} if listed is None else listed.skipped, summary, pictures)
    with replace_atomically(folder / REPORT_FILE) as temporary:
        temporary.write_text(html, encoding="utf-8")


def render_report(contract: Contract, skipped: Mapping[str, int], summary: Summary, pictures: ReportPictures) -> str:
    """The page as HTML with pictures, drawings, style and script inline; equal audits give equal text.

    Args:
        skipped: files that are no images, by suffix.
    """
    environment = Environment(
        # Style sheet, tables and script are those of an evaluation's page.
        loader=ChoiceLoader([PackageLoader("service.offline.report"), PackageLoader("detector.evaluation")]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    cards = flagged_cards(summary, pictures)
    return environment.get_template("audit.html.j2").render(
        title=f"Audit of {source_name(contract.source)}",
        lead=_lead(summary),
        facts=facts_of(contract, summary),
        steps=steps_of(summary),
        counts=_counts(summary),
        passed_over=passed_over(skipped),
        share=_share(summary),
        probability=None if summary.comparison is None else p_text(summary.comparison.probability),
        histogram=_histogram(summary),
        discoveries=_discoveries(summary),
        highest=nats(profile_limits(summary)[1]),
        cards=cards[:OPEN_CARDS],
        folded_cards=cards[OPEN_CARDS:],
        n_flagged=number(summary.counts.n_flagged),
        n_shown=number(len(cards)),
        clusters=cluster_cards(summary, pictures),
        n_considered=number(summary.clusters.n_considered),
        n_unclustered=number(summary.clusters.n_unclustered),
        sections=_sections(summary),
        n_calibration=number(summary.n_calibration),
        version=contract.isthmus_version,
    )


def _lead(summary: Summary) -> list[str]:
    sentences = [lead_of(summary)]
    if summary.comparison is not None:
        sentences.append(chance_of(summary.comparison, has_copies=summary.duplicates.n_images > 0))
    if summary.discoveries.n_tested:
        sentences.append(discoveries_of(summary.discoveries))
    return sentences


def _counts(summary: Summary) -> list[tuple[str, str, str]]:
    """Name, figure and detail of each figure of the block at the top."""
    counts, flagged, found = summary.counts, summary.flagged, summary.discoveries
    interval = f"{percent(flagged.value)} ({percent(flagged.lower)} to {percent(flagged.upper)})"
    return [
        ("images", number(counts.n_images), _judged(counts)),
        ("flagged", number(counts.n_flagged), "" if flagged.value is None else interval),
        ("discoveries", number(found.n), _share_of_false(found)),
        ("undecided", number(counts.n_undecided), "count as flagged" if counts.n_undecided else ""),
        ("unreadable", number(counts.n_unreadable), "nothing is known" if counts.n_unreadable else ""),
        ("copies", number(summary.duplicates.n_images), copies_of(summary.duplicates)),
    ]


def _judged(counts: Counts) -> str:
    early = f", {number(counts.n_left_early)} by a first look" if counts.n_left_early else ""
    return f"{number(counts.n_judged)} judged{early}"


def _share_of_false(found: Discoveries) -> str:
    return f"at most {rate_text(found.false_discovery_rate)} false on average" if found.n else ""


def _share(summary: Summary) -> Markup | None:
    found = summary.comparison
    share = None if found is None else found.adversarial
    if found is None or share is None or share.value is None or share.lower is None or share.upper is None:
        return None
    figure = FlaggedShare(
        share=share.value,
        interval=(share.lower, share.upper),
        nominal=found.false_positive_rate,
        clean=(found.lowest, found.highest),
        is_outside=found.standing is not Standing.WITHIN,
    )
    return Markup(share_figure(figure, prefix="share-"))


def _histogram(summary: Summary) -> Markup | None:
    bins, rate = summary.histogram, summary.false_positive_rate
    if not bins or rate is None or not summary.counts.n_decided:
        return None
    return Markup(p_value_figure(bins, false_positive_rate=rate, prefix="p-values-"))


def _discoveries(summary: Summary) -> dict[str, object] | None:
    found = summary.discoveries
    if not found.n_tested:
        return None
    return {
        "n": found.n,
        "rate": rate_text(found.false_discovery_rate),
        "threshold": p_text(found.threshold),
        "n_expected_false": f"{found.n_expected_false:.3g}",
        "resolution": resolution_of(found, summary.n_calibration),
    }


def _sections(summary: Summary) -> list[tuple[str, str, list[dict[str, object]]]]:
    """Anchor, heading and tables of what follows the pictures; what is empty is left out."""
    rate, agreement = summary.discoveries.false_discovery_rate, summary.agreement
    labels = [tables.label_table(summary.by_label, rate), tables.given_label_table(summary.by_given_label, rate)]
    if agreement is not None:
        labels.append(tables.confusion_table(agreement))
    found: list[tuple[str, str, Sequence[Table]]] = [
        ("folders", "Folders", [tables.folder_table(summary.by_folder, rate)]),
        ("labels", "Labels", labels),
        ("unreadable", "What could not be read", [tables.unreadable_table(summary.unreadable)]),
        (
            "duplicates",
            "The same picture more than once",
            [tables.conflict_table(summary.duplicates), tables.duplicate_table(summary.duplicates)],
        ),
    ]
    return [
        (anchor, heading, shown)
        for anchor, heading, candidates in found
        if (shown := [table_context(table) for table in candidates if table.rows])
    ]
