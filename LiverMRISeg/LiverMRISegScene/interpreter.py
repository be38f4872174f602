"""Which Python runs the worker: Slicer's own if there is one, else the current one."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path


def worker_python() -> str:
    """`PythonSlicer` of the application or on PATH; in a plain Python, this interpreter."""
    import slicer

    application = getattr(slicer, "app", None)
    home = getattr(application, "slicerHome", "") if application is not None else ""
    if home:
        for name in ("PythonSlicer", "PythonSlicer.exe"):
            if (Path(home) / "bin" / name).is_file():
                return str(Path(home) / "bin" / name)
    return shutil.which("PythonSlicer") or sys.executable
