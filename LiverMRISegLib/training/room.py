"""Memory and disk: what a stage needs against what there is."""

from __future__ import annotations

import itertools
import shutil
import sys
from pathlib import Path

from LiverMRISegLib.errors import UsageError
from LiverMRISegLib.inference.engines.devices import list_devices
from LiverMRISegLib.io.stored import megabytes

_ALMOST_ALL = 0.9
# Of so many GB and more a tenth says enough.
_IN_GIGABYTES = 1.0


def peak_memory_gb() -> float:
    """The most that this process has used so far; 0 where the system does not say."""
    if sys.platform == "win32":  # says only what is used now
        return 0.0
    import resource

    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e9


def total_memory_gb() -> float:
    """Of the computer; 0 where it is not known."""
    return list_devices(())[-1].total_gb or 0.0


def size_in_words(gigabytes: float) -> str:
    """A size of any order, for a message: 12.3 GB, 45 MB, 0.53 MB."""
    return f"{gigabytes:.1f} GB" if gigabytes >= _IN_GIGABYTES else megabytes(round(gigabytes * 1e9))


def check_room(what: str, memory: float, total: float, disk: float, folder: Path, remedy: str) -> None:
    """UsageError if `what` takes almost all of the `total` memory, or more disk than is free at `folder`; all in GB.

    A total of 0 is not known, and is not checked.
    """
    if total and memory > _ALMOST_ALL * total:
        raise UsageError(f"{what} takes {size_in_words(memory)} of memory, of {size_in_words(total)}; {remedy}")
    free = shutil.disk_usage(_existing(folder)).free / 1e9
    if disk > free:
        raise UsageError(f"{folder}: {what} takes {size_in_words(disk)} of disk, {size_in_words(free)} are free")


def _existing(folder: Path) -> Path:
    """The folder, or the nearest above it that is there."""
    return next(path for path in itertools.chain([folder], folder.absolute().parents) if path.exists())
