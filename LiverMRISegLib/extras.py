"""Optional libraries, checked for before the work that needs them."""

from __future__ import annotations

from importlib.util import find_spec

from LiverMRISegLib.errors import UsageError


def require(what: str, extra: str, *modules: str) -> None:
    """Check that `modules`, which `what` needs, are installed; the package's `extra` installs them.

    Raises:
        UsageError: some are missing; the message says how to install them.
    """
    missing = [name for name in modules if find_spec(name) is None]
    if missing:
        raise UsageError(f"{what} needs {' and '.join(missing)}: pip install 'livermriseg[{extra}]'")
