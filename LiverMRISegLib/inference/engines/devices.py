"""Which devices this computer can segment on, with their free memory; torch is not imported for that."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass

from LiverMRISegLib.inference.processes import NO_WINDOW

_QUERY = "index,name,memory.total,memory.free,driver_version,compute_cap"
NVIDIA_PROGRAM, NVIDIA_ARGUMENTS = "nvidia-smi", (f"--query-gpu={_QUERY}", "--format=csv,noheader,nounits")
NVIDIA_SECONDS = 5


@dataclass(frozen=True)
class Device:
    """`id` as for `Segmenter.load`; memory in GB, None where it is not known. `driver`, `capability`: NVIDIA only."""

    id: str
    name: str
    total_gb: float | None = None
    free_gb: float | None = None
    driver: str = ""
    capability: str = ""

    @property
    def title(self) -> str:
        """For a list to choose from: "NVIDIA A100 (cuda:0), 38 of 40 GB free"."""
        if self.total_gb is None or self.free_gb is None:
            return f"{self.name} ({self.id})"
        return f"{self.name} ({self.id}), {self.free_gb:.0f} of {self.total_gb:.0f} GB free"


def list_devices(nvidia: Sequence[Device] | None = None) -> list[Device]:
    """GPUs first, the CPU last; `nvidia`: those GPUs, if the driver was asked already."""
    apple = [Device("mps", "Apple GPU")] if sys.platform == "darwin" and platform.machine() == "arm64" else []
    return [*(nvidia_gpus() if nvidia is None else nvidia), *apple, _cpu()]


def nvidia_gpus() -> list[Device]:
    """What the driver's nvidia-smi lists; none where it is absent or fails."""
    program = shutil.which(NVIDIA_PROGRAM)
    if program is None:
        return []
    command = [program, *NVIDIA_ARGUMENTS]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=NVIDIA_SECONDS, check=True, creationflags=NO_WINDOW
        )
    except (OSError, subprocess.SubprocessError):
        return []
    return gpus_told(done.stdout)


def gpus_told(text: str) -> list[Device]:
    """The GPUs in what nvidia-smi prints."""
    return [gpu for line in text.splitlines() if (gpu := _gpu(line)) is not None]


def support_of(gpu: Device, architectures: list[str]) -> str:
    """Whether a torch built for `architectures` (torch.cuda.get_arch_list()) can use a GPU; empty if it can."""
    binaries, portable = _versions(architectures, "sm_"), _versions(architectures, "compute_")
    built = binaries + portable
    if not gpu.capability or not built:
        return ""
    wanted = int(gpu.capability.replace(".", ""))
    if any(v <= wanted and v // 10 == wanted // 10 for v in binaries) or any(v <= wanted for v in portable):
        return ""
    if wanted < min(built):
        return f"{gpu.name} is too old for this torch; use the CPU"
    newer = "is newer than this torch" if wanted > max(built) else "is not among those this torch was built for"
    return f"{gpu.name} {newer}; install another torch by the PyTorch extension, or use the CPU"


def _versions(architectures: list[str], prefix: str) -> list[int]:
    """90 of "sm_90a": a binary serves GPUs of its own major version, the portable "compute_90" all later ones."""
    return [int(a.removeprefix(prefix).rstrip("abcdef")) for a in architectures if a.startswith(prefix)]


def _gpu(line: str) -> Device | None:
    fields = [field.strip() for field in line.split(",")]
    if len(fields) != 6:
        return None
    index, name, total, free, driver, capability = fields
    known = capability if capability.replace(".", "").isdigit() else ""
    return Device(f"cuda:{index}", name, _gb(total), _gb(free), driver, known)


def _gb(mib: str) -> float | None:
    """GB of a number in MiB; None for "[N/A]"."""
    return float(mib) * 1024**2 / 1e9 if mib.replace(".", "").isdigit() else None


def _cpu() -> Device:
    return Device("cpu", f"CPU, {os.cpu_count() or 1} cores", *_memory_gb())


def _memory_gb() -> tuple[float | None, float | None]:
    """Total and free memory; psutil, where it is installed, knows it on Windows and macOS too."""
    try:
        import psutil
    except ImportError:
        if not hasattr(os, "sysconf") or "SC_AVPHYS_PAGES" not in os.sysconf_names:
            return None, None
        page = os.sysconf("SC_PAGE_SIZE") / 1e9
        return page * os.sysconf("SC_PHYS_PAGES"), page * os.sysconf("SC_AVPHYS_PAGES")
    memory = psutil.virtual_memory()
    return memory.total / 1e9, memory.available / 1e9
