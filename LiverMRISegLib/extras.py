"""Optional libraries, checked for before the work that needs them."""

from __future__ import annotations

import os
from importlib.util import find_spec

from LiverMRISegLib.errors import UsageError


def require(what: str, extra: str, *modules: str) -> None:
    """Check that `modules`, which `what` needs, are installed; the package's `extra` installs them.

    Raises:
        UsageError: some are missing; the message says how to install them.
    """
    missing = [name for name in modules if find_spec(name) is None]
    if missing:
        first, last = ", ".join(missing[:-1]), missing[-1]
        raise UsageError(f"{what} needs {f'{first} and {last}' if first else last}: {how_to_install(extra, *missing)}")


def how_to_install(extra: str, *packages: str) -> str:
    """How to install `packages`, which the `extra` contains, in words. Inside Slicer pip is not run from a shell."""
    if not os.environ.get("SLICER_HOME"):  # set by Slicer for itself and its child processes
        return f"pip install 'livermriseg[{extra}]'"
    if "torch" in packages:
        return "click Install PyTorch in the module LiverMRISeg"
    if "openvino" in packages:
        return "click Install requirements in the module LiverMRISeg"
    return f"in Slicer's Python console: slicer.util.pip_install('{' '.join(packages)}')"
