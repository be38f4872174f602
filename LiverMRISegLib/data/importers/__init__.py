"""Datalists of public data sets, from the layout in which each is handed out, and of a user's own data.

A layout that differs is an error.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from LiverMRISegLib.data.datalist import Datalist
from LiverMRISegLib.data.importers.amos import import_amos
from LiverMRISegLib.data.importers.atlas import import_atlas
from LiverMRISegLib.data.importers.bids import import_bids
from LiverMRISegLib.data.importers.chaos import import_chaos
from LiverMRISegLib.data.importers.decathlon import import_decathlon
from LiverMRISegLib.data.importers.flare24 import import_flare24, import_flare24_pseudo_ct
from LiverMRISegLib.data.importers.liqa import import_liqa
from LiverMRISegLib.data.importers.lld_mmri import import_lld_mmri
from LiverMRISegLib.data.importers.nnunet import import_nnunet
from LiverMRISegLib.data.importers.own_data import Imported, OwnDataOptions
from LiverMRISegLib.data.importers.plain_folder import import_folder

# Source folder, and a folder for label maps that must be made (CHAOS).
IMPORTERS: dict[str, Callable[[Path, Path], Datalist]] = {
    "atlas": import_atlas,
    "liqa": import_liqa,
    "amos": import_amos,
    "chaos": import_chaos,
    "flare24": import_flare24,
    "flare24-pseudo-ct": import_flare24_pseudo_ct,
    "lld-mmri": import_lld_mmri,
}
# Source, a folder for label maps that must be made (joined or renumbered), and what the user says.
OWN_DATA_IMPORTERS: dict[str, Callable[[Path, Path, OwnDataOptions], Imported]] = {
    "nnunet": import_nnunet,
    "folder": import_folder,
    "bids": import_bids,
    "decathlon": import_decathlon,
}

__all__ = [
    "IMPORTERS",
    "OWN_DATA_IMPORTERS",
    "Imported",
    "OwnDataOptions",
    "import_amos",
    "import_atlas",
    "import_bids",
    "import_chaos",
    "import_decathlon",
    "import_flare24",
    "import_flare24_pseudo_ct",
    "import_folder",
    "import_liqa",
    "import_lld_mmri",
    "import_nnunet",
]
