"""Everything a detector needs beside the classifier's weights, as a folder of two files.

`bundle.json` says what it is and how it was made; `tensors.safetensors` holds the numbers. No code is stored in either.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from pydantic import BaseModel, ConfigDict, ValidationError
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from detector.conformal import ConformalScores
from detector.files import replace_folder_atomically
from detector.head import Head
from detector.potentials import LabelGaussians
from detector.prototypes.prototype_set import PrototypeKind, PrototypeSet
from detector.types import BundleError, Classifier

SCHEMA_VERSION = 1
RECORD_FILE = "bundle.json"
TENSOR_FILE = "tensors.safetensors"


class BundleRecord(BaseModel):
    """What `bundle.json` holds.

    Attributes:
        classifier: name under which the classifier can be loaded again.
        classifier_digest: of the classifier that was calibrated; no other is served.
        preprocessing: how a picture becomes the classifier's input, as the classifier's own package writes it.
        hidden: widths of the head's hidden layers.
        false_positive_rates: those asked for at calibration.
        measured: figures of the calibration, by name.
        data_digest: sha256 over the digests of all calibration images.
        seconds: how long calibration took.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    schema_version: int
    classifier: str
    classifier_digest: str
    input_shape: tuple[int, int, int]
    labels: tuple[str, ...]
    preprocessing: dict[str, Any]
    prototype_kinds: tuple[PrototypeKind, ...]
    blocks: tuple[str, ...]
    hidden: tuple[int, ...]
    n_features: int
    false_positive_rates: tuple[float, ...]
    seed: int
    settings: dict[str, Any]
    measured: dict[str, float]
    data_digest: str
    versions: dict[str, str]
    created: str
    seconds: float


