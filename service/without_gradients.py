"""What a calibration takes instead where the classifier gives no gradient."""

import dataclasses

from detector.calibration.checks import NEED_GRADIENTS, gives_gradients
from detector.types import Classifier
from service.calibration_request import CalibrationRequest
from service.errors import InputError
from service.options import LabelChoice, PresetName, PrototypeName, ProxyFamily
from service.proxy_families import families_of


def fitted_to(request: CalibrationRequest, classifier: Classifier) -> CalibrationRequest:
    """The same request, where the classifier gives gradients; else what was left open is taken as needs none.

    Raises:
        InputError: it gives none, and something was asked for that follows them.
    """
    if gives_gradients(classifier):
        return request
    asked = _following_gradients(request)
    if asked:
        instead = "; ".join(f"{option}: {advice}" for option, advice in asked.items())
        raise InputError(
            f"{request.classifier} gives no gradient with respect to its pixels, so that what follows one cannot be "
            f"had. Change {instead}"
        )
    is_open = request.prototypes is None and request.prototypes_from is None
    return dataclasses.replace(
        request,
        prototypes=PrototypeName.REAL if is_open else request.prototypes,
        proxies=request.proxies or (ProxyFamily.BLACK_BOX.value,),
    )


def _following_gradients(request: CalibrationRequest) -> dict[str, str]:
    """What was asked for that follows gradients, by option, and what to give instead."""
    found = {}
    if request.preset is PresetName.THOROUGH and request.prototypes is None and request.prototypes_from is None:
        found["--preset thorough"] = "it learns prototypes; add --prototypes real"
    if request.prototypes is not None and request.prototypes.value in NEED_GRADIENTS:
        found[f"--prototypes {request.prototypes}"] = "give real, medoid, noise, grey, other-label or none"
    if request.prototype_labels is LabelChoice.ALL and request.prototypes is None:
        found["--prototype-labels all"] = "it needs prototypes made without images; add --prototypes noise or grey"
    for option, value in (
        ("--start", request.start),
        ("--own-class-weight", request.own_class_weight),
        ("--steps", request.steps),
    ):
        if value is not None:
            found[option] = "it is about learned prototypes; leave it out"
    for family in sorted(families_of(request.proxies) & {ProxyFamily.MATCHED, ProxyFamily.ADAPTIVE}):
        found[f"--proxies {family}"] = "give black-box or none"
    if request.escalate is not None:
        found["--escalate"] = "searches go down gradients; leave it out"
    return found
