"""What to do after an audit, in the order in which it pays."""

import dataclasses

from service.offline.report.words import LONGEST_NAME, counted, joined, number, percent, rate_text, shown_name
from service.offline.summary.parts import Cluster, Group, Groups
from service.offline.summary.summary_types import Standing, Summary

MOST_NAMED = 3
"""Folders, labels or reasons that a sentence names."""

NAME_IN_SENTENCE = LONGEST_NAME // 2


@dataclasses.dataclass(frozen=True, kw_only=True)
class Step:
    """Something to do, and why.

    Attributes:
        anchor: of the section of the page that shows it.
    """

    title: str
    text: str
    anchor: str


def steps_of(summary: Summary) -> list[Step]:
    """What to do, most pressing first; never empty."""
    found = [
        _discoveries(summary),
        _flagged(summary),
        _folders(summary),
        _clusters(summary),
        _conflicts(summary),
        _disagreement(summary),
        _undecided(summary),
        _unreadable(summary),
    ]
    return [step for step in found if step is not None] or [_nothing(summary)]


def salient(groups: Groups, false_discovery_rate: float) -> list[Group]:
    """Groups with more flagged images than chance explains, corrected for how many groups there are."""
    return [
        group
        for group in groups.top
        if group.excess_q_value is not None and group.excess_q_value <= false_discovery_rate
    ]


def group_name(name: str) -> str:
    """A folder or a label, as a page calls it."""
    return "the source itself" if name == "." else shown_name(name, NAME_IN_SENTENCE)


def cluster_in_words(cluster: Cluster) -> str:
    """What the images of a group are predicted as, and may truly show."""
    if cluster.aimed_at is not None:
        return f"all named “{shown_name(cluster.aimed_at, NAME_IN_SENTENCE)}”, as if aimed at"
    pair = cluster.pairs[0]
    text = f"most often named “{shown_name(pair.label_name, NAME_IN_SENTENCE)}”"
    if pair.suspected_label_name is not None:
        text += f", suspected “{shown_name(pair.suspected_label_name, NAME_IN_SENTENCE)}”"
    return text


def _discoveries(summary: Summary) -> Step | None:
    found = summary.discoveries
    if not found.n:
        return None
    return Step(
        title=f"Look at the {counted(found.n, 'discovery', 'discoveries')} first",
        text=f"They are the strongest of the flagged images, and at most {rate_text(found.false_discovery_rate)} of "
        "them are expected to be false alarms, not counting clean images that the classifier gets wrong. Keep them out "
        "of training until somebody has seen them; all are in discoveries.parquet, the strongest with pictures below.",
        anchor="ranked",
    )


def _flagged(summary: Summary) -> Step | None:
    comparison = summary.comparison
    if summary.discoveries.n or not summary.counts.n_adversarial or comparison is None:
        return None
    if comparison.standing is Standing.ABOVE:
        text = (
            "There are more of them than clean images would give, but no list of them can be kept free of false "
            "alarms. Look at the strongest, and at where they come from."
        )
    else:
        text = (
            "Chance alone gives as many, so expect false alarms. Look through the strongest if what is at stake is "
            "worth the time; do not drop images on this ground alone."
        )
    return Step(
        title=f"Look at the strongest of {counted(summary.counts.n_flagged, 'flagged image')}",
        text=text,
        anchor="ranked",
    )


def _folders(summary: Summary) -> Step | None:
    found = salient(summary.by_folder, summary.discoveries.false_discovery_rate)
    if not found or summary.by_folder.n < 2:
        return None
    named = joined(
        [
            f"{group_name(group.name)} ({number(group.flagged.n)} of {number(group.flagged.of)})"
            for group in found[:MOST_NAMED]
        ]
    )
    more = "" if len(found) <= MOST_NAMED else f" and {number(len(found) - MOST_NAMED)} more"
    return Step(
        title=f"Ask who filled {counted(len(found), 'folder')}",
        text=f"More is flagged there than chance explains: {named}{more}. So it is, without an attack, where a folder "
        "holds what is hard for the classifier.",
        anchor="folders",
    )


def _clusters(summary: Summary) -> Step | None:
    clusters = summary.clusters.clusters
    if not clusters:
        return None
    largest = clusters[0]
    return Step(
        title=f"Compare {counted(len(clusters), 'group')} of flagged images whose paths look alike",
        text=f"The largest has {counted(largest.n, 'image')}, {cluster_in_words(largest)}. One attack leaves "
        "one pattern; so do false alarms, and so may one camera or one filter.",
        anchor="clusters",
    )


def _conflicts(summary: Summary) -> Step | None:
    n = summary.duplicates.n_conflicting
    if not n:
        return None
    return Step(
        title=f"Settle {counted(n, 'set')} of identical images with different labels",
        text="At most one of the labels of each set is right; the others are mistakes, or were planted.",
        anchor="duplicates",
    )


def _disagreement(summary: Summary) -> Step | None:
    agreement = summary.agreement
    if agreement is None or agreement.compared.n == agreement.compared.of:
        return None
    share = agreement.compared
    return Step(
        title=f"Check the labels of {counted(share.of - share.n, 'image')}",
        text=f"The classifier names another label than the one given in {percent(1 - (share.value or 0))} of the "
        "images that can be compared. Either may be wrong; what the classifier gets wrong is flagged more often, "
        "attack or not.",
        anchor="labels",
    )


def _undecided(summary: Summary) -> Step | None:
    n = summary.counts.n_undecided
    if not n:
        return None
    return Step(
        title=f"Treat {counted(n, 'undecided image')} as flagged",
        text="The detector could not judge them; their cards below say why.",
        anchor="ranked",
    )


def _unreadable(summary: Summary) -> Step | None:
    n, reasons = summary.counts.n_unreadable, summary.unreadable
    if not n:
        return None
    # What follows the first clause advises on a single image.
    commonest = f" The commonest reason: {shown_name(reasons[0].error.partition(';')[0])}." if reasons else ""
    them = "it" if n == 1 else "them"
    return Step(
        title=f"Find out about {counted(n, 'unreadable file')}",
        text=f"Nothing is known about {them}; whoever trains on the images may still read {them}.{commonest}",
        anchor="unreadable",
    )


def _nothing(summary: Summary) -> Step:
    if not summary.counts.n_judged:
        return Step(title="Name a source that holds images", text="Nothing was judged.", anchor="counts")
    return Step(
        title="Nothing",
        text="No image is flagged, and every file could be read. That is no proof that none was attacked: an attack "
        "that is made against this detector can pass it.",
        anchor="share",
    )
