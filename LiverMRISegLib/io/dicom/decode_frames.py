"""Run as a process: the frames `0.dcm`, `1.dcm`, ... of a folder, decoded by GDCM, as `pixels.npy` beside them.

Arguments: the folder, how many frames, the most bytes of memory, rows, columns, the type of the pixels. It imports
nothing of the library, so that it starts quickly and anywhere.
"""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path

import numpy as np
import SimpleITK as sitk


def main(folder: str, count: str, memory: str, rows: str, columns: str, kind: str) -> int:
    """0, or 1 if the frames are not of that size and type."""
    with contextlib.suppress(ImportError, ValueError, OSError):  # Windows has none; the limit of time remains
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (int(memory), int(memory)))
    pixels = np.empty((int(count), int(rows), int(columns)), np.dtype(kind))
    sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(1)
    for number in range(int(count)):
        frame = np.squeeze(sitk.GetArrayFromImage(sitk.ReadImage(str(Path(folder) / f"{number}.dcm"))))
        if frame.shape != pixels.shape[1:] or frame.dtype != pixels.dtype:
            return 1
        pixels[number] = frame
    np.save(Path(folder) / "pixels.npy", pixels)
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
