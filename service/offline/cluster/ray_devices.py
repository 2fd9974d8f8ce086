"""Which devices Ray deals out to workers."""

from service.errors import InputError


def require_ray_device(device: str) -> str:
    """Refuse a device that no worker of a cluster can be given.

    Raises:
        InputError: it is one GPU of several, which Ray deals out, or of another kind.
    """
    if device not in ("cpu", "cuda"):
        raise InputError(
            f"--device {device} was asked for, and Ray gives each worker one core, or one GPU of its own choice; write "
            "--device cpu or --device cuda, and set CUDA_VISIBLE_DEVICES to leave out some"
        )
    return device
