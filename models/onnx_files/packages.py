"""What working with ONNX files takes beyond the installation: packages of the extra `onnx`."""

import importlib.util

from models.errors import ModelError

PACKAGES = ("onnx", "onnxruntime", "onnxscript", "onnx2torch")


def require_onnx() -> None:
    """Raise ModelError unless every package that ONNX files are read, run and written with is installed."""
    missing = [name for name in PACKAGES if importlib.util.find_spec(name) is None]
    if missing:
        raise ModelError(
            f"ONNX files need packages that are not installed ({', '.join(missing)}): pip install 'isthmus[onnx]'"
        )
