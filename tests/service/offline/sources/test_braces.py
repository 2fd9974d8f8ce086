import pytest

from service.errors import InputError
from service.offline.sources.braces import MOST_NAMES, expand_braces, has_braces


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("a.tar", ["a.tar"]),
        ("a{8..11}.tar", ["a8.tar", "a9.tar", "a10.tar", "a11.tar"]),
        ("a{08..11}.tar", ["a08.tar", "a09.tar", "a10.tar", "a11.tar"]),
        ("{train,test}-{0..1}", ["train-0", "train-1", "test-0", "test-1"]),
        ("{7..7}x", ["7x"]),
        ("{}a{b}", ["{}a{b}"]),
    ],
)
def test_braces_stand_for_the_names_that_shells_make_of_them(text, names) -> None:
    assert expand_braces(text) == names
    assert has_braces(text) is (names != [text])


@pytest.mark.parametrize("text", ["{5..1}.tar", "{0..999999999999}.tar", "{0..9999}{0..9999}.tar"])
def test_ranges_that_fall_or_name_too_many_files_are_refused(text) -> None:
    with pytest.raises(InputError, match=rf"rises|{MOST_NAMES}"):
        expand_braces(text)
