"""What killed processes left of their atomic writes: temporary files and folders, and folders that were put aside."""

from __future__ import annotations

from pathlib import Path

from LiverMRISegLib.io.atomic_folder import recover_folders
from LiverMRISegLib.io.temporary import lock, remove, temporaries, unlock


def remove_leftovers(parent: Path) -> None:
    """Remove the temporary files and folders that a kill left in `parent`, where no process may be writing now."""
    recover_folders(parent)
    for path in temporaries(parent):
        remove(path)


def remove_stale_files(parent: Path) -> None:
    """Remove the temporary files and folders that killed processes left in `parent`, where others may be writing now.

    Whoever writes one holds the system's lock on it, which ends with the process: a file of our form that can be locked
    has no writer. Where the system has no such locks (Windows, some network folders), nothing is removed.
    """
    for path in temporaries(parent):
        if path.is_symlink():
            continue
        held = lock(path)
        if held is not None:
            remove(path)
        unlock(held)
