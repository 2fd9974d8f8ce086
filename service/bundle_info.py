"""What a bundle says about itself."""

from collections import Counter
from pathlib import Path
from typing import Any

from rich.table import Table

from detector.bundle import Bundle
from detector.bundle_record import ProxySource
from service.bundles import open_bundle
from service.console import printable, results, write_json
from service.outputs import require_writable
from service.prototype_picture import write_prototypes


def run_info(name: str, *, prototypes: Path | None, json: bool) -> None:
    """Write a description of a bundle, and draw its prototypes where a file is named for them.

    Raises:
        InputError, BundleError: there is no such bundle, or it is damaged, or its prototypes cannot be drawn.
    """
    bundle = open_bundle(name)
    if prototypes is not None:
        require_writable(prototypes.parent)
        write_prototypes(bundle, prototypes)
    summary = summarise(bundle)
    if json:
        write_json(summary)
        return
    table = Table(show_header=False, box=None)
    for key, value in summary.items():
        table.add_row(key.replace("_", " "), printable(_in_words(value)))
    results.print(table)
    if prototypes is not None:
        results.print(f"picture: {printable(str(prototypes))}", markup=False)


def summarise(bundle: Bundle) -> dict[str, Any]:
    """Everything in the bundle's record, and what follows from it and from the tensors.

    `holds_images` says whether prototypes are, or were learned from, somebody's images.
    """
    kinds = Counter(kind.value for kind in bundle.prototypes.kinds)
    return bundle.record.model_dump(mode="json") | {
        "calibrated_with": _CALIBRATED_WITH[bundle.record.proxies],
        "prototype_kinds": dict(kinds),
        "holds_images": not all(kind.is_synthetic for kind in bundle.prototypes.kinds),
        "prototypes_per_label": bundle.prototypes.n_prototypes,
        "mixing": bundle.mixing.tolist(),
        "forward_equivalents": bundle.expected_forward_equivalents,
        "calibration_scores": len(bundle.conformal.scores),
    }


_CALIBRATED_WITH = {
    ProxySource.GRADIENT: "proxies that follow the classifier's gradient",
    ProxySource.BLACK_BOX: "proxies from a black-box attack, which has logits alone",
    ProxySource.NONE: "clean images alone",
}


def _in_words(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key} {_in_words(inner)}" for key, inner in value.items())
    if isinstance(value, list):
        return ", ".join(_in_words(inner) for inner in value)
    return f"{value:.4g}" if isinstance(value, float) else str(value)