class Bundle:
    """A calibrated detector at rest.

    Args:
        record: what is known about it.
        prototypes: where the paths end.
        mixing: mixing weights of the interior waypoints, shape (waypoint,).
        gaussians: typical representations, by block.
        head: judges the evidence.
        claim_weights: how much each claim counts towards the suspected label, shape (claim,).
        conformal: scores of clean images.
        prototype_profiles: cross-entropy of each prototype for its own label, in nats, shape (label, prototype).
        used_images: first 8 bytes of the sha256 of each image that calibration saw, shape (image, 8), uint8.
    """

    def __init__(
        self,
        *,
        record: BundleRecord,
        prototypes: PrototypeSet,
        mixing: Tensor,
        gaussians: Mapping[str, LabelGaussians],
        head: Head,
        claim_weights: Tensor,
        conformal: ConformalScores,
        prototype_profiles: Tensor,
        used_images: Tensor,
    ) -> None:
        self.record = record
        self.prototypes = prototypes
        self.mixing = mixing
        self.gaussians = dict(gaussians)
        self.head = head
        self.claim_weights = claim_weights
        self.conformal = conformal
        self.prototype_profiles = prototype_profiles
        self.used_images = used_images

    @property
    def forward_equivalents(self) -> int:
        """Forward passes of the classifier that one verdict costs."""
        return 1 + self.prototypes.n_prototypes * len(self.mixing)

    def check_classifier(self, classifier: Classifier) -> None:
        """Refuse a classifier that is not the one calibrated.

        Raises:
            BundleError: the digests differ.
        """
        digest = classifier.digest()
        if digest != self.record.classifier_digest:
            raise BundleError(
                f"the bundle was calibrated for {self.record.classifier} with digest "
                f"{self.record.classifier_digest[:12]}…, but this classifier's is {digest[:12]}…; "
                "give the classifier it was calibrated for, or calibrate again"
            )

    def save(self, folder: Path) -> None:
        """Write the bundle; the folder is complete or not there at all.

        Raises:
            BundleError: the folder holds something else than a bundle.
        """
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())) and not is_bundle(folder):
            raise BundleError(f"{folder} exists and is not a bundle; name another folder, or remove it")
        with replace_folder_atomically(folder) as temporary:
            record = json.dumps(self.record.model_dump(mode="json"), indent=2, ensure_ascii=False)
            (temporary / RECORD_FILE).write_text(record + "\n", encoding="utf-8")
            save_file(self._tensors(), temporary / TENSOR_FILE)

    def _tensors(self) -> dict[str, Tensor]:
        tensors = {
            "prototypes.images": self.prototypes.images,
            "prototypes.available": self.prototypes.available,
            "prototypes.profiles": self.prototype_profiles,
            "mixing": self.mixing,
            "claim_weights": self.claim_weights,
            "conformal.scores": self.conformal.scores,
            "used_images": self.used_images,
        }
        tensors |= {f"head.{name}": tensor for name, tensor in self.head.state_dict().items()}
        for name, gaussians in self.gaussians.items():
            tensors |= {f"means.{name}": gaussians.means, f"whitening.{name}": gaussians.whitening}
        return {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}

    @classmethod
    def load(cls, folder: Path) -> "Bundle":
        """Read a bundle.

        Raises:
            BundleError: it is missing, damaged, or of a schema that this version does not know.
        """
        record = _read_record(folder)
        try:
            return cls._assembled(record, load_file(folder / TENSOR_FILE))
        except (OSError, SafetensorError, KeyError, RuntimeError, ValueError) as error:
            problem = " ".join(str(error).split())
            raise BundleError(
                f"{folder / TENSOR_FILE} is damaged or does not fit its {RECORD_FILE} ({problem}); "
                "copy the bundle again"
            ) from error

    @classmethod
    def _assembled(cls, record: BundleRecord, tensors: Mapping[str, Tensor]) -> "Bundle":
        head = Head(record.n_features, record.hidden)
        head.load_state_dict({n.removeprefix("head."): t for n, t in tensors.items() if n.startswith("head.")})
        return cls(
            record=record,
            prototypes=PrototypeSet(
                images=tensors["prototypes.images"],
                available=tensors["prototypes.available"],
                kinds=record.prototype_kinds,
            ),
            mixing=tensors["mixing"],
            gaussians={
                name: LabelGaussians(means=tensors[f"means.{name}"], whitening=tensors[f"whitening.{name}"])
                for name in record.blocks
            },
            head=head.eval().requires_grad_(False),
            claim_weights=tensors["claim_weights"],
            conformal=ConformalScores(tensors["conformal.scores"]),
            prototype_profiles=tensors["prototypes.profiles"],
            used_images=tensors["used_images"],
        )


def is_bundle(folder: Path) -> bool:
    """Whether a folder claims to be a bundle."""
    return (folder / RECORD_FILE).is_file()


def _read_record(folder: Path) -> BundleRecord:
    path = folder / RECORD_FILE
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise BundleError(f"{folder} is no bundle: it has no {RECORD_FILE}; `isthmus calibrate` makes one") from error
    except (OSError, ValueError) as error:
        raise BundleError(f"{path} cannot be read ({error}); copy the bundle again") from error
    version = content.get("schema_version") if isinstance(content, dict) else None
    if not isinstance(version, int):
        raise BundleError(f"{path} names no schema version; copy the bundle again")
    if version > SCHEMA_VERSION:
        raise BundleError(
            f"{folder} has bundle schema {version}, and this version reads up to {SCHEMA_VERSION}; upgrade isthmus"
        )
    try:
        return BundleRecord.model_validate(content)
    except ValidationError as error:
        problem = error.errors()[0]
        where = ".".join(str(part) for part in problem["loc"])
        raise BundleError(f"{path}: {where}: {problem['msg']}; copy the bundle again") from error


def digest_rows(digests: list[bytes]) -> Tensor:
    """Digests as rows of bytes, sorted, so that the record does not tell their order."""
    return torch.tensor([list(digest) for digest in sorted(digests)], dtype=torch.uint8).view(len(digests), 8)
