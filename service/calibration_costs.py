"""What it costs to calibrate without gradients, as it was measured once."""

import dataclasses
from collections.abc import Mapping

from detector.bundle_record import ProxySource


@dataclasses.dataclass(frozen=True, kw_only=True)
class Measured:
    """How well bundles that differ in their proxies alone told the same attacks from the same clean images.

    Attributes:
        mean_auroc, worst_auroc: across attacks.
        flagged: mean share across attacks that is flagged at a false-positive rate of 5 %.
        false_alarms: share of clean images that is flagged at it.
    """

    mean_auroc: float
    worst_auroc: float
    flagged: float
    false_alarms: float

    def __str__(self) -> str:
        return (
            f"mean AUROC {self.mean_auroc:.3f}, worst {self.worst_auroc:.3f}, {self.flagged:.0%} of attacks flagged "
            f"with {self.false_alarms:.1%} false alarms"
        )


MEASURED: Mapping[ProxySource, Measured] = {
    ProxySource.GRADIENT: Measured(mean_auroc=0.938, worst_auroc=0.704, flagged=0.767, false_alarms=0.037),
    ProxySource.BLACK_BOX: Measured(mean_auroc=0.899, worst_auroc=0.627, flagged=0.6348, false_alarms=0.044),
    ProxySource.NONE: Measured(mean_auroc=0.872, worst_auroc=0.599, flagged=0.601, false_alarms=0.050),
}
"""Of `cifar10-resnet20`, as if it gave no gradient; the same three real prototypes a label, the built-in attacks.

The commands that made them stand beside them in the detector's README.
"""

LEARNED_ALONE = Measured(mean_auroc=0.780, worst_auroc=0.593, flagged=0.249, false_alarms=0.043)
"""Of the black-box bundle, had its learned head judged alone, without how far an image lies from clean ones."""

_WITH = {
    ProxySource.GRADIENT: "with proxies made with gradients",
    ProxySource.BLACK_BOX: "with proxies from a black-box attack, joined with what is typical of clean images",
    ProxySource.NONE: "on clean images alone",
}


def notes_on(source: ProxySource) -> tuple[str, ...]:
    """What whoever uses a bundle should know about proxies that were not made with gradients."""
    if source is ProxySource.GRADIENT:
        return ()
    rows = {how: MEASURED[one] for one, how in _WITH.items()} | {"with black-box proxies, not joined": LEARNED_ALONE}
    figures = "; ".join(f"{how}: {found}" for how, found in rows.items())
    return (
        f"Calibrated {_WITH[source]}, without gradients. What that costs, as measured on cifar10-resnet20 with real "
        f"prototypes and the built-in attacks: {figures}.",
    )
