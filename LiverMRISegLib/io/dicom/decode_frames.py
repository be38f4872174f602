"""Run as a process: the frames `0.dcm`, `1.dcm`, ... of a folder, decoded by GDCM, as `0.npy`, ... beside them.

Arguments: the folder, how many frames, the most bytes of memory. It imports nothing of the library, so that it starts
quickly and anywhere.
"""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path

import numpy as np
import SimpleITK as sitk


def main(folder: str, count: str, memory: str) -> None:
    """Ends with an error at the first frame that cannot be decoded."""
    with contextlib.suppress(ImportError, ValueError, OSError):  # Windows has none; the limit of time remains
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (int(memory), int(memory)))
    sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(1)
    for number in range(int(count)):
        path = Path(folder) / f"{number}.dcm"
        np.save(path.with_suffix(".npy"), np.squeeze(sitk.GetArrayFromImage(sitk.ReadImage(str(path)))))


if __name__ == "__main__":
    main(*sys.argv[1:])
