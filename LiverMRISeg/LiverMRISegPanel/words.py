"""Formatting of what the panel says."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from LiverMRISegScene.bases import tr as _

# What begins with a slash or a drive and goes on to a blank or a mark: what is left of paths.
_PATH = re.compile(r"(?:\b[A-Za-z]:)?[\\/][^\s:;,'\"()]*[\\/][^\s:;,'\"()]*")


def time_left(seconds: float | None) -> str:
    """A rough time in words, empty while it is not known."""
    if seconds is None:
        return ""
    if seconds < 60:
        return _("about {n} s left").format(n=max(1, round(seconds)))
    return _("about {n} min left").format(n=round(seconds / 60))


def hidden(text: str, paths: Iterable[Path] = (), name: str = "") -> str:
    """A text without a volume's name and without paths, both of which may hold a patient's name."""
    for path in paths:
        for known in (str(path), str(path.parent), path.name):
            text = text.replace(known, _("the file") if known != str(path.parent) else _("the folder"))
    if name:
        text = re.sub(rf"(?<![\w.]){re.escape(name)}(?!\w)", _("the volume"), text)
    return _PATH.sub(_("a path"), text)
