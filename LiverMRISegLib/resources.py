"""The folder of the files shipped with the library, in a checkout and in an installed wheel."""

from __future__ import annotations

from pathlib import Path

from LiverMRISegLib.errors import ModelError

# Used wherever no model is named.
DEFAULT_MODEL = "liver-any-sequence"


def resource_folder() -> Path:
    """The folder Resources; ModelError if it is missing."""
    package = Path(__file__).resolve().parent
    for folder in (package / "Resources", package.parent / "Resources"):
        if folder.is_dir():
            return folder
    raise ModelError(f"{package / 'Resources'}: missing, the installation is incomplete; install livermriseg again")
