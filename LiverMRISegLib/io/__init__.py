"""Reading and writing volumes and segmentations; every write is atomic."""

from LiverMRISegLib.io.channels import read_channels
from LiverMRISegLib.io.dicom.series import SeriesInfo, is_dicom_folder, list_series
from LiverMRISegLib.io.read import find_volumes, read_labelmap, read_volume
from LiverMRISegLib.io.write import SEGMENTATION_FORMATS, check_segmentation_target, write_segmentation, write_volume

__all__ = [
    "SEGMENTATION_FORMATS",
    "SeriesInfo",
    "check_segmentation_target",
    "find_volumes",
    "is_dicom_folder",
    "list_series",
    "read_channels",
    "read_labelmap",
    "read_volume",
    "write_segmentation",
    "write_volume",
]
