"""What an audit found, in sentences for whoever has to act on it."""

from collections.abc import Sequence

from detector.evaluation.explanation_tables import number_text
from detector.evaluation.explanation_words import LOWEST_BARRIER
from detector.evaluation.tables import cell_text
from service.console import printable
from service.offline.summary.parts import Duplicates
from service.offline.summary.summary_types import CleanComparison, Discoveries, Standing, Summary

NARROW = "\u202f"
"""A space between a number and its sign, at which no line breaks."""

FEW_IMAGES = 10
"""From so many on it is said that fewer attacked images cannot stand out."""

LONGEST_NAME = 160
"""Characters of a name from outside that are shown; the middle of a longer one is left out."""


def shown_name(text: str, longest: int = LONGEST_NAME) -> str:
    """A name from outside: what could not be seen, or would turn the line around, becomes a sign that can."""
    text = printable(text)
    half = (longest - 1) // 2
    return text if len(text) <= longest else f"{text[:half]}…{text[-half:]}"


def number(n: int) -> str:
    """A count with its thousands set apart."""
    return cell_text(n, 0)


def counted(n: int, one: str, many: str | None = None) -> str:
    """A count with its noun: "1 image", "2 images"."""
    return f"{number(n)} {one if n == 1 else many or one + 's'}"


def percent(share: float | None) -> str:
    """A share as per cent, with three digits at most; a dash where there is none."""
    if share is None:
        return "–"
    value = 100 * share
    digits = 0 if value >= 99.95 or value == 0 else 1 if value >= 9.95 else 2
    text = f"{value:.{digits}f}"
    if float(text) == 0 < value:
        text = f"{value:.2g}"
    return f"{text}{NARROW}%"


def nats(value: float | None) -> str:
    """A height of a path; a dash where there is none, and what can hardly be told from nothing is called so."""
    if value is None:
        return "–"
    return f"< {LOWEST_BARRIER:g} nats" if 0 < value < LOWEST_BARRIER else f"{number_text(value)} nats"


def rate_text(rate: float) -> str:
    """A rate that somebody asked for, as per cent, as it was asked for."""
    return f"{100 * rate:g}{NARROW}%"


def p_text(value: float | None) -> str:
    """A p-value or a q-value with two digits."""
    return "–" if value is None else f"{value:.2g}"


def lead_of(summary: Summary) -> str:
    """How many images there were, and how many are flagged."""
    counts = summary.counts
    if counts.n_images == 0:
        return "No images were found, so nothing was judged."
    if counts.n_judged == 0:
        return f"Of {counted(counts.n_images, 'image')} none could be read, so nothing was judged and nothing is known."
    flagged = "none is flagged"
    if counts.n_flagged:
        verb = "is" if counts.n_flagged == 1 else "are"
        flagged = f"{number(counts.n_flagged)} {verb} flagged ({percent(summary.flagged.value)})"
    if counts.n_unreadable:
        judged = f"{number(counts.n_judged)} could be read and {'was' if counts.n_judged == 1 else 'were'} judged"
        return f"Of {counted(counts.n_images, 'image')}, {judged}; of these {flagged}."
    return f"Of {counted(counts.n_images, 'image')}, {flagged}."


def chance_of(comparison: CleanComparison, *, has_copies: bool) -> str:
    """What chance explains of it.

    Args:
        has_copies: some pictures occur more than once, and are counted once here.
    """
    share = comparison.adversarial
    span = f"{percent(comparison.lowest)} to {percent(comparison.highest)}"
    clean = (
        f"Clean images that the classifier gets right, {rate_text(comparison.false_positive_rate)} of which may be "
        f"flagged, would give {span}"
    )
    here = f"here{', copies of a picture counted once,' if has_copies else ''} it is {percent(share.value)}"
    match comparison.standing:
        case Standing.ABOVE:
            n_beyond = max(1, share.n - int(comparison.highest * share.of))
            return (
                f"That is more than chance explains. {clean}; {here}, {counted(n_beyond, 'image')} more than the upper "
                "end of that range. Some of these images are not like the clean ones that the detector was calibrated "
                "with: attacked, of another kind, or named wrongly by the classifier."
            )
        case Standing.WITHIN if share.n == 0:
            return f"{clean}, so that none at all is no surprise."
        case Standing.WITHIN:
            return (
                f"Chance explains as many: {_lower_first(clean)}. The share by itself is no sign of an attack, and "
                "most of what is flagged may be false alarms."
            )
        case Standing.BELOW:
            return (
                f"That is fewer than chance would give: {_lower_first(clean)}; {here}. The images are easier than "
                "those that the detector was calibrated with, or were chosen before; the rate of false alarms that "
                "was asked for does not describe them."
            )


def _lower_first(text: str) -> str:
    return text[:1].lower() + text[1:]


def discoveries_of(found: Discoveries) -> str:
    """Which images stand out whatever chance does, or why none can.

    Calibration images are clean and the classifier gets them right; the rate says nothing of those that it gets wrong.
    """
    rate = rate_text(found.false_discovery_rate)
    if found.n:
        return (
            f"{counted(found.n, 'image')} {'stands' if found.n == 1 else 'stand'} out beyond chance: on the list of "
            f"discoveries, at most {rate} are expected to be false alarms if clean images are like those of the "
            "calibration. Clean ones that the classifier gets wrong come on top."
        )
    return f"No image stands out beyond chance: the list on which at most {rate} would be false alarms is empty."


def resolution_of(found: Discoveries, n_calibration: int) -> str:
    """How short a list of discoveries can be, with so few calibration images among so many that were tested."""
    n = found.n_at_smallest
    have = {0: "none has", 1: "1 has"}.get(n, f"{number(n)} have")
    text = (
        f"The detector compares each image with {number(n_calibration)} clean ones, so no p-value is below "
        f"{p_text(found.smallest_p_value)}; {have} that one. Among "
        f"{counted(found.n_tested, 'image')} a list of so few false alarms has therefore at least "
        f"{counted(found.n_needed, 'image')}, or none."
    )
    if found.n or found.n_needed < FEW_IMAGES:
        return text
    return (
        f"{text} Fewer attacked images than that cannot be told from chance here: audit the part that is under "
        "suspicion by itself, or calibrate with more clean images."
    )


def joined(parts: Sequence[str]) -> str:
    """Parts of a sentence as a list: "a", "a and b", "a, b and c"."""
    return " and ".join([", ".join(parts[:-1]), parts[-1]] if len(parts) > 1 else parts)


def copies_of(found: Duplicates) -> str:
    """How many pictures the copies are of."""
    return f"of {counted(found.n_groups, 'picture')}" if found.n_groups else ""
