"""The images at the far end of the paths: chosen, synthesised, or controls."""

from detector.prototypes.prototype_set import PrototypeKind, PrototypeLabels, PrototypeSet

__all__ = ["PrototypeKind", "PrototypeLabels", "PrototypeSet"]
