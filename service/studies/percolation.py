"""At which loss random inputs become connected, by the dimension of the input: percolation in untrained networks."""

import dataclasses

import numpy as np

from detector.types import ProgressCallback
from service.errors import InputError
from service.studies.percolation_measuring import Cell, PercolationSettings, measure_cells
from service.studies.percolation_report import findings_of, percolation_data, plots_of, table_of
from service.studies.percolation_statistics import of_kind, widths_of
from service.studies.random_networks import WeightScale
from service.studies.report import StudyReport, StudyRequest
from service.studies.subject import require_own_classifier


def run(request: StudyRequest, progress: ProgressCallback) -> StudyReport:
    """Draw networks and inputs and join them; `limit` counts networks of each width and dimension.

    Raises:
        InputError: images, a classifier or a device are given, or fewer than two networks are asked for.
    """
    require_own_classifier(request, "draws its own networks and inputs")
    settings = PercolationSettings()
    if request.limit is not None:
        if request.limit < 2:
            raise InputError(f"--limit {request.limit} leaves nothing to compare; ask for at least 2 networks")
        settings = dataclasses.replace(settings, networks=request.limit)
    return study_percolation(settings, request.seed, progress)


def study_percolation(settings: PercolationSettings, seed: int, progress: ProgressCallback) -> StudyReport:
    """The study with these settings.

    Raises:
        InputError: no network has ends that are far enough apart.
    """
    cells = measure_cells(settings, seed, progress)
    rough = [of_kind(cells, WeightScale.ROUGH, width) for width in widths_of(cells)]
    if not all(rough):
        raise InputError("no network has two low inputs far enough apart; ask for more networks with --limit")
    return StudyReport(
        name="percolation",
        title="Percolation: when inputs become connected",
        lead=(
            "Fully connected networks with random weights were given uniform random inputs. Two of those with the "
            f"lowest {settings.end_quantile:.0%} of losses to one label, as far apart as random inputs in many "
            "dimensions are, count as joined at a threshold if a path between them stays below it. Held constant "
            "over dimensions: the covariance of logits at a given distance over √dimension, that distance, the "
            "quantiles of ends and threshold, and the budget of the search."
        ),
        facts=(
            ("networks", f"{settings.networks} of each kind, width and dimension"),
            ("pairs of each network", f"{settings.pairs} at most"),
            ("random inputs behind the quantiles", str(settings.random_inputs)),
            ("rough", "5 hidden layers, tanh, weights of variance 16/inputs, biases of variance 1"),
            ("usual", "3 hidden layers, ReLU, weights of variance 2/inputs"),
            ("search", f"chain of 3 bends, {settings.budget} forward equivalents a path"),
            ("search against flooding, 2 pixels", agreement_in_the_plane(cells)),
        ),
        findings=findings_of(cells, seed),
        plots=plots_of(cells),
        tables=(table_of(cells),),
        data={"settings": dataclasses.asdict(settings), "seed": seed, **percolation_data(cells, seed)},
    )


def agreement_in_the_plane(cells: list[Cell]) -> str:
    """How often the search comes close to the exact critical quantile, where that is known."""
    flat = [cell for cell in cells if cell.exact]
    if not flat:
        return "not measured"
    found = np.concatenate([one for cell in flat for one in cell.searched])
    exact = np.concatenate([one for cell in flat for one in cell.exact])
    return f"within .05 of the exact critical quantile for {(found - exact <= 0.05).sum()} of {len(exact)} pairs"
