"""What is refused before a long calibration, and not at its end."""

import dataclasses

from detector.bundle import Bundle
from detector.calibration.recording import used_digests
from detector.calibration.settings import CalibrationSettings
from detector.calibration.splits import Splits, image_digests
from detector.conformal import images_needed
from detector.types import CalibrationError, Classifier, ImageError, LabelledImages


def check_images(classifier: Classifier, data: LabelledImages, role: str) -> None:
    """Refuse images that the classifier does not take.

    Args:
        role: what the images are for, as the message is to name it.

    Raises:
        ImageError: there are none, or their shape or labels are not the classifier's.
    """
    shape, n_labels = tuple(data.images.shape[1:]), len(classifier.labels)
    if len(data) == 0:
        raise ImageError(f"there is no {role} image; give at least some of every label")
    if shape != classifier.input_shape:
        raise ImageError(
            f"{role} images have shape {shape} (channel, height, width), the classifier takes {classifier.input_shape}"
        )
    if int(data.labels.min()) < 0 or int(data.labels.max()) >= n_labels:
        raise ImageError(
            f"labels of the {role} images run from {int(data.labels.min())} to {int(data.labels.max())}, but the "
            f"classifier has {n_labels} labels, 0 to {n_labels - 1}; map them to the classifier's"
        )


def check_numbers(splits: Splits, settings: CalibrationSettings) -> None:
    """Refuse rates that so few images cannot support.

    Raises:
        CalibrationError: the conformal part is too small for the smallest rate asked for.
    """
    needed = images_needed(min(settings.false_positive_rates))
    if len(splits.conformal) < needed:
        share = settings.shares.conformal * (1 - settings.shares.reserved)
        total = needed / share if share else float("inf")
        raise CalibrationError(
            f"{len(splits.conformal)} clean calibration images cannot support a false-positive rate of "
            f"{min(settings.false_positive_rates)}; at least {needed} are needed, so give about {total:.0f} held-out "
            "images or ask for a higher rate"
        )


def check_start(start: Bundle, splits: Splits, settings: CalibrationSettings) -> None:
    """Refuse to take prototypes over that were learned on images which p-values are to rest on now.

    Raises:
        CalibrationError: that is so; the split is another than that of `start`.
    """
    seen = start.used_digests
    then = (start.record.seed, start.record.settings.get("shares"))
    now = (settings.seed, dataclasses.asdict(settings.shares))
    if then == now and seen == set(used_digests(splits, None)):
        return
    n_shared = len(seen & set(image_digests(splits.conformal.images)))
    if n_shared:
        raise CalibrationError(
            f"{n_shared} of the {len(splits.conformal)} images that p-values are to rest on had a part in the bundle "
            "whose prototypes are taken over; give the same held-out images, --reserve and --seed as it had, or others"
        )


def check_auxiliary(classifier: Classifier, auxiliary: Classifier | None, settings: CalibrationSettings) -> None:
    """Refuse an auxiliary classifier that cannot be asked about the same images and labels.

    Raises:
        CalibrationError: its labels or its input differ, or a second opinion is asked for too, whose searched paths it
            has never been shown.
    """
    if auxiliary is None:
        return
    if auxiliary.labels != classifier.labels or auxiliary.input_shape != classifier.input_shape:
        raise CalibrationError(
            f"the auxiliary classifier takes {auxiliary.input_shape} and has {len(auxiliary.labels)} labels, where the "
            f"guarded one takes {classifier.input_shape} and has {len(classifier.labels)}; give one of the same input "
            "and labels, in the same order"
        )
    if settings.escalation is not None:
        raise CalibrationError("a second opinion and an auxiliary classifier cannot be had together; leave one out")
