"""Libraries that not every installation has, asked for before the work that needs them."""

from __future__ import annotations

from importlib.util import find_spec

from LiverMRISegLib.errors import UsageError


def require(what: str, extra: str, *modules: str) -> None:
    """Ask whether `modules` are installed, which `what` needs and the package's `extra` brings.

    Raises:
        UsageError: some are not; it tells how to install them.
    """
    missing = [name for name in modules if find_spec(name) is None]
    if missing:
        raise UsageError(f"{what} needs {' and '.join(missing)}: pip install 'livermriseg[{extra}]'")
