import pytest

from detector.bundle_record import ProxySource
from service.errors import InputError
from service.options import ProxyFamily
from service.proxy_families import families_of, source_of


def test_a_family_of_proxies_that_nobody_knows_is_answered_with_those_there_are():
    with pytest.raises(InputError, match="no family of proxies 'gradient'; give matched, adaptive, black-box, none"):
        families_of(["gradient"])


def test_families_are_known_by_their_names():
    assert families_of(list(ProxyFamily)) == set(ProxyFamily)


@pytest.mark.parametrize(
    ("names", "source"),
    [
        ((), ProxySource.GRADIENT),
        (("matched",), ProxySource.GRADIENT),
        (("adaptive",), ProxySource.GRADIENT),
        (("matched", "adaptive"), ProxySource.GRADIENT),
        (("black-box",), ProxySource.BLACK_BOX),
        (("none",), ProxySource.NONE),
    ],
)
def test_families_say_what_proxies_are_made_with(names, source):
    assert source_of(names) is source


@pytest.mark.parametrize("beside", ["matched", "adaptive"])
@pytest.mark.parametrize("family", ["black-box", "none"])
def test_black_box_and_none_stand_alone(family, beside):
    with pytest.raises(InputError, match=f"--proxies {family} stands alone, and {beside} came too"):
        source_of((family, beside))
    assert source_of((family, family)) is not ProxySource.GRADIENT
