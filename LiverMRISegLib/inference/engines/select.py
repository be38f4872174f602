"""Which engine a device name means on this computer; torch is only imported where it will be used."""

from __future__ import annotations

import ctypes.util
import importlib.util
import logging
import platform
import sys
from typing import TYPE_CHECKING

from LiverMRISegLib.errors import UsageError
from LiverMRISegLib.extras import how_to_install
from LiverMRISegLib.inference.engines.engine import Engine
from LiverMRISegLib.models.package.model_package import ModelPackage
from LiverMRISegLib.networks.registry import has_graph

if TYPE_CHECKING:
    import torch

logger = logging.getLogger(__name__)


def load_engine(package: ModelPackage, device: str = "auto") -> Engine:
    """The fastest engine for `package` on `device`.

    "auto" is an NVIDIA GPU, else an Apple GPU, else the CPU. On the CPU, OpenVINO where it is installed and the
    network has a graph, else torch.

    Raises:
        UsageError: no such device here, or neither torch nor OpenVINO is installed.
    """
    precision = package.spec.inference.precision
    if device == "auto":
        device = _best_device()
    if device == "cpu" and _is_installed("openvino") and has_graph(package.spec.network.name):
        from LiverMRISegLib.inference.engines.openvino_engine import OpenVinoEngine

        return OpenVinoEngine(package, precision)
    if not _is_installed("torch"):
        wanted, extra = ("torch or openvino", "cpu") if device == "cpu" else ("torch", "torch")
        raise UsageError(f"device '{device}' needs {wanted}: {how_to_install(extra, wanted.split()[-1])}")
    from LiverMRISegLib.inference.engines.torch_engine import TorchEngine

    return TorchEngine(package, device, precision)


def device_in_torch(device: str) -> torch.device:
    """The device of a name, "auto" among them, for what computes in torch itself; UsageError if there is none."""
    from LiverMRISegLib.inference.engines.torch_engine import checked_device

    return checked_device(_best_device() if device == "auto" else device)


def _best_device() -> str:
    if not _is_installed("torch"):
        return "cpu"
    if _has_nvidia_driver():
        import torch

        if torch.cuda.is_available():
            return "cuda"
        logger.warning("an NVIDIA driver is installed, but this torch cannot use it; computing on the CPU")
    if sys.platform == "darwin" and platform.machine() == "arm64":
        import torch

        if torch.backends.mps.is_available():
            return "mps"
    return "cpu"


def _has_nvidia_driver() -> bool:
    """Whether the driver's library can be found, without importing torch (which takes seconds)."""
    return ctypes.util.find_library("nvcuda" if sys.platform == "win32" else "cuda") is not None


def _is_installed(library: str) -> bool:
    return importlib.util.find_spec(library) is not None
