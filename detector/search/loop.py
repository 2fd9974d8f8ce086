"""Searches any number of paths: as many at once as there are slots, the next as soon as one is free."""

import torch
from jaxtyping import Float
from torch import Tensor

from detector.search.found import FoundPaths
from detector.search.method import Method
from detector.search.open_search import OpenSearch
from detector.search.potential import Potential, check_same_shape
from detector.search.result import EndedPaths, SearchResult, SearchSettings
from detector.types import Images, ProgressCallback, no_progress


def search_paths(
    potential: Potential,
    starts: Images,
    ends: Float[Tensor, "_ _ _ _"],
    method: Method,
    settings: SearchSettings | None = None,
    progress: ProgressCallback = no_progress,
) -> SearchResult:
    """Look for a path of lower barrier between each start and its end.

    Paths share forward passes but nothing else; one that is done makes room for the next that waits.

    Raises:
        DetectorError: starts and ends do not pair up, or the potential cannot be differentiated.
    """
    check_same_shape(starts, ends)
    settings = settings or SearchSettings()
    n_paths, shape = len(starts), (starts.shape[1], starts.shape[2], starts.shape[3])
    search = OpenSearch(potential, method, settings, n_paths, shape)
    found = FoundPaths(n_paths, starts, method.n_nodes, settings.final_resolution + 1)
    n_begun = 0
    while search.n_open or n_begun < n_paths:
        ended: list[EndedPaths] = []
        n_taken = min(search.n_free, n_paths - n_begun)
        if n_taken:
            rows = torch.arange(n_begun, n_begun + n_taken, device=starts.device)
            ended += search.begin(rows, starts[rows], ends[rows])
            n_begun += n_taken
        ended += search.step()
        found.write(ended)
        progress("searching paths", found.n_written, n_paths)
    return found.all()
