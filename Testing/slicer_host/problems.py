"""What the application would only print, or die of, kept in lists so that a test can find them empty."""

from __future__ import annotations

import gc
import inspect
import traceback
import weakref
from collections.abc import Callable
from typing import Any


class Problems:
    """`unknown_signals`: connects to signatures that no such object has. `slot_errors`: tracebacks of slots.

    `dropped_senders`: objects whose last Python reference went in a slot of their own signal. PythonQt deletes such an
    object at once, while its signal is still being sent, and the application crashes; PySide would not.
    """

    def __init__(self) -> None:
        self.unknown_signals: list[str] = []
        self.slot_errors: list[str] = []
        self.dropped_senders: list[str] = []

    def clear(self) -> None:
        """Forget all."""
        self.unknown_signals.clear()
        self.slot_errors.clear()
        self.dropped_senders.clear()


PROBLEMS = Problems()


def guarded(slot: Callable[..., Any], given: int, sender: Any = None, signature: str = "") -> Callable[..., None]:
    """`slot` as PythonQt calls it: with as many of the `given` arguments as it takes; errors kept, not raised.

    Args:
        slot: what is to be called.
        given: how many arguments the signal has.
        sender: an object that only Python may hold; whether it is still held is looked at after each call.
        signature: of the signal, for the note about a sender that was dropped.
    """
    taken = min(given, _accepted(slot))
    seen = weakref.ref(sender) if sender is not None else None

    def call(*arguments: Any) -> None:
        try:
            slot(*arguments[:taken])
        except Exception:
            PROBLEMS.slot_errors.append(traceback.format_exc())
        if seen is not None and not _is_held(seen):
            PROBLEMS.dropped_senders.append(signature)

    # PySide looks at how many arguments a callable names, and gives it no more.
    exact: list[Callable[..., None]] = [
        lambda: call(),
        lambda a: call(a),
        lambda a, b: call(a, b),
        lambda a, b, c: call(a, b, c),
    ]
    return exact[given]


def _is_held(seen: weakref.ref[Any]) -> bool:
    """Whether anything in Python but Qt's own machinery refers to an object."""
    held = seen()
    return held is not None and any(not inspect.isframe(other) for other in gc.get_referrers(held))


def _accepted(slot: Callable[..., Any]) -> int:
    """How many positional arguments a callable takes."""
    try:
        parameters = inspect.signature(slot).parameters.values()
    except (TypeError, ValueError):  # a built-in that tells nothing
        return 0
    if any(p.kind is p.VAR_POSITIONAL for p in parameters):
        return 99
    return sum(p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD) for p in parameters)
