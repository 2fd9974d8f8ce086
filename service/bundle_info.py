"""What a bundle says about itself."""

from collections import Counter
from typing import Any

from rich.table import Table

from detector.bundle import Bundle
from service.bundles import open_bundle
from service.console import printable, results, write_json


def run_info(name: str, *, json: bool) -> None:
    """Write a description of a bundle.

    Raises:
        InputError, BundleError: there is no such bundle, or it is damaged.
    """
    summary = summarise(open_bundle(name))
    if json:
        write_json(summary)
        return
    table = Table(show_header=False, box=None)
    for key, value in summary.items():
        table.add_row(key.replace("_", " "), printable(_in_words(value)))
    results.print(table)


def summarise(bundle: Bundle) -> dict[str, Any]:
    """Everything in the bundle's record, and the sizes that follow from its tensors."""
    kinds = Counter(kind.value for kind in bundle.prototypes.kinds)
    return bundle.record.model_dump(mode="json") | {
        "prototype_kinds": dict(kinds),
        "prototypes_per_label": bundle.prototypes.n_prototypes,
        "forward_equivalents": bundle.forward_equivalents,
        "calibration_scores": len(bundle.conformal.scores),
    }


def _in_words(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key} {_in_words(inner)}" for key, inner in value.items())
    if isinstance(value, list):
        return ", ".join(_in_words(inner) for inner in value)
    return f"{value:.4g}" if isinstance(value, float) else str(value)
