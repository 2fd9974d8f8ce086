import dataclasses
from collections.abc import Callable
from typing import Any

import pytest
import torch

from detector.bundle import Bundle
from detector.detector import Detector
from detector.evaluation.connection import Connection, PathView
from detector.evaluation.explanation import explain
from detector.evaluation.explanation_tables import barrier_table, number_text, standings_table
from detector.evaluation.standings import LabelStanding
from detector.search import PotentialKind
from detector.types import LabelledImages, to_pixels


@pytest.fixture
def connection(bundle: Bundle, corners: Any, corner_images: Callable[..., LabelledImages]) -> Connection:
    found = explain(Detector(corners, bundle), to_pixels(corner_images(1, seed=9).images)[0]).connection
    assert found is not None
    return found


def view(*profile: float) -> PathView:
    """A path along which every potential does the same."""
    return PathView(strip=torch.zeros(2, 1, 2, 2), profiles={kind: torch.tensor(profile) for kind in PotentialKind})


def test_the_barriers_of_both_paths_stand_side_by_side(connection: Connection) -> None:
    changed = dataclasses.replace(connection, straight=view(0.0, 2.5, 1.0), found=view(0.0, 1.125, 1.0))
    rows = barrier_table(changed, PotentialKind.MARGIN).rows
    assert rows[0] == ("cross-entropy", "nats", "1.5", "0.125")
    assert rows[2] == ("margin, negated (searched)", "logits", "1.5", "0.125")


def test_a_barrier_that_does_not_exist_has_no_figure(connection: Connection) -> None:
    changed = dataclasses.replace(connection, straight=view(0.0, torch.nan, 1.0), found=None)
    assert barrier_table(changed, PotentialKind.MARGIN).rows[2] == ("margin, negated", "logits", None, None)


def test_labels_stand_by_their_names() -> None:
    standings = [
        LabelStanding(label=1, probability=0.9999, takeover=0.0, log_distance=-0.5, standing=None),
        LabelStanding(label=0, probability=2.5e-7, takeover=2.0, log_distance=torch.nan, standing=-1.5),
    ]
    rows = standings_table(standings, ("cat", "dog")).rows
    assert rows == (("dog", None, "1", 0.0, -0.5), ("cat", -1.5, "2.5e−07", 2.0, None))


def test_a_number_is_written_with_three_digits_and_none_with_a_dash() -> None:
    assert [number_text(value) for value in (-0.12345, 1234.5, None, float("inf"))] == ["−0.123", "1.23e+03", "–", "–"]
