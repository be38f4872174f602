"""Progress and cancelling, passed down through everything that takes long."""

from __future__ import annotations

import threading
from collections.abc import Callable

from LiverMRISegLib.errors import CancelledError

# Called with what happens now, and the share of the whole that is done, 0 to 1.
Progress = Callable[[str, float], None]


def silent(_text: str, _fraction: float) -> None:
    """The progress of a caller who does not ask for any."""


class CancelToken:
    """Set from any thread; the work notices it between two tiles."""

    def __init__(self) -> None:
        self._event = threading.Event()

    def cancel(self) -> None:
        """Ask the work to stop."""
        self._event.set()

    def check(self) -> None:
        """Raise CancelledError if `cancel` was called."""
        if self._event.is_set():
            raise CancelledError()
