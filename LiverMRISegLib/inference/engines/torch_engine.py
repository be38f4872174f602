"""Networks by torch: NVIDIA GPUs, Apple GPUs, CPUs."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch

from LiverMRISegLib.errors import DeviceMemoryError, UsageError
from LiverMRISegLib.models.package.built import built_member
from LiverMRISegLib.models.package.model_package import ModelPackage

logger = logging.getLogger(__name__)


class TorchEngine:
    """A package's network in torch on `device` ("cpu", "cuda", "cuda:1", "mps").

    `precision` "auto" is float16 on NVIDIA GPUs, else float32.

    Raises:
        UsageError: this torch has no such device.
        DeviceMemoryError: its memory is too small for the network.
    """

    def __init__(self, package: ModelPackage, device: str, precision: str = "auto") -> None:
        self._device = checked_device(device)
        self._type = _number_type(self._device, precision)
        self.device = device
        with self._memory():
            self._networks = [self._network(package, member) for member in range(package.spec.network.members)]
        # A GPU is filled by several tiles; a CPU is full with one, and a second only takes memory.
        self.batch = 1 if self._device.type == "cpu" else 4
        self.name = f"torch {device} {str(self._type).removeprefix('torch.')}"

    def _network(self, package: ModelPackage, member: int) -> torch.nn.Module:
        network = built_member(package, member)
        moved: torch.nn.Module = network.to(self._device, memory_format=torch.channels_last_3d)  # type: ignore[call-overload]
        return moved

    @torch.inference_mode()
    def predict(self, batch: np.ndarray) -> np.ndarray:
        """As `Engine.predict`."""
        with self._memory():
            images = torch.from_numpy(np.ascontiguousarray(batch, np.float32)).to(
                self._device, memory_format=torch.channels_last_3d
            )
            with torch.autocast(self._device.type, dtype=self._type, enabled=self._type != torch.float32):
                logits = sum(network(images).float() for network in self._networks) / len(self._networks)
            result: np.ndarray = logits.cpu().numpy()
        return result

    @contextmanager
    def _memory(self) -> Iterator[None]:
        try:
            yield
        except RuntimeError as error:  # of torch's own kind, or in the driver's words where not even a context fits
            if not isinstance(error, torch.OutOfMemoryError) and "out of memory" not in str(error):
                raise
            raise DeviceMemoryError(f"the memory of {self.device} is full: {str(error).splitlines()[0]}") from error


def checked_device(device: str) -> torch.device:
    """A device of this computer by its name for torch; UsageError if there is none."""
    try:
        found = torch.device(device)
    except RuntimeError as error:
        raise UsageError(f"unknown device '{device}'; known are auto, cpu, cuda, cuda:N, mps") from error
    if found.type == "cuda" and (found.index or 0) >= torch.cuda.device_count():
        raise UsageError(f"device '{device}': this torch sees {torch.cuda.device_count()} CUDA GPUs; use --device cpu")
    if found.type == "mps" and not torch.backends.mps.is_available():
        raise UsageError("device 'mps': this computer has no Apple GPU that torch can use; use --device cpu")
    return found


def _number_type(device: torch.device, precision: str) -> torch.dtype:
    if precision != "auto":
        return {"float32": torch.float32, "bfloat16": torch.bfloat16}[precision]
    return torch.float16 if device.type == "cuda" else torch.float32
