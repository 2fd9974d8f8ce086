"""Flagged images and groups of them, as the cards of a report."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float
from markupsafe import Markup
from numpy import ndarray

from detector.evaluation.explanation_tables import number_text
from detector.evaluation.figures import ProfileBand, band_figure, band_limits, finite_range, profile_figure
from detector.evaluation.pictures import is_reduced, picture_uri, thumbnail_uri
from detector.verdict import Decision
from service.offline.report.pictures import Picture, ReportPictures, Strip
from service.offline.report.steps import group_name
from service.offline.report.words import counted, nats, number, p_text, shown_name
from service.offline.summary.parts import Cluster, LabelPair
from service.offline.summary.summary_types import FlaggedImage, Summary

Shown = tuple[str, str, str]
"""A picture as a data URI, its caption, and its proportions as CSS takes them."""

Context = dict[str, object]


def flagged_cards(summary: Summary, pictures: ReportPictures) -> list[Context]:
    """The ranked images, each with its strip; profiles have one vertical range on the whole page."""
    limits = profile_limits(summary)
    return [_flagged_card(image, strip, limits) for image, strip in zip(summary.ranked, pictures.strips, strict=True)]


def profile_limits(summary: Summary) -> tuple[float, float]:
    """Lowest and highest cross-entropy of all ranked images, in nats."""
    return finite_range(np.concatenate([_profile(image) for image in summary.ranked] or [np.zeros(0)]))


def _profile(image: FlaggedImage) -> Float[ndarray, " point"]:
    return np.array(image.profile, dtype=np.float64)


def _flagged_card(image: FlaggedImage, strip: Strip, limits: tuple[float, float]) -> Context:
    shown, profile = _pictures(image, strip), _profile(image)
    return {
        "rank": image.rank,
        "name": shown_name(image.path),
        "decision": image.decision,
        "verdict": _verdict(image),
        "is_discovery": image.is_discovery,
        "facts": _facts(image),
        "refusal": None if strip.refusal is None else shown_name(strip.refusal, 300),
        "is_pixelated": strip.image is not None and not is_reduced(strip.image),
        "pictures": shown,
        "suspected": _suspected(image, strip),
        # The curve's points stand beneath the pictures.
        "curve": _curve(image, profile, limits) if len(profile) == len(shown) and np.isfinite(profile).all() else None,
    }


def _verdict(image: FlaggedImage) -> str:
    if image.decision == Decision.UNDECIDED.value:
        return f"undecided: {shown_name(image.error or 'no reason was given', 300)}"
    return f"p = {p_text(image.p_value)}, q = {p_text(image.q_value)}"


def _facts(image: FlaggedImage) -> list[tuple[str, str]]:
    facts = [("classifier", shown_name(image.label_name))]
    if image.given_label is not None:
        facts.append(("given", shown_name(image.given_label)))
    if image.suspected_label_name is not None:
        facts.append(("suspected", shown_name(image.suspected_label_name)))
    if image.score is not None:
        facts.append(("score", number_text(image.score)))
    if image.barrier is not None:
        facts.append(("barrier", nats(image.barrier)))
    if image.n_copies > 1:
        facts.append(("copies", number(image.n_copies)))
    if image.digest is not None:
        facts.append(("digest", image.digest))
    return facts


def _pictures(image: FlaggedImage, strip: Strip) -> list[Shown]:
    """The image, steps towards the prototype, and the prototype."""
    shown = [] if strip.image is None else [_shown(picture_uri(strip.image), "image", strip.image)]
    shown += [_shown(thumbnail_uri(step), f"{weight:.2g}", step) for weight, step in strip.steps]
    if strip.prototype is not None:
        caption = shown_name(image.label_name)
        shown.append(_shown(thumbnail_uri(strip.prototype), caption, strip.prototype))
    return shown


def _suspected(image: FlaggedImage, strip: Strip) -> Shown | None:
    if strip.suspected is None or image.suspected_label_name is None:
        return None
    return _shown(thumbnail_uri(strip.suspected), shown_name(image.suspected_label_name), strip.suspected)


def _shown(uri: str, caption: str, picture: Picture) -> Shown:
    return uri, caption, f"{picture.shape[2]} / {picture.shape[1]}"


def _curve(image: FlaggedImage, profile: Float[ndarray, " point"], limits: tuple[float, float]) -> Markup:
    first, highest = nats(float(profile[0])), nats(float(profile.max()))
    label = f"Cross-entropy along the path: {first} at the image, {highest} at its highest"
    return Markup(profile_figure(profile, limits=limits, label=label, prefix=f"curve-{image.rank}-"))


def cluster_cards(summary: Summary, pictures: ReportPictures) -> list[Context]:
    """The groups of flagged images, each with some of its images and its profile."""
    clusters = summary.clusters.clusters
    bands = [_band(cluster, pictures.mixing) for cluster in clusters]
    drawn = [band for band in bands if band is not None]
    limits = band_limits(drawn) if drawn else (0.0, 1.0)
    return [_cluster_card(cluster, band, limits, pictures) for cluster, band in zip(clusters, bands, strict=True)]


def _cluster_card(
    cluster: Cluster, band: ProfileBand | None, limits: tuple[float, float], pictures: ReportPictures
) -> Context:
    found = [(path, pictures.examples[path]) for path in cluster.examples if path in pictures.examples]
    figures = f"median score {number_text(cluster.median_score)}, barrier {nats(cluster.median_barrier)}"
    nothing = ProfileBand(name="", mixing=np.zeros(0), lower=np.zeros(0), median=np.zeros(0), upper=np.zeros(0))
    return {
        "number": cluster.number,
        "title": f"Group {cluster.number}: {counted(cluster.n, 'image')}{_aim(cluster)}",
        "figures": figures,
        "pairs": _listed([_pair(pair) for pair in cluster.pairs], [pair.n for pair in cluster.pairs], cluster.n),
        "folders": _listed(
            [group_name(place.folder) for place in cluster.folders], [place.n for place in cluster.folders], cluster.n
        ),
        "examples": [_shown(thumbnail_uri(picture), shown_name(path), picture) for path, picture in found],
        "is_pixelated": all(not is_reduced(picture) for _, picture in found),
        "n_missing": len(cluster.examples) - len(found),
        "profile": None
        if band is None
        else Markup(band_figure(band, nothing, limits=limits, prefix=f"cluster-{cluster.number}-")),
    }


def _aim(cluster: Cluster) -> str:
    return "" if cluster.aimed_at is None else f", as if aimed at “{shown_name(cluster.aimed_at)}”"


def _band(cluster: Cluster, mixing: Sequence[float]) -> ProfileBand | None:
    if not cluster.profile or len(cluster.profile) != len(mixing):
        return None
    return ProfileBand(
        name=f"group {cluster.number}",
        mixing=np.array(mixing),
        lower=np.array(cluster.profile_lower),
        median=np.array(cluster.profile),
        upper=np.array(cluster.profile_upper),
    )


def _pair(pair: LabelPair) -> str:
    name = shown_name(pair.label_name)
    return name if pair.suspected_label_name is None else f"{name} → {shown_name(pair.suspected_label_name)}"


def _listed(texts: Sequence[str], counts: Sequence[int], n_all: int) -> list[tuple[str, str]]:
    """Each with its count; what is left is counted as others."""
    listed = [(text, number(n)) for text, n in zip(texts, counts, strict=True)]
    n_others = n_all - sum(counts)
    return [*listed, ("others", number(n_others))] if n_others > 0 else listed
