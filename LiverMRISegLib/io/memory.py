"""Whether what a header announces fits this computer, before it is allocated."""

from __future__ import annotations

import os
from pathlib import Path

from LiverMRISegLib.errors import InputError
from LiverMRISegLib.io.stored import megabytes


def check_fits_memory(path: Path, needed: int) -> None:
    """InputError if the volume of `path` takes more than the computer's memory: `needed` bytes."""
    try:
        memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):  # Windows does not tell
        return
    if 0 < memory < needed:
        raise InputError(
            f"{path}: its header announces {megabytes(needed)}, more than this computer's memory "
            f"({megabytes(memory)}); crop or resample it first"
        )
