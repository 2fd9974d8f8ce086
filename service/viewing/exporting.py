"""Copies of the images of a selection, in a folder that is whole or not there at all."""

import csv
import dataclasses
import itertools
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from detector.files import replace_folder_atomically
from detector.types import ProgressCallback
from service.console import messages, printable, results, write_json
from service.errors import InputError
from service.outputs import require_writable
from service.progress import progress_bars
from service.viewing.audit_files import AuditFiles
from service.viewing.copies import Copied
from service.viewing.fiftyone_export import write_fiftyone
from service.viewing.index import ResultIndex
from service.viewing.manifest import write_manifest
from service.viewing.pictures import Pictures
from service.viewing.queries import Queries
from service.viewing.selection import Condition, Selection, condition_of

LEFT_OUT = "left_out.csv"

UNSAFE = re.compile(r"[^A-Za-z0-9._-]+")
LONGEST_STEM = 80


@dataclasses.dataclass
class Exported:
    """What became of a selection; the first reason why an image was left out."""

    n_images: int = 0
    n_left_out: int = 0
    reason: str = ""


Writer = Callable[[Path, Iterator[Copied]], None]
"""Writes what belongs beside the copies into a folder, while it iterates over them, which is what copies them."""


def run_export(
    audit: Path,
    selection: Selection,
    *,
    images: Path | None,
    fiftyone: Path | None,
    limit: int | None,
    allow_urls: bool,
    json: bool,
) -> None:
    """Export the images of a selection, and say what was written.

    Args:
        images: a folder for copies and a manifest that `isthmus audit` reads; None for none.
        fiftyone: a folder for a dataset of FiftyOne; None for none.
        limit: as many of the most suspicious ones.

    Raises:
        InputError: the folder is no audit, one to write holds something, or none of the images can be had any more.
        OSError: the disk or the network failed; nothing is left behind.
    """
    written: list[tuple[Path, str, Writer]] = []
    if images is not None:
        written.append((images, "images", write_manifest))
    if fiftyone is not None:
        written.append((fiftyone, "data", write_fiftyone))
    files = AuditFiles(audit)
    folders = [folder for folder, _, _ in written]
    _require_apart([audit, *folders])
    _require_outside(Path(str(files.contract.source.get("location", ""))), folders)
    for folder, _, _ in written:
        _require_empty(folder)
    index, pictures = ResultIndex(files), Pictures(allow_urls=allow_urls)
    try:
        condition = _condition(files, index, selection)
        n_images = Queries(index).count(condition)
        n_wanted = n_images if limit is None else min(limit, n_images)
        for folder, copies, write in written:
            if n_images == 0:
                _say(folder, Exported(), json=json)
                continue
            with progress_bars() as progress:
                export = _Export(files, index, pictures, n_wanted, progress)
                export.into(folder, copies, condition, write)
            _say(folder, export.exported, json=json)
    finally:
        pictures.close()
        index.close()


class _Export:
    def __init__(
        self, files: AuditFiles, index: ResultIndex, pictures: Pictures, n_wanted: int, progress: ProgressCallback
    ) -> None:
        self._files = files
        self._queries = Queries(index)
        self._pictures = pictures
        self._n_wanted = n_wanted
        self._progress = progress
        self.exported = Exported()

    def into(self, folder: Path, copies: str, condition: Condition, write: Writer) -> None:
        with replace_folder_atomically(folder) as temporary:
            (temporary / copies).mkdir()
            write(temporary, self._copied(temporary, copies, condition))
            if self.exported.n_images == 0:
                raise InputError(
                    f"none of the {self._n_wanted} images can be read ({self.exported.reason}); nothing was written"
                )

    def _copied(self, folder: Path, copies: str, condition: Condition) -> Iterator[Copied]:
        for shard, places in self._queries.ranked(condition, self._n_wanted):
            records, items = self._files.chosen(shard, [row for row, _ in places])
            originals = self._pictures.originals(items)
            for (_, rank), record, original in zip(places, records, originals, strict=True):
                if isinstance(original, str):
                    self._leave_out(folder, record["path"], original)
                else:
                    name = f"{copies}/{safe_name(rank, record['path'], original.suffix)}"
                    (folder / name).write_bytes(original.data)
                    self.exported.n_images += 1
                    yield Copied(name=name, rank=rank, record=record)
                n_done = self.exported.n_images + self.exported.n_left_out
                self._progress("copying images", n_done, self._n_wanted)

    def _leave_out(self, folder: Path, path: str, reason: str) -> None:
        is_first = self.exported.n_left_out == 0
        with (folder / LEFT_OUT).open("a", encoding="utf-8", newline="") as file:
            csv.writer(file).writerows([["path", "error"]] * is_first + [[path, reason]])
        self.exported.n_left_out += 1
        self.exported.reason = self.exported.reason or reason


def safe_name(rank: int, path: str, suffix: str) -> str:
    """A name that any file system can have, that no other image of the export has, and that sorts by rank."""
    stem = UNSAFE.sub("_", path.rpartition("/")[2].rpartition(".")[0]).strip("._-")[:LONGEST_STEM]
    return f"{rank:07}-{stem}{suffix}" if stem else f"{rank:07}{suffix}"


def _condition(files: AuditFiles, index: ResultIndex, selection: Selection) -> Condition:
    standing = files.standing()
    if selection.discoveries and not standing.has_discoveries:
        raise InputError(
            "the list of discoveries is made when everything was judged, and is not there yet; let the audit end, or "
            "leave --discoveries out"
        )
    for _ in index.load():
        pass
    if index.damaged:
        messages.print(
            f"{len(index.damaged)} shards cannot be read and are left out; isthmus audit --verify says which",
            markup=False,
        )
    return condition_of(selection, standing.threshold)


def _require_apart(folders: Sequence[Path]) -> None:
    """What is written first must not lie where the next is put in place."""
    for one, other in itertools.permutations(folders, 2):
        if one.resolve().is_relative_to(other.resolve()):
            raise InputError(f"{one} lies in {other}; name two folders that are apart")


def _require_outside(source: Path, folders: Sequence[Path]) -> None:
    """What is written into the source would be audited with it, and keep the audit from going on."""
    for folder in folders:
        if source.is_absolute() and source.is_dir() and folder.resolve().is_relative_to(source.resolve()):
            raise InputError(f"{folder} lies in {source}, which was audited; name a folder outside of it")


def _require_empty(folder: Path) -> None:
    if folder.resolve() == Path.cwd():
        raise InputError(f"{folder} is the folder that this was called in, and would be replaced; name one below it")
    if folder.is_dir() and any(folder.iterdir()):
        raise InputError(f"{folder} is not empty; name a folder that is, or that is not there yet")
    require_writable(folder)


def _say(folder: Path, exported: Exported, *, json: bool) -> None:
    if json:
        write_json({"folder": str(folder), "n_images": exported.n_images, "n_left_out": exported.n_left_out})
    elif exported.n_images == 0:
        messages.print("no image is like that; nothing was written", markup=False)
    else:
        rest = f"; {exported.n_left_out} could not be had, see {LEFT_OUT}" if exported.n_left_out else ""
        results.print(f"{exported.n_images} images are in {printable(folder)}{rest}", markup=False)
