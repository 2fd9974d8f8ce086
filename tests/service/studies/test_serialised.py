import json

import numpy as np
import pytest
import torch

from service.studies.serialised import plain


def test_tensors_and_arrays_become_lists_and_what_json_cannot_say_becomes_null():
    data = {"a": torch.tensor([1.0, float("nan")]), "b": (np.float64(2), np.array([[True, False]])), 3: float("inf")}
    assert plain(data) == {"a": [1.0, None], "b": [2.0, [[True, False]]], "3": None}
    assert json.dumps(plain(data), allow_nan=False)


def test_truth_and_absence_are_kept():
    assert plain([True, None, 1, "x"]) == [True, None, 1, "x"]


def test_what_is_not_data_is_refused():
    with pytest.raises(TypeError, match="a study's data hold a object"):
        plain({"a": object()})
