"""Families of proxies, as users name them."""

from collections.abc import Collection

from detector.bundle_record import ProxySource
from detector.evaluation.attacks import ALL, BUILTIN
from service.errors import InputError
from service.options import ProxyFamily

_ALONE = {ProxyFamily.BLACK_BOX: ProxySource.BLACK_BOX, ProxyFamily.NONE: ProxySource.NONE}


def families_of(names: Collection[str]) -> set[ProxyFamily]:
    """The families of proxies that a user names.

    Raises:
        InputError: one is an attack of the evaluation, or nothing known.
    """
    attacks = {spec.name for spec in (*BUILTIN, *ALL)} | {spec.method.lower() for spec in (*BUILTIN, *ALL)}
    for name in names:
        if name.lower() in attacks:
            raise InputError(
                f"{name} is an attack of the evaluation, and a detector that was calibrated on it could no longer be "
                f"measured with it; give families of proxies: {', '.join(ProxyFamily)}"
            )
        if name not in set(ProxyFamily):
            raise InputError(f"there is no family of proxies {name!r}; give {', '.join(ProxyFamily)}")
    return {ProxyFamily(name) for name in names}


def source_of(names: Collection[str]) -> ProxySource:
    """What the proxies of these families are made with; the gradient where none is named.

    Raises:
        InputError: a name is not that of a family, or one that stands alone came with another.
    """
    families = families_of(names)
    alone = sorted(families & _ALONE.keys())
    if alone and len(families) > 1:
        raise InputError(
            f"--proxies {alone[0]} stands alone, and {', '.join(sorted(families - {alone[0]}))} came too: whoever has "
            "gradients does better with matched proxies and needs no black box, and none is none at all; name one"
        )
    return _ALONE[alone[0]] if alone else ProxySource.GRADIENT
