import math
from typing import Any

import pytest
import torch

from detector.evaluation.baselines.energy import Energy


def test_energy_is_minus_the_log_of_the_sum_of_exponentials(linear: Any) -> None:
    black, white = torch.zeros(1, 1, 2, 2), torch.ones(1, 1, 2, 2)
    # Logits are (0, -5.5) and (0, 3 - 4 + 12 - 5.5).
    expected = [-math.log(1 + math.exp(-5.5)), -math.log(1 + math.exp(5.5))]
    found = Energy(classifier=linear).measure(torch.cat([black, white]))
    assert found.tolist() == pytest.approx(expected, rel=1e-5)
