"""An explanation in sentences that need no knowledge of the method."""

from collections.abc import Sequence

import torch

from detector.evaluation.explanation import Explanation
from detector.layerwise import LayerwiseBarriers
from detector.verdict import Decision, Outcome, Verdict

LOWEST_BARRIER = 1e-3
"""Barrier in nats below which it is called none; the search's own default."""


def verdict_in_words(verdict: Verdict, labels: Sequence[str]) -> str:
    """The decision as a sentence, with the label that the classifier names and the one that is suspected."""
    says = f"The classifier names it “{labels[verdict.label]}”"
    match verdict.decision:
        case Decision.CLEAN if verdict.outcome is Outcome.LEFT_EARLY:
            return (
                f"Passed as clean at the first look, without a path; those below were measured for this page. {says}."
            )
        case Decision.CLEAN:
            return f"Passed as clean. {says}."
        case Decision.UNDECIDED:
            return f"Not decided, and to be treated as adversarial: {verdict.outcome.value}. {says}."
        case Decision.ADVERSARIAL if verdict.suspected_label is not None:
            return f"Flagged as adversarial. {says}; what it truly shows may be “{labels[verdict.suspected_label]}”."
        case Decision.ADVERSARIAL:
            return f"Flagged as adversarial. {says}."


def p_value_in_words(explanation: Explanation) -> str | None:
    """How often clean images look as suspicious as this one; None where there is no p-value."""
    verdict, n_images = explanation.verdict, explanation.n_calibration
    if verdict.p_value is None:
        return None
    n_as_high = round(verdict.p_value * (n_images + 1)) - 1
    are_as_high = {0: "none looks", 1: "one looks"}.get(n_as_high, f"{n_as_high:,} look")
    compared = "at most" if verdict.decision is Decision.ADVERSARIAL else "above"
    return (
        f"Of {n_images:,} clean images kept aside for comparison, {are_as_high} at least as suspicious as this one: "
        f"p = {verdict.p_value:.2g}, {compared} {verdict.false_positive_rate:.2g}, the share of false alarms asked for."
    )


def depth_in_words(found: LayerwiseBarriers) -> str:
    """Where in the network the barrier lies, read off the figures alone."""
    heights = found.barriers[:, 0]
    if not heights.isfinite().all():
        return "The cross-entropy was not finite at some stage, so nothing can be said about the depth."
    if heights.max() < LOWEST_BARRIER:
        return f"There is no barrier at any depth: all of them stay below {LOWEST_BARRIER:g} nats."
    highest = int(heights.argmax())
    text = f"The barrier is highest, {heights[highest]:.2g} nats, where mixing takes place at {found.stages[highest]}"
    last = int((heights >= LOWEST_BARRIER).nonzero()[-1])
    if last + 1 < len(heights):
        return f"{text}; from {found.stages[last + 1]} on there is none (below {LOWEST_BARRIER:g} nats)."
    return f"{text}; it lasts to the deepest stage."


def change_in_words(before: float, after: float, unit: str) -> str:
    """What a search made of a barrier."""
    if not torch.tensor([before, after]).isfinite().all():
        return "The barrier is not finite."
    return f"The barrier went from {before:.3g} to {after:.3g} {unit}."
