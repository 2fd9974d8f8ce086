import importlib.util

import pytest

from service.errors import InputError
from service.studies.catalogue import STUDIES, entry_named, study_of


@pytest.mark.parametrize("entry", STUDIES, ids=lambda entry: entry.name)
def test_every_study_that_is_listed_can_be_imported(entry):
    assert importlib.util.find_spec(entry.module) is not None
    assert callable(study_of(entry))


def test_no_two_studies_have_one_name():
    assert len({entry.name for entry in STUDIES}) == len(STUDIES)


def test_an_unknown_study_is_refused_with_the_known_ones():
    with pytest.raises(InputError, match=r"no study 'astrology'; give one of barriers, photographs"):
        entry_named("astrology")
