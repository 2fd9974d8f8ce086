"""Which studies there are; nothing is imported before one of them is run."""

import dataclasses
import importlib
from typing import TYPE_CHECKING

from service.errors import InputError

if TYPE_CHECKING:
    # It imports torch, which a list of names has no need of.
    from service.studies.report import Study


@dataclasses.dataclass(frozen=True, kw_only=True)
class Entry:
    """One study.

    Attributes:
        module: holds it as `run`, a `service.studies.report.Study`.
        line: what it asks, for the list of studies.
        unit: what `--limit` counts.
    """

    name: str
    module: str
    line: str
    unit: str


STUDIES = (
    Entry(
        name="barriers",
        module="service.studies.barriers",
        line="Barriers between images of one class, before and after a bypass; CIFAR-10 by default.",
        unit="pairs",
    ),
    Entry(
        name="photographs",
        module="service.studies.photographs",
        line="The same on photographs, for a classifier of your own.",
        unit="pairs",
    ),
    Entry(
        name="attacked-barriers",
        module="service.studies.attacked_barriers",
        line="Whether straight paths to attacked images rise higher than those to clean ones, attack by attack.",
        unit="attacked images",
    ),
    Entry(
        name="training",
        module="service.studies.training",
        line="How barriers and their bypasses come about while a classifier is trained.",
        unit="pairs",
    ),
    Entry(
        name="curvature",
        module="service.studies.curvature",
        line="Whether the curvature at the ends of a path foretells its barrier.",
        unit="images",
    ),
    Entry(
        name="untrained",
        module="service.studies.untrained",
        line="Whether inputs of one label are joined in networks that were never trained.",
        unit="pairs",
    ),
    Entry(
        name="percolation",
        module="service.studies.percolation",
        line="At which loss random inputs of untrained networks become connected, by dimension.",
        unit="networks of each width and dimension",
    ),
    Entry(
        name="soft-trees",
        module="service.studies.soft_trees",
        line="Whether inputs are joined in a classifier that is no network: soft decision trees.",
        unit="pairs",
    ),
    Entry(
        name="search",
        module="service.studies.search",
        line="Whether searching for lower paths pays, by method, prototypes and potential.",
        unit="clean images",
    ),
)


def entry_named(name: str) -> Entry:
    """Look up a study.

    Raises:
        InputError: there is none of that name.
    """
    for entry in STUDIES:
        if entry.name == name:
            return entry
    known = ", ".join(entry.name for entry in STUDIES)
    raise InputError(f"there is no study {name!r}; give one of {known}")


def study_of(entry: Entry) -> "Study":
    """Import a study."""
    study: Study = importlib.import_module(entry.module).run
    return study
