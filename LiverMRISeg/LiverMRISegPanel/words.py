"""Formatting of what the panel says."""

from __future__ import annotations

from LiverMRISegScene.bases import tr as _


def time_left(seconds: float | None) -> str:
    """A rough time in words, empty while it is not known."""
    if seconds is None:
        return ""
    if seconds < 60:
        return _("about {n} s left").format(n=max(1, round(seconds)))
    return _("about {n} min left").format(n=round(seconds / 60))
