"""What the application would only print, kept in lists so that a test can find them empty."""

from __future__ import annotations

import inspect
import traceback
from collections.abc import Callable
from typing import Any


class Problems:
    """`unknown_signals`: connects to signatures that no such object has. `slot_errors`: tracebacks of slots."""

    def __init__(self) -> None:
        self.unknown_signals: list[str] = []
        self.slot_errors: list[str] = []

    def clear(self) -> None:
        """Forget all."""
        self.unknown_signals.clear()
        self.slot_errors.clear()


PROBLEMS = Problems()


def guarded(slot: Callable[..., Any], given: int) -> Callable[..., None]:
    """`slot` as PythonQt calls it: with as many of the `given` arguments as it takes; errors kept, not raised."""
    taken = min(given, _accepted(slot))

    def call(*arguments: Any) -> None:
        try:
            slot(*arguments[:taken])
        except Exception:
            PROBLEMS.slot_errors.append(traceback.format_exc())

    # PySide looks at how many arguments a callable names, and gives it no more.
    exact: list[Callable[..., None]] = [
        lambda: call(),
        lambda a: call(a),
        lambda a, b: call(a, b),
        lambda a, b, c: call(a, b, c),
    ]
    return exact[given]


def _accepted(slot: Callable[..., Any]) -> int:
    """How many positional arguments a callable takes."""
    try:
        parameters = inspect.signature(slot).parameters.values()
    except (TypeError, ValueError):  # a built-in that tells nothing
        return 0
    if any(p.kind is p.VAR_POSITIONAL for p in parameters):
        return 99
    return sum(p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD) for p in parameters)
