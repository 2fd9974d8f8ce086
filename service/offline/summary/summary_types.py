"""What an audit comes to: the figures of `summary.json`, in the order in which the report tells them.

Everything follows from the results alone and is the same in every run: no time, no machine. Shares are null where they
are shares of nothing. An image is *judged* where it could be read, *decided* where it has a p-value, *flagged* where it
is adversarial or judged and undecided.
"""

import dataclasses
import enum
from typing import Any

from service.offline.summary.parts import Agreement, Clusters, Duplicates, Groups, Share, UnreadableReason

SUMMARY_SCHEMA = 1


@dataclasses.dataclass(frozen=True, kw_only=True)
class Counts:
    """Images by what became of them: clean, adversarial, undecided or unreadable.

    Attributes:
        n_left_early: clean ones that a first look found clear, whose paths were not measured.
    """

    n_images: int
    n_clean: int
    n_adversarial: int
    n_undecided: int
    n_unreadable: int
    n_left_early: int = 0

    @property
    def n_judged(self) -> int:
        """Images that could be read."""
        return self.n_images - self.n_unreadable

    @property
    def n_decided(self) -> int:
        """Images that have a p-value."""
        return self.n_clean + self.n_adversarial

    @property
    def n_flagged(self) -> int:
        """Images that a person should see."""
        return self.n_adversarial + self.n_undecided


class Standing(enum.StrEnum):
    """Where a share lies beside what clean images would give."""

    BELOW = "below"
    WITHIN = "within"
    ABOVE = "above"


@dataclasses.dataclass(frozen=True, kw_only=True)
class CleanComparison:
    """Whether more images are adversarial than clean images alone would give.

    Attributes:
        adversarial: of the decided images, copies of the same pixels counted once.
        false_positive_rate: what was asked for.
        lowest, highest: ends of the range that holds the share for 95 % of calibration sets and clean images drawn.
        standing: where the share lies beside that range.
        probability: of at least so many, if all images were clean.
    """

    adversarial: Share
    false_positive_rate: float
    lowest: float
    highest: float
    standing: Standing
    probability: float


@dataclasses.dataclass(frozen=True, kw_only=True)
class Bin:
    """Decided images with a p-value in (lower, upper], and how many there would be if all were clean."""

    lower: float
    upper: float
    n: int
    expected: float


@dataclasses.dataclass(frozen=True, kw_only=True)
class Discoveries:
    """Adversarial images that stand out at a false-discovery rate; copies count as often as they come.

    Attributes:
        n_tested: decided images.
        threshold: the largest p-value on the list; None where the list is empty.
        n: images on the list.
        n_expected_false: clean ones expected on it if every decided image were clean; no more than the rate times `n`.
        smallest_p_value: the smallest that so few calibration images can give, `1 / (n_calibration + 1)`.
        n_at_smallest: decided images that have it.
        n_needed: images that must have it before the list can hold them, with so many tested.
    """

    false_discovery_rate: float
    n_tested: int
    threshold: float | None
    n: int
    n_expected_false: float
    smallest_p_value: float
    n_at_smallest: int
    n_needed: int


@dataclasses.dataclass(frozen=True, kw_only=True)
class FlaggedImage:
    """One flagged image; the first of its copies in the order of the source.

    Attributes:
        rank: from 1, by p-value, then the higher score, then path; undecided ones last.
        shard, row: where its row is, in the results and in the listing.
        n_copies: images of the same pixels, this one included.
        q_value: the lowest false-discovery rate whose list holds it; None where undecided.
        is_discovery: whether it is on the list at the summary's false-discovery rate.
        error: why it is undecided.
    """

    rank: int
    path: str
    shard: int
    row: int
    digest: str | None
    n_copies: int
    decision: str
    p_value: float | None
    q_value: float | None
    is_discovery: bool
    score: float | None
    barrier: float | None
    label: int
    label_name: str
    given_label: str | None
    prototype: int | None
    suspected_label: int | None
    suspected_label_name: str | None
    profile: tuple[float, ...]
    error: str | None


@dataclasses.dataclass(frozen=True, kw_only=True)
class Summary:
    """An audit's results in figures.

    Attributes:
        n_calibration: clean images that p-values compare with.
        false_positive_rate: of the decisions; None where nothing was judged.
        flagged: of the judged images.
        comparison: None where nothing was decided.
        histogram: of the p-values.
        ranked: flagged images, strongest first, copies once, as many as the report may show.
        agreement: None where no image comes with a label.
    """

    n_calibration: int
    false_positive_rate: float | None
    counts: Counts
    flagged: Share
    comparison: CleanComparison | None
    histogram: tuple[Bin, ...]
    discoveries: Discoveries
    ranked: tuple[FlaggedImage, ...]
    clusters: Clusters
    by_folder: Groups
    by_label: Groups
    by_given_label: Groups
    agreement: Agreement | None
    unreadable: tuple[UnreadableReason, ...]
    duplicates: Duplicates

    def as_document(self) -> dict[str, Any]:
        """Plain JSON: the fields by their names, `schema` first; counts come with their sums."""
        counts = {"n_judged": self.counts.n_judged, "n_flagged": self.counts.n_flagged}
        document = dataclasses.asdict(self)
        document["counts"] = {**document["counts"], **counts, "n_decided": self.counts.n_decided}
        return {"schema": SUMMARY_SCHEMA, **document}
