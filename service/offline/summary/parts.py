"""What the summary of an audit says of groups of images: folders, labels, clusters, duplicates, unreadable files."""

import dataclasses


@dataclasses.dataclass(frozen=True, kw_only=True)
class Share:
    """`n` of `of`, with the exact 95 % interval (Clopper & Pearson 1934), which takes images for independent."""

    n: int
    of: int
    value: float | None
    lower: float | None
    upper: float | None


@dataclasses.dataclass(frozen=True, kw_only=True)
class LabelPair:
    """A predicted label, and the one that the images may truly show; None where none is suspected."""

    label_name: str
    suspected_label_name: str | None
    n: int


@dataclasses.dataclass(frozen=True, kw_only=True)
class FolderCount:
    """Images of a folder; "." is the source itself."""

    folder: str
    n: int


@dataclasses.dataclass(frozen=True, kw_only=True)
class Cluster:
    """Flagged images whose paths look alike.

    Attributes:
        number: from 1, the largest first.
        aimed_at: the predicted label of all of them, where images whose paths look like these are predicted so far
            more often than those that passed; None where they have several labels.
        pairs: the commonest pairs of labels, at most five.
        folders: where the images come from, the commonest, at most five.
        median_score, median_barrier: of its images; the barrier in nats, None where there are no paths.
        profile, profile_lower, profile_upper: median and quartiles of the profiles at each waypoint, nats.
        examples: paths of the images nearest to the middle of the cluster, at most ten.
    """

    number: int
    n: int
    pairs: tuple[LabelPair, ...]
    folders: tuple[FolderCount, ...]
    median_score: float
    median_barrier: float | None
    profile: tuple[float, ...]
    profile_lower: tuple[float, ...]
    profile_upper: tuple[float, ...]
    examples: tuple[str, ...]
    aimed_at: str | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class Clusters:
    """Groups among the adversarial images.

    Attributes:
        n_considered: adversarial images looked at: the strongest, copies counted once.
        n_unclustered: those of them that belong to no group.
    """

    n_considered: int
    n_unclustered: int
    clusters: tuple[Cluster, ...]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Group:
    """Images that have something in common.

    Attributes:
        name: a folder ("." is the source itself), or the name of a label.
        flagged: of the judged images.
        excess_p_value: probability of at least so many adversarial ones among the decided if all were clean; None
            where none was decided.
        excess_q_value: the same, corrected for the number of groups (Benjamini & Hochberg 1995).
        n_agreeing: of the groups by given label, judged images that are predicted as it says; None where no label of
            the classifier is called so, and for other groups.
    """

    name: str
    n_images: int
    n_unreadable: int
    flagged: Share
    excess_p_value: float | None
    excess_q_value: float | None
    n_agreeing: int | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class Groups:
    """Groups, those that clean images are least likely to give first; `n` counts those left out too."""

    n: int
    top: tuple[Group, ...]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Confusion:
    """Judged images given one label and predicted as another."""

    given_label: str
    label_name: str
    n: int
    n_flagged: int


@dataclasses.dataclass(frozen=True, kw_only=True)
class Agreement:
    """Judged images of the same given and predicted label.

    Attributes:
        n_given: judged images that come with a label.
        compared: those whose label is one of the classifier's that agree with the prediction.
        confusions: commonest pairs of labels that differ.
    """

    n_given: int
    compared: Share
    confusions: tuple[Confusion, ...]


@dataclasses.dataclass(frozen=True, kw_only=True)
class UnreadableReason:
    """Images that could not be read for one reason; numbers in the text are those of the first example."""

    error: str
    n: int
    examples: tuple[str, ...]


@dataclasses.dataclass(frozen=True, kw_only=True)
class DuplicateGroup:
    """Images of the same pixels.

    Attributes:
        paths: the first of them, at most ten.
        given_labels: distinct ones in order, at most ten.
        decisions: distinct ones; more than one only where the device's arithmetic put them on two sides.
    """

    digest: str
    n: int
    paths: tuple[str, ...]
    given_labels: tuple[str, ...]
    decisions: tuple[str, ...]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Duplicates:
    """Judged images whose pixels occur more than once.

    Attributes:
        n_groups, n_images: of all such groups.
        n_conflicting: groups whose images come with different given labels.
        groups: the largest.
        conflicting: the largest of those with different given labels.
    """

    n_groups: int
    n_images: int
    n_conflicting: int
    groups: tuple[DuplicateGroup, ...]
    conflicting: tuple[DuplicateGroup, ...]
