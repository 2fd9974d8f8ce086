"""The methods by name, as commands and records name them."""

import enum
from collections.abc import Callable, Mapping

from detector.search.bypass import Bypass
from detector.search.curves import bezier, polygonal_chain
from detector.search.elastic_band import auto_neb, neb
from detector.search.method import Method


class MethodName(enum.StrEnum):
    """Every family of search."""

    BYPASS = "bypass"
    RECURSIVE_BYPASS = "recursive-bypass"
    CHAIN = "chain"
    BEZIER = "bezier"
    NEB = "neb"
    AUTO_NEB = "auto-neb"


def method_named(name: MethodName) -> Method:
    """The method with its usual settings."""
    return _METHODS[name]()


_METHODS: Mapping[MethodName, Callable[[], Method]] = {
    MethodName.BYPASS: Bypass,
    MethodName.RECURSIVE_BYPASS: lambda: Bypass(depth=2),
    MethodName.CHAIN: polygonal_chain,
    MethodName.BEZIER: bezier,
    MethodName.NEB: neb,
    MethodName.AUTO_NEB: auto_neb,
}
