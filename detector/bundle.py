"""Everything a detector needs beside the classifier's weights, as a folder of two files.

`bundle.json` says what it is and how it was made; `tensors.safetensors` holds the numbers. No code is stored in either.
"""

import dataclasses
import inspect
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor

from detector.bundle_record import RECORD_FILE, BundleRecord, is_bundle, read_record
from detector.conformal import ConformalScores
from detector.early_exit import EarlyExit, require_full_evidence
from detector.files import replace_folder_atomically
from detector.gaussians_at_rest import gaussian_tensors, gaussians_from
from detector.heads_at_rest import early_exit_from, head_from, second_opinion_from
from detector.potentials import Gaussians
from detector.profiles import Auxiliary, PathProfiler
from detector.prototypes.prototype_set import PrototypeSet
from detector.scorer import Scorer
from detector.second_opinion import SecondOpinion
from detector.types import BundleError, Classifier

TENSOR_FILE = "tensors.safetensors"


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
        second_opinion: judges images in doubt, where that was found to pay.
        auxiliary_gaussians: typical representations of the auxiliary classifier, by block, where there is one.
        early_exit: which images leave after a first look, where some may.
        used_images: first 8 bytes of the sha256 of each image that calibration saw, shape (image, 8), uint8.
    """

    def __init__(
        self,
        *,
        record: BundleRecord,
        prototypes: PrototypeSet,
        mixing: Tensor,
        gaussians: Mapping[str, Gaussians],
        head: Scorer,
        claim_weights: Tensor,
        conformal: ConformalScores,
        prototype_profiles: Tensor,
        used_images: Tensor,
        second_opinion: SecondOpinion | None = None,
        auxiliary_gaussians: Mapping[str, Gaussians] | None = None,
        early_exit: EarlyExit | None = None,
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
        self.second_opinion = second_opinion
        self.auxiliary_gaussians = dict(auxiliary_gaussians or {})
        self.early_exit = early_exit

    def replaced(self, **changes: Any) -> "Bundle":
        """The same bundle with some of its parts changed, named as `__init__` names them."""
        parts = {name: getattr(self, name) for name in inspect.signature(Bundle).parameters}
        return Bundle(**(parts | changes))

    def noted(self, found: Mapping[str, float], **changes: Any) -> "Bundle":
        """The same bundle with more figures in its record, and other fields of the record changed."""
        measured = changes.pop("measured", self.record.measured) | found
        return self.replaced(record=self.record.model_copy(update={"measured": measured, **changes}))

    @property
    def used_digests(self) -> frozenset[bytes]:
        """The same as `used_images`, to look images up in, as `calibration.splits.image_digests` makes them."""
        return frozenset(bytes(row) for row in self.used_images.tolist())

    @property
    def forward_equivalents(self) -> int:
        """Forward passes of one verdict, the auxiliary's included, where the image neither leaves nor is in doubt."""
        auxiliary = self.record.auxiliary
        own = 1 + self.prototypes.n_prototypes * len(self.mixing) + len(self.record.smoothings)
        return own if auxiliary is None else own + 1 + auxiliary.n_prototypes * len(self.mixing)

    @property
    def expected_forward_equivalents(self) -> float:
        """The same on average over clean images, some of which leave early or are searched, a gradient counting 3."""
        if self.record.early_exit is not None:
            return self.record.early_exit.forward_equivalents
        if self.second_opinion is None:
            return float(self.forward_equivalents)
        measured = self.record.measured
        return self.forward_equivalents + measured["doubtful_share"] * measured["escalation_forward_equivalents"]

    def require(self, false_positive_rate: float) -> None:
        """Refuse a rate that the bundle cannot keep.

        Raises:
            CalibrationError: it is not in (0, 1), so low that nothing could ever be flagged, or so high that images
                would be flagged after a first look.
        """
        self.conformal.require(false_positive_rate)
        if self.early_exit is not None:
            require_full_evidence(self.conformal, false_positive_rate)

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

    def check_auxiliary(self, auxiliary: Classifier | None) -> None:
        """Refuse an auxiliary classifier that is not the one calibrated with, or none where one is needed.

        Raises:
            BundleError: that is so.
        """
        record = self.record.auxiliary
        expected = None if record is None else record.classifier_digest
        given = None if auxiliary is None else auxiliary.digest()
        if expected == given:
            return
        came = "none was given" if given is None else f"one with digest {given[:12]}… was given"
        if record is None:
            raise BundleError(f"the bundle was calibrated without an auxiliary classifier, but {came}; leave it out")
        raise BundleError(
            f"the bundle was calibrated with the auxiliary classifier {record.classifier}, digest "
            f"{record.classifier_digest[:12]}…, but {came}; give Detector(…, auxiliary=…) that one"
        )

    def profiler(self, classifier: Classifier, auxiliary: Classifier | None) -> PathProfiler:
        """What measures paths as this bundle's head was taught to read them, on the classifier's device."""
        record = self.record.auxiliary
        witness = None
        if record is not None and auxiliary is not None:
            profiler = PathProfiler.on_device(auxiliary, self.auxiliary_gaussians)
            witness = Auxiliary(profiler=profiler, n_prototypes=record.n_prototypes)
        alone = PathProfiler.on_device(classifier, self.gaussians)
        return dataclasses.replace(alone, smoothings=self.record.smoothings, auxiliary=witness)

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
            # The library's own files can be read by their owner alone, and whoever calibrates is not whoever serves.
            (temporary / TENSOR_FILE).write_bytes(save(self._tensors()))

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
        if self.second_opinion is not None:
            second = self.second_opinion.head.state_dict()
            tensors |= {f"second_head.{name}": tensor for name, tensor in second.items()}
        if self.early_exit is not None:
            for part, judge in (("first_head", self.early_exit.head), ("first_ordinary", self.early_exit.ordinary)):
                tensors |= {f"{part}.{name}": tensor for name, tensor in judge.state_dict().items()}
        tensors |= gaussian_tensors(self.gaussians) | gaussian_tensors(self.auxiliary_gaussians, "auxiliary_")
        return {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}

    @classmethod
    def load(cls, folder: Path) -> "Bundle":
        """Read a bundle.

        Raises:
            BundleError: it is missing, damaged, or of a schema that this version does not know.
        """
        record = read_record(folder)
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
        return cls(
            record=record,
            prototypes=PrototypeSet(
                images=tensors["prototypes.images"],
                available=tensors["prototypes.available"],
                kinds=record.prototype_kinds,
            ),
            mixing=tensors["mixing"],
            gaussians=gaussians_from(tensors, record.blocks),
            head=head_from(tensors, record),
            claim_weights=tensors["claim_weights"],
            conformal=ConformalScores(tensors["conformal.scores"]),
            prototype_profiles=tensors["prototypes.profiles"],
            used_images=tensors["used_images"],
            second_opinion=second_opinion_from(tensors, record),
            early_exit=early_exit_from(tensors, record),
            auxiliary_gaussians=gaussians_from(
                tensors, () if record.auxiliary is None else record.auxiliary.blocks, "auxiliary_"
            ),
        )


def digest_rows(digests: list[bytes]) -> Tensor:
    """Digests as rows of bytes, sorted, so that the record does not tell their order."""
    return torch.tensor([list(digest) for digest in sorted(digests)], dtype=torch.uint8).view(len(digests), 8)
