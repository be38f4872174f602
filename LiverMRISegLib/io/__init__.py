"""Reading and writing volumes and segmentations; every write is atomic."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from LiverMRISegLib.io.channels import read_channels
    from LiverMRISegLib.io.dicom.folders import SeriesInfo, is_dicom_folder, list_series
    from LiverMRISegLib.io.read import find_volumes, read_labelmap, read_map, read_volume
    from LiverMRISegLib.io.write import check_segmentation_target, write_segmentation, write_volume

__all__ = [
    "SeriesInfo",
    "check_segmentation_target",
    "find_volumes",
    "is_dicom_folder",
    "list_series",
    "read_channels",
    "read_labelmap",
    "read_map",
    "read_volume",
    "write_segmentation",
    "write_volume",
]
_HOMES = {
    "SeriesInfo": "dicom.folders",
    "check_segmentation_target": "write",
    "find_volumes": "read",
    "is_dicom_folder": "dicom.folders",
    "list_series": "dicom.folders",
    "read_channels": "channels",
    "read_labelmap": "read",
    "read_map": "read",
    "read_volume": "read",
    "write_segmentation": "write",
    "write_volume": "write",
}


def __getattr__(name: str) -> Any:
    """Import the public names on first use: a module of this room may be asked that needs no SimpleITK."""
    if name not in _HOMES:
        raise AttributeError(f"module '{__name__}' has no attribute '{name}'")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
