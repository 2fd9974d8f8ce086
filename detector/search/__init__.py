"""Search for paths of lower barrier than the straight one: one loop, and small methods that it runs."""

from detector.search.loop import search_paths
from detector.search.methods import MethodName, method_named
from detector.search.open_search import OpenSearch
from detector.search.potential import LabelPotential, Potential, PotentialKind, label_potential
from detector.search.result import SearchOutcome, SearchResult, SearchSettings

__all__ = [
    "LabelPotential",
    "MethodName",
    "OpenSearch",
    "Potential",
    "PotentialKind",
    "SearchOutcome",
    "SearchResult",
    "SearchSettings",
    "label_potential",
    "method_named",
    "search_paths",
]
