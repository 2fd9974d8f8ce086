"""What an audit is of, and with what: written before anything is judged, and compared when the audit is resumed."""

import json
import logging
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, PositiveInt, ValidationError

from service.errors import InputError
from service.offline.folder.names import CONTRACT_FILE
from service.offline.schema import SCHEMA

LONGEST_VALUE = 200

REFUSED = (
    "bundle_digest",
    "classifier_digest",
    "preprocessing",
    "labels",
    "false_positive_rate",
    "n_calibration",
    "runtime",
    "source",
    "columns",
    "shard_size",
)
"""Shards that were judged with another one of these do not belong together."""

WARNED = ("device", "n_threads", "isthmus_version", "torch_version")
"""With another one of these, the last digits of scores may be others."""

logger = logging.getLogger(__name__)


class Contract(BaseModel):
    """What `audit.json` holds: the same in every run of the same audit.

    Attributes:
        bundle, classifier: what they are called; their digests say which they are.
        preprocessing: how a picture becomes the classifier's input.
        labels: the name of each label.
        false_positive_rate: share of clean images that may be flagged.
        n_calibration: clean images that p-values are measured against.
        runtime: what computes paths.
        chunk_images: how many images are judged in one call; what suited the first run's device holds for all.
        source: of `Source.description`.
        columns: the source's own columns and their types, of `columns_record`.
        shard_size: images of a shard once shards have grown.
        device: the kind of it: `cpu` or `cuda`.
        n_threads: of one computation on the CPU; None elsewhere.
        isthmus_version, torch_version: of the first run.
        schema_version: of the files that the audit writes.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    schema_version: int = SCHEMA
    bundle: str
    bundle_digest: str
    classifier: str
    classifier_digest: str
    preprocessing: dict[str, Any]
    labels: tuple[str, ...]
    false_positive_rate: float
    n_calibration: int
    runtime: str
    chunk_images: PositiveInt
    source: dict[str, Any]
    columns: tuple[tuple[str, str], ...]
    shard_size: int
    device: str
    n_threads: int | None
    isthmus_version: str
    torch_version: str

    def as_document(self) -> dict[str, Any]:
        """As plain JSON."""
        document: dict[str, Any] = json.loads(json.dumps(self.model_dump()))
        return document

    def as_bytes(self) -> bytes:
        """As the content of `audit.json`."""
        return (json.dumps(self.as_document(), indent=2) + "\n").encode()


def columns_record(columns: Any) -> tuple[tuple[str, str], ...]:
    """Names and types of an Arrow schema, as a contract holds them."""
    return tuple((field.name, str(field.type)) for field in columns)


def read_contract(folder: Path) -> Contract:
    """Read `audit.json` of the folder of an audit.

    Raises:
        InputError: the folder holds no audit, or one of a newer version, or the file is damaged.
    """
    path = folder / CONTRACT_FILE
    try:
        content = json.loads(path.read_bytes())
    except (FileNotFoundError, NotADirectoryError) as error:
        raise InputError(f"{folder} holds no audit: it has no {CONTRACT_FILE}; `isthmus audit` makes one") from error
    except (OSError, ValueError) as error:
        raise InputError(f"{path} cannot be read ({error}); restore it, or audit into another folder") from error
    version = content.get("schema_version") if isinstance(content, dict) else None
    if isinstance(version, int) and version > SCHEMA:
        raise InputError(
            f"{folder} was written in schema {version}, and this version reads up to {SCHEMA}; upgrade isthmus"
        )
    try:
        return Contract.model_validate(content)
    except ValidationError as error:
        problem = error.errors()[0]
        where = ".".join(str(part) for part in problem["loc"])
        raise InputError(
            f"{path} is damaged: {where or 'the whole'}: {problem['msg']}; restore it, or audit into another folder"
        ) from error


def resumed(folder: Path, was: Contract, now: Contract) -> Contract:
    """What an audit goes on with: as it is asked for now, in chunks as they were.

    Raises:
        InputError: shows each difference: what was, and what is.
    """
    old, new = was.as_document(), now.as_document()
    differing = [name for name in REFUSED if old[name] != new[name]]
    if differing:
        lines = [line for name in differing for line in _difference(name, _named(old, name), _named(new, name))]
        raise InputError(
            f"{folder} holds an audit that began with something else: {'; '.join(lines)}. Call it as it was called "
            "then, or audit into another folder"
        )
    for name in WARNED:
        if old[name] != new[name]:
            words = name.removeprefix("n_").replace("_", " ")
            logger.warning(
                "the audit began with %s %s and goes on with %s; the last digits of scores may differ",
                words,
                old[name],
                new[name],
            )
    return now.model_copy(update={"chunk_images": was.chunk_images})


def _named(document: dict[str, Any], name: str) -> Any:
    """The value of a field; a digest with the name of what it is of."""
    subject = name.removesuffix("_digest")
    return f"{document[subject]} ({document[name]})" if subject != name else document[name]


def _difference(name: str, old: Any, new: Any) -> list[str]:
    """Lines that say how a value differs; only those parts of it that do."""
    words = name.removesuffix("_digest").replace("_", " ")
    if isinstance(old, dict) and isinstance(new, dict):
        keys = sorted(key for key in {*old, *new} if old.get(key) != new.get(key))
        return [line for key in keys for line in _difference(f"{name}.{key}", old.get(key), new.get(key))]
    if isinstance(old, list) and isinstance(new, list):
        if len(old) != len(new):
            return [f"{words}: was {len(old)} ({_shown(old)}), is {len(new)} ({_shown(new)})"]
        place = next(place for place, pair in enumerate(zip(old, new, strict=True)) if pair[0] != pair[1])
        return [f"{words}, number {place}: was {_shown(old[place])}, is {_shown(new[place])}"]
    return [f"{words}: was {_shown(old)}, is {_shown(new)}"]


def _shown(value: Any) -> str:
    if value is None:
        return "absent"
    text = value if isinstance(value, str) else json.dumps(value)
    # Names of folders may hold bytes that are no text, which no terminal can show.
    text = text.encode(errors="backslashreplace").decode()
    return text if len(text) <= LONGEST_VALUE else text[: LONGEST_VALUE - 1] + "…"
