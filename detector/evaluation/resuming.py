"""Makes the pieces of a run, or takes them from its shards where they are already there.

What a piece holds follows from its own name and the run's seed, not from what was made before it or beside it.
"""

import dataclasses
import hashlib
from typing import Any, TypeVar, get_type_hints

from pydantic import TypeAdapter, ValidationError
from torch import Tensor

from detector.detector import Detector
from detector.evaluation.adaptive import AdaptiveRun, AdaptiveSpec, SkippedAdaptive, run_adaptive
from detector.evaluation.attacked import AttackedImages, SkippedAttack, run_attack
from detector.evaluation.attacks import AttackSpec
from detector.evaluation.shards import Shard, ShardStore
from detector.types import Classifier, LabelledImages, ProgressCallback

_KIND, _TITLE, _FIELDS = "kind", "title", "fields"

Piece = TypeVar("Piece")


def seed_of(seed: int, name: str) -> int:
    """The seed of one piece of a run, in 31 bits."""
    return int.from_bytes(hashlib.sha256(f"{seed} {name}".encode()).digest()[:4]) >> 1


def attacked_images(
    spec: AttackSpec,
    classifier: Classifier,
    clean: LabelledImages,
    shards: ShardStore,
    *,
    seed: int,
    chunk: int,
    progress: ProgressCallback,
) -> AttackedImages | SkippedAttack:
    """What an attack made of the images."""
    shard = shards.read(spec.name)
    kept = shard and (_unpacked(AttackedImages, spec.title, shard) or _unpacked(SkippedAttack, spec.title, shard))
    if kept:
        return kept
    made = run_attack(spec, classifier, clean, seed=seed_of(seed, spec.name), chunk=chunk, progress=progress)
    # What failed may have failed for want of memory: a run that goes on tries it again.
    if isinstance(made, AttackedImages):
        shards.write(spec.name, _packed(made, spec.title))
    return made


def adaptive_run(
    spec: AdaptiveSpec,
    detector: Detector,
    bundle_digest: str,
    clean: LabelledImages,
    shards: ShardStore,
    *,
    seed: int,
    progress: ProgressCallback,
) -> AdaptiveRun | SkippedAdaptive:
    """What an attack that knows the detector made of the images; kept apart for every bundle."""
    name = adaptive_shard(spec.name, bundle_digest)
    shard = shards.read(name)
    kept = shard and (_unpacked(AdaptiveRun, spec.title, shard) or _unpacked(SkippedAdaptive, spec.title, shard))
    if kept:
        return kept
    made = run_adaptive(spec, detector, clean, seed=seed_of(seed, spec.name), progress=progress)
    if isinstance(made, AdaptiveRun):
        shards.write(name, _packed(made, spec.title))
    return made


def adaptive_shard(name: str, bundle_digest: str) -> str:
    """The name of an adaptive attack's shard."""
    return f"adaptive.{bundle_digest[:16]}.{name}"


def _packed(piece: Any, title: str) -> Shard:
    """A dataclass as a shard: its tensors, and everything else as facts."""
    values = {field.name: getattr(piece, field.name) for field in dataclasses.fields(piece)}
    types = get_type_hints(type(piece))
    facts = {
        name: TypeAdapter(types[name]).dump_python(value)
        for name, value in values.items()
        if not isinstance(value, Tensor)
    }
    return Shard(
        tensors={name: value for name, value in values.items() if isinstance(value, Tensor)},
        facts={_KIND: type(piece).__name__, _TITLE: title, _FIELDS: facts},
    )


def _unpacked(kind: type[Piece], title: str, shard: Shard) -> Piece | None:
    """The dataclass that was packed; None where the shard holds something else."""
    if (shard.facts.get(_KIND), shard.facts.get(_TITLE)) != (kind.__name__, title):
        return None
    types = get_type_hints(kind)
    try:
        facts = {name: TypeAdapter(types[name]).validate_python(value) for name, value in shard.facts[_FIELDS].items()}
        return kind(**facts, **shard.tensors)
    except (KeyError, TypeError, ValidationError):
        return None
