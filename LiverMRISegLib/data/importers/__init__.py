"""Datalists of public data sets, from the layout in which each is handed out; a layout that differs is an error."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from LiverMRISegLib.data.datalist import Datalist
from LiverMRISegLib.data.importers.amos import import_amos
from LiverMRISegLib.data.importers.atlas import import_atlas
from LiverMRISegLib.data.importers.chaos import import_chaos
from LiverMRISegLib.data.importers.liqa import import_liqa

# Source folder, and a folder for label maps that must be made (CHAOS).
IMPORTERS: dict[str, Callable[[Path, Path], Datalist]] = {
    "atlas": import_atlas,
    "liqa": import_liqa,
    "amos": import_amos,
    "chaos": import_chaos,
}

__all__ = ["IMPORTERS", "import_amos", "import_atlas", "import_chaos", "import_liqa"]
