"""Heads of a bundle, put together again from its tensors."""

from collections.abc import Mapping
from typing import TypeVar

from torch import Tensor

from detector.bundle_record import BundleRecord, HeadKind
from detector.early_exit import EarlyExit
from detector.head import Head
from detector.joined import Joined
from detector.scorer import Scorer
from detector.second_opinion import EscalationSettings, SecondOpinion
from detector.typicality import Typicality

_AnyHead = TypeVar("_AnyHead", bound=Scorer)


def head_from(tensors: Mapping[str, Tensor], record: BundleRecord) -> Scorer:
    """What judges the evidence of straight paths."""
    match record.head:
        case HeadKind.LEARNED:
            return _loaded(Head(record.n_features, record.hidden), tensors, "head.")
        case HeadKind.TYPICALITY:
            return _loaded(Typicality(record.n_features), tensors, "head.")
        case HeadKind.JOINED:
            parts = Head(record.n_features, record.hidden), Typicality(record.n_features)
            return _loaded(Joined(*parts), tensors, "head.")


def second_opinion_from(tensors: Mapping[str, Tensor], record: BundleRecord) -> SecondOpinion | None:
    """What judges images in doubt, where the bundle has it."""
    found = record.escalation
    if found is None:
        return None
    settings = EscalationSettings(
        method=found.method,
        potential=found.potential,
        budget=found.budget,
        resolution=found.resolution,
        doubt=found.doubt,
    )
    head = _loaded(Head(found.n_features, found.hidden), tensors, "second_head.")
    return SecondOpinion(settings=settings, band=found.band, head=head)


def early_exit_from(tensors: Mapping[str, Tensor], record: BundleRecord) -> EarlyExit | None:
    """What judges a first look, where the bundle has it."""
    found = record.early_exit
    if found is None:
        return None
    head = _loaded(Head(found.n_features, found.hidden), tensors, "first_head.")
    ordinary = _loaded(Typicality(found.n_features), tensors, "first_ordinary.")
    return EarlyExit(
        looks=found.looks,
        head=head,
        ordinary=ordinary,
        leave_below=found.leave_below,
        ordinary_below=found.ordinary_below,
    )


def _loaded(head: _AnyHead, tensors: Mapping[str, Tensor], prefix: str) -> _AnyHead:
    head.load_state_dict({name.removeprefix(prefix): t for name, t in tensors.items() if name.startswith(prefix)})
    return head.eval().requires_grad_(False)
