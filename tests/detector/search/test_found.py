import torch

from detector.search.found import FoundPaths
from detector.search.result import EndedPaths, SearchOutcome, SearchResult

LIKE = torch.zeros(5, 1, 1, 2, dtype=torch.float64)


def ended(paths: list[int], height: float, outcome: SearchOutcome) -> EndedPaths:
    n_paths = len(paths)
    heights = torch.full((n_paths,), height, dtype=torch.float64)
    return EndedPaths(
        paths=torch.tensor(paths),
        found=SearchResult(
            nodes=torch.full((n_paths, 3, 1, 1, 2), height, dtype=torch.float64),
            profiles=heights[:, None].expand(-1, 4),
            barriers=heights,
            straight_profiles=heights[:, None].expand(-1, 4) + 1,
            straight_barriers=heights + 1,
            n_steps=torch.full((n_paths,), 7),
            forward_equivalents=torch.tensor(paths) * 10,
            outcomes=(outcome,) * n_paths,
        ),
    )


def test_results_stand_where_their_numbers_say() -> None:
    found = FoundPaths(3, LIKE, 3, 4)
    found.write([ended([2, 0], 0.5, SearchOutcome.STALLED), ended([1], 0.25, SearchOutcome.FLATTENED)])
    assert found.n_written == 3
    assert found.all().barriers.tolist() == [0.5, 0.25, 0.5]
    assert found.all().forward_equivalents.tolist() == [0, 10, 20]
    assert found.all().outcomes == (SearchOutcome.STALLED, SearchOutcome.FLATTENED, SearchOutcome.STALLED)
    some = found.of(torch.tensor([1, 2]))
    assert some.straight_profiles[:, 0].tolist() == [1.25, 1.5]
    assert some.outcomes == (SearchOutcome.FLATTENED, SearchOutcome.STALLED)


def test_a_number_that_is_given_again_holds_its_latest_result() -> None:
    found = FoundPaths(2, LIKE, 3, 4)
    found.write([ended([1], 0.5, SearchOutcome.STALLED)])
    earlier = found.of(torch.tensor([1]))
    found.write([ended([1], 0.125, SearchOutcome.CONVERGED)])
    assert found.n_written == 1
    assert found.of(torch.tensor([1])).barriers.tolist() == [0.125]
    assert earlier.barriers.tolist() == [0.5]
