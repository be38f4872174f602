"""Which Python runs the worker: Slicer's own where there is one, else the one that runs this."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path


def worker_python() -> str:
    """`PythonSlicer` beside the application or on the path; in a plain Python this interpreter."""
    import slicer

    application = getattr(slicer, "app", None)
    home = getattr(application, "slicerHome", "") if application is not None else ""
    if home:
        for name in ("PythonSlicer", "PythonSlicer.exe"):
            if (Path(home) / "bin" / name).is_file():
                return str(Path(home) / "bin" / name)
    return shutil.which("PythonSlicer") or sys.executable
