"""What is refused before a long calibration, and not at its end."""

import dataclasses

import torch

from detector.bundle import Bundle
from detector.bundle_record import ProxySource
from detector.calibration.recording import used_digests
from detector.calibration.settings import CalibrationSettings
from detector.calibration.splits import Splits, image_digests
from detector.conformal import images_needed
from detector.prototypes.prototype_set import PrototypeKind
from detector.types import CalibrationError, Classifier, ImageError, LabelledImages

NEED_GRADIENTS = frozenset({PrototypeKind.FEATURE_VISUALISED, PrototypeKind.STAR, PrototypeKind.LEARNED})
"""Kinds of prototypes that are made by descending the classifier's gradient."""


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


def check_gradients(classifier: Classifier, settings: CalibrationSettings, start: Bundle | None) -> None:
    """Refuse what proxies or classifier are not there for.

    Raises:
        CalibrationError: something is asked for that rests on fresh proxies of every step and there are none, or that
            follows the classifier's gradient and it gives none.
    """
    _check_proxies(settings, start)
    needing = following_gradients(settings, start)
    if needing and not gives_gradients(classifier):
        raise CalibrationError(
            f"the classifier gives no gradient with respect to its pixels, which {' and '.join(needing)} follow; take "
            "prototypes that are real, medoid, noise, grey, other-label or none, proxies from a black box or none, and "
            "no second opinion"
        )


def _check_proxies(settings: CalibrationSettings, start: Bundle | None) -> None:
    if settings.proxy_source is ProxySource.GRADIENT:
        return
    if start is None and settings.prototype_kind is PrototypeKind.LEARNED:
        raise CalibrationError(
            "prototypes are learned from thousands of fresh proxies made with gradients, and those are not to be made; "
            "take prototypes of another kind, e.g. real"
        )
    if settings.adaptive is not None:
        raise CalibrationError(
            "adaptive proxies come on top of those made with gradients, and those are not to be made; leave one out"
        )
    if settings.escalation is not None and settings.proxy_source is ProxySource.NONE:
        raise CalibrationError(
            "a second opinion is fitted to proxies, and there are to be none; leave escalation out, or make some"
        )


def following_gradients(settings: CalibrationSettings, start: Bundle | None) -> list[str]:
    """Names of what follows the classifier's gradient in a calibration with these settings."""
    needing = []
    if start is None and NEED_GRADIENTS & {settings.prototype_kind, settings.start_kind}:
        needing.append(f"{settings.prototype_kind} prototypes")
    if settings.proxy_source is ProxySource.GRADIENT:
        needing.append("confidence-matched proxies")
    if settings.adaptive is not None:
        needing.append("adaptive proxies")
    if settings.escalation is not None:
        needing.append("the searches of a second opinion")
    return needing


@torch.enable_grad()
def gives_gradients(classifier: Classifier) -> bool:
    """Whether the gradient of the logits reaches the pixels, tried on two images of noise.

    One that is zero everywhere, as that of hard decisions is, is as good as none.
    """
    generator = torch.Generator().manual_seed(0)
    noise = torch.rand(2, *classifier.input_shape, generator=generator).to(classifier.device)
    pixels = noise.requires_grad_(True)
    try:
        logits = classifier(pixels).logits
        weights = torch.rand(logits.shape, generator=generator).to(logits)
        (gradient,) = torch.autograd.grad((weights * logits).sum(), pixels)
    # Graphs of other runtimes fail in their own ways; that they fail is the answer.
    except Exception:
        return False
    return bool(gradient.isfinite().all() and gradient.any())
