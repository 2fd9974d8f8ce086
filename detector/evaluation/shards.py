"""Where finished pieces of a run are kept, so that a run that was stopped goes on where it was.

A piece is a shard: some tensors, and facts that JSON can say. In a folder it is two files, `NAME.safetensors` and
`NAME.json`; the second is written last and holds the digest of the first, so that a shard is whole or not there.
"""

import dataclasses
import hashlib
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from detector.files import replace_atomically

DIGEST = "tensors_sha256"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Shard:
    """One finished piece of a run."""

    tensors: Mapping[str, Tensor]
    facts: Mapping[str, Any]


@runtime_checkable
class ShardStore(Protocol):
    """Keeps shards by name."""

    def __contains__(self, name: str) -> bool:
        """Whether a shard of this name was written, be it whole or damaged since."""
        ...

    def read(self, name: str) -> Shard | None:
        """The shard of this name; None where there is none that is whole."""
        ...

    def write(self, name: str, shard: Shard) -> None:
        """Keep a shard, in the place of an older one of the same name."""
        ...


class MemoryShards:
    """Shards of a run that nobody will continue."""

    def __init__(self) -> None:
        self._shards: dict[str, Shard] = {}

    def __contains__(self, name: str) -> bool:
        return name in self._shards

    def read(self, name: str) -> Shard | None:
        """The shard of this name."""
        return self._shards.get(name)

    def write(self, name: str, shard: Shard) -> None:
        """Keep a shard."""
        self._shards[name] = shard


class FolderShards:
    """Shards as files of a folder.

    Args:
        folder: made with the first shard.
        notice: told of every shard that is damaged.
    """

    def __init__(self, folder: Path, notice: Callable[[str], None]) -> None:
        self._folder = folder
        self._notice = notice

    def __contains__(self, name: str) -> bool:
        return self._files(name)[0].exists()

    def read(self, name: str) -> Shard | None:
        """The shard of this name; None, with a notice, where it is damaged."""
        facts_file, tensor_file = self._files(name)
        if not facts_file.exists():
            return None
        try:
            facts = json.loads(facts_file.read_bytes())
            content = tensor_file.read_bytes()
            if hashlib.sha256(content).hexdigest() != facts.pop(DIGEST):
                raise ValueError("the digest does not fit")
            return Shard(tensors=load(content), facts=facts)
        except (FileNotFoundError, ValueError, KeyError, AttributeError, SafetensorError):
            self._notice(f"{tensor_file} is damaged or does not fit {facts_file.name}; it is made again")
            return None

    def write(self, name: str, shard: Shard) -> None:
        """Keep a shard; one that is interrupted leaves what was there, or nothing.

        Raises:
            OSError: it cannot be written; names the file.
        """
        facts_file, tensor_file = self._files(name)
        content = save({key: tensor.detach().cpu().contiguous() for key, tensor in shard.tensors.items()})
        write_whole(tensor_file, content)
        facts = {**shard.facts, DIGEST: hashlib.sha256(content).hexdigest()}
        write_whole(facts_file, (json.dumps(facts, indent=2) + "\n").encode())

    def _files(self, name: str) -> tuple[Path, Path]:
        return self._folder / f"{name}.json", self._folder / f"{name}.safetensors"


def write_whole(path: Path, content: bytes) -> None:
    """Write a file that is either whole or absent.

    Raises:
        OSError: it cannot be written; names the file, which a full disk does not do by itself.
    """
    try:
        with replace_atomically(path) as temporary:
            temporary.write_bytes(content)
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from error
