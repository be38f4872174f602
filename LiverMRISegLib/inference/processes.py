"""Child processes: how they are started without a window, and how they are ended with all they started."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from pathlib import Path

# On Windows a console program would open a window of its own.
NO_WINDOW: int = getattr(subprocess, "CREATE_NO_WINDOW", 0)


def library_path() -> str:
    """PYTHONPATH for a child: this library first, then what the parent has."""
    inherited = [os.environ["PYTHONPATH"]] if os.environ.get("PYTHONPATH") else []
    return os.pathsep.join([str(Path(__file__).resolve().parents[2]), *inherited])


def end_tree(pid: int) -> None:
    """Kill a process and all it started: the group that it leads, or the process alone if it leads none.

    Nothing happens if it is gone. End a worker before the launcher that started it: the launcher leads no group.
    """
    if os.name == "nt":
        command = ["taskkill", "/F", "/T", "/PID", str(pid)]
        subprocess.run(command, capture_output=True, check=False, creationflags=NO_WINDOW)
        return
    with contextlib.suppress(ProcessLookupError):
        try:
            os.killpg(pid, signal.SIGKILL)
        except (ProcessLookupError, PermissionError):  # macOS refuses the group of a process that has just ended
            os.kill(pid, signal.SIGKILL)
