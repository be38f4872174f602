"""What the panel remembers between sessions, in the application's settings."""

from __future__ import annotations

from typing import Any

import slicer

_PREFIX = "LiverMRISeg/"


def remembered(key: str, default: str = "") -> str:
    """A remembered text."""
    value: Any = slicer.app.settings().value(_PREFIX + key, default)
    return default if value is None else str(value)


def remember(key: str, value: str) -> None:
    """Remember a text."""
    slicer.app.settings().setValue(_PREFIX + key, value)
