"""The steps of this library's preparation and postprocessing that MONAI has no transform for.

A copy of this file goes into every bundle (`export_monai_bundle`), so it imports nothing of this library.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from monai.config import KeysCollection
from monai.data import MetaTensor
from monai.transforms import InvertibleTransform, MapTransform, Resize, SpatialPad
from scipy.ndimage import binary_fill_holes

Data = dict[Hashable, Any]
# As in `preparation.normalisation`.
AIR_SHARE = 0.05


def nifti_files(folder: str) -> list[str]:
    """The images of a folder.

    Raises:
        ValueError: there are none, or two of them would have masks of the same name.
    """
    files = sorted(path for path in Path(folder).glob("*") if path.name.endswith((".nii", ".nii.gz")))
    if not files:
        raise ValueError(f"{folder}: contains no .nii or .nii.gz file; check --dataset_dir")
    stems = [path.name.removesuffix(".gz") for path in files]
    double = sorted({stem for stem in stems if stems.count(stem) > 1})
    if double:
        raise ValueError(f"{folder}: {double[0]} exists with and without .gz; remove one of them")
    return [str(path) for path in files]


class ResizeToSpacingd(MapTransform, InvertibleTransform):
    """Resample to about `spacing` mm, keeping the extent, in a whole number of voxels; axes in the image's order."""

    def __init__(self, keys: KeysCollection, spacing: Sequence[float], smooth: bool) -> None:
        super().__init__(keys)
        self.spacing = spacing
        # The size is set for each image; `inverse` needs the same object.
        self.resize = Resize([1, 1, 1], mode="trilinear", align_corners=False, anti_aliasing=smooth)

    def __call__(self, data: Mapping[Hashable, Any]) -> Data:
        """Resize every image, a MetaTensor [C, ...] with its spacing."""
        result = dict(data)
        for key in self.key_iterator(result):
            image: MetaTensor = result[key]
            extents = [n * float(s) for n, s in zip(image.shape[1:], image.pixdim, strict=True)]
            self.resize.spatial_size = [max(1, round(e / s)) for e, s in zip(extents, self.spacing, strict=True)]
            result[key] = self.resize(image)
        return result

    def inverse(self, data: Mapping[Hashable, Any]) -> Data:
        """Return to the original size."""
        result = dict(data)
        for key in self.key_iterator(result):
            how = result[key].applied_operations[-1]["extra_info"]
            if how["mode"] == "nearest":  # set by Invertd's nearest_interp; it is half a voxel off
                how["mode"] = "nearest-exact"
            result[key] = self.resize.inverse(result[key])
        return result


class ClipBrightd(MapTransform):
    """Clip at the 99.5 percentile of the voxels that are brighter than air."""

    def __call__(self, data: Mapping[Hashable, Any]) -> Data:
        """Clip every image."""
        result = dict(data)
        for key in self.key_iterator(result):
            image: torch.Tensor = result[key]
            values = np.asarray(image)
            darkest = values.min()
            tissue = values[values > darkest + AIR_SHARE * (np.percentile(values, 99) - darkest)]
            if tissue.size:
                result[key] = image.clamp(max=float(np.percentile(tissue, 99.5)))
        return result


class PadWithAird(MapTransform, InvertibleTransform):
    """Pad to at least `size` voxels with the lowest value of each image."""

    def __init__(self, keys: KeysCollection, size: Sequence[int]) -> None:
        super().__init__(keys)
        self.pad = SpatialPad(size)

    def __call__(self, data: Mapping[Hashable, Any]) -> Data:
        """Pad every image [C, ...]."""
        result = dict(data)
        for key in self.key_iterator(result):
            result[key] = self.pad(result[key], value=float(result[key].min()))
        return result

    def inverse(self, data: Mapping[Hashable, Any]) -> Data:
        """Remove the padding."""
        result = dict(data)
        for key in self.key_iterator(result):
            result[key] = self.pad.inverse(result[key])
        return result


class FillBackgroundHolesd(MapTransform):
    """Fill holes in `labels` where they are background; MONAI's FillHoles would also remove enclosed organs."""

    def __init__(self, keys: KeysCollection, labels: Sequence[int]) -> None:
        super().__init__(keys)
        self.labels = labels

    def __call__(self, data: Mapping[Hashable, Any]) -> Data:
        """Fill every label map [1, ...]."""
        result = dict(data)
        for key in self.key_iterator(result):
            labels: torch.Tensor = result[key].clone()
            for value in self.labels:
                filled = binary_fill_holes(np.asarray(labels[0] == value))
                labels[0][torch.from_numpy(filled).to(labels.device) & (labels[0] == 0)] = value
            result[key] = labels
        return result
