"""Formatting of the panel's messages."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from LiverMRISegScene import jobs
from LiverMRISegScene.bases import tr as _

_END = r"[^\s:;,'\"()]*"
# A path: a slash or a drive, up to a blank or punctuation. A file: a name with the ending of an image file.
_PATH = re.compile(rf"(?:(?<![\w/\\])|\b[A-Za-z]:)[\\/]{_END}")
_FILE = re.compile(rf"[^\s:;,'\"()/\\]+\.(?:nii|nrrd|nhdr|mha|mhd|hdr|img|raw|dcm|zip|csv)\b{_END}")


def time_left(seconds: float | None) -> str:
    """A rough time in words; empty if it is not known."""
    if seconds is None:
        return ""
    if seconds < 60:
        return _("about {n} s left").format(n=max(1, round(seconds)))
    return _("about {n} min left").format(n=round(seconds / 60))


def hidden(text: str, paths: Iterable[Path] = (), names: Iterable[str] = ()) -> str:
    """A text without these names of nodes and without files and folders, since each may contain a patient's name."""
    for folder in sorted({path.parent for path in paths}, key=lambda p: -len(str(p))):
        text = re.sub(rf"{re.escape(str(folder))}(?:[\\/]{_END})?", lambda _found: _("the file"), text)
    for name in sorted(filter(None, set(names)), key=len, reverse=True):
        text = re.sub(rf"(?<![\w.]){re.escape(name)}(?![^\W_])", lambda _found: _("a node"), text)
    return _FILE.sub(_("a file"), _PATH.sub(_("a path"), text))


def breakable(text: str) -> str:
    """A text whose long names may be broken over lines: a label is never narrower than its longest word."""
    return re.sub(r"([_/\\])(?=\w)", "\\1\u200b", text)


def hints() -> dict[str, str]:
    """What the user has to choose before a run, by what is missing."""
    return {
        "volume": _("Choose a volume."),
        "model": _("Choose a model."),
        "organ": _("Check at least one organ."),
    }


def state_text(state: str) -> str:
    """A job's state in the user's language."""
    return {
        jobs.WAITING: _("waiting"),
        jobs.RUNNING: _("running"),
        jobs.DONE: _("done"),
        jobs.FAILED: _("failed"),
        jobs.CANCELLED: _("cancelled"),
        jobs.EARLIER: _("done before"),
    }[state]
