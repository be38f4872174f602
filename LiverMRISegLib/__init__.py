"""LiverMRISeg: segmentation of the liver and other abdominal organs in MRI. For research use only."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from LiverMRISegLib.version import __version__

if TYPE_CHECKING:
    from LiverMRISegLib.inference.segmenter import Segmentation, Segmenter
    from LiverMRISegLib.io import read_volume

__all__ = ["Segmentation", "Segmenter", "__version__", "read_volume"]
_HOMES = {
    "Segmenter": "LiverMRISegLib.inference.segmenter",
    "Segmentation": "LiverMRISegLib.inference.segmenter",
    "read_volume": "LiverMRISegLib.io",
}


def __getattr__(name: str) -> Any:
    """Import the public names on first use, so that `import LiverMRISegLib` costs nothing."""
    if name not in _HOMES:
        raise AttributeError(f"module '{__name__}' has no attribute '{name}'")
    from importlib import import_module

    return getattr(import_module(_HOMES[name]), name)
