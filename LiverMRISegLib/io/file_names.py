"""What files are called by their formats; imports nothing, so that the command line can ask before any reader."""

from __future__ import annotations

import errno
import os
from pathlib import Path

# What is written, by the ending without its dot.
IMAGE_FORMATS = ("nii.gz", "nii", "nrrd", "mha")
SEGMENTATION_FORMATS = (*IMAGE_FORMATS, "seg.nrrd", "dcm")
# What is read: volumes, and label maps.
VOLUME_ENDINGS = (".nii.gz", ".nii", ".nrrd", ".nhdr", ".mha", ".mhd", ".hdr")
LABELMAP_ENDINGS = (".seg.nrrd", *VOLUME_ENDINGS)
# Longest first, so that "a.seg.nrrd" loses all of its ending.
_ENDINGS = (*LABELMAP_ENDINGS, ".img", ".gz")


def name_of(path: Path) -> str:
    """The NAME of NAME.nii.gz (or another format's ending, in any case); a folder's own name."""
    if path.is_dir():
        return resolved(path).name
    for ending in _ENDINGS:
        if path.name.lower().endswith(ending) and len(path.name) > len(ending):
            return path.name[: -len(ending)]
    return path.name


def resolved(path: Path) -> Path:
    """The absolute path without links, as `Path.resolve`; links that lead in a circle are not an error, but stay."""
    return Path(os.path.realpath(path))


def why_impossible(path: Path) -> str:
    """Why no file can have this path, in words; "" if one can."""
    try:
        path.stat()
    except OSError as error:
        return "its name is too long" if error.errno == errno.ENAMETOOLONG else ""
    except ValueError:  # a character of value 0, or half of a pair
        return "its name has characters that no file can have"
    return ""
