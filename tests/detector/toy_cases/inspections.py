"""Inspections of a few images, moved on step by step."""

from typing import Any

from torch import Tensor

from detector.detector import Detector
from detector.inspection import Inspection
from detector.verdict import Verdict

N_IMAGES = 12


def finished(inspection: Inspection) -> dict[Any, Verdict]:
    found: dict[Any, Verdict] = {}
    while not inspection.is_idle:
        found |= inspection.step()
    return found


def searching(detector: Detector, images: Tensor, tickets: list[int], n_steps: int) -> Inspection:
    inspection = Inspection(detector, 8)
    inspection.admit(tickets, images[tickets], [0.05] * len(tickets))
    for _ in range(n_steps):
        inspection.step()
    return inspection
