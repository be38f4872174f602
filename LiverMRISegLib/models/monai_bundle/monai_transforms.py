"""What MONAI's own transforms cannot do of how this library prepares images and cleans masks.

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
        ValueError: it has none, or two whose masks would have one name.
    """
    files = sorted(path for path in Path(folder).glob("*") if path.name.endswith((".nii", ".nii.gz")))
    if not files:
        raise ValueError(f"{folder}: holds no .nii or .nii.gz; check --dataset_dir")
    stems = [path.name.removesuffix(".gz") for path in files]
    double = sorted({stem for stem in stems if stems.count(stem) > 1})
    if double:
        raise ValueError(f"{folder}: {double[0]} is there twice, with and without .gz; take one away")
    return [str(path) for path in files]


class ResizeToSpacingd(MapTransform, InvertibleTransform):
    """The same extent in a whole number of voxels of about `spacing` mm, in the order of the image's axes."""

    def __init__(self, keys: KeysCollection, spacing: Sequence[float], smooth: bool) -> None:
        super().__init__(keys)
        self.spacing = spacing
        # The size is set for each image; the same object is needed for the way back.
        self.resize = Resize([1, 1, 1], mode="trilinear", align_corners=False, anti_aliasing=smooth)

    def __call__(self, data: Mapping[Hashable, Any]) -> Data:
        """Resize every image, a MetaTensor [C, ...] that knows its spacing."""
        result = dict(data)
        for key in self.key_iterator(result):
            image: MetaTensor = result[key]
            extents = [n * float(s) for n, s in zip(image.shape[1:], image.pixdim, strict=True)]
            self.resize.spatial_size = [max(1, round(e / s)) for e, s in zip(extents, self.spacing, strict=True)]
            result[key] = self.resize(image)
        return result

    def inverse(self, data: Mapping[Hashable, Any]) -> Data:
        """Back to the size it had."""
        result = dict(data)
        for key in self.key_iterator(result):
            how = result[key].applied_operations[-1]["extra_info"]
            if (
                how["mode"] == "nearest"
            ):  # which takes voxels half a one too early; Invertd writes it for nearest_interp
                how["mode"] = "nearest-exact"
            result[key] = self.resize.inverse(result[key])
        return result


class ClipBrightd(MapTransform):
    """Cut what is brighter than the 99.5 percentile of all that is brighter than air."""

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
    """Pad to at least `size` voxels with the darkest value of each image."""

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
        """Take the padding away."""
        result = dict(data)
        for key in self.key_iterator(result):
            result[key] = self.pad.inverse(result[key])
        return result


class FillBackgroundHolesd(MapTransform):
    """Give holes in `labels` their label where nothing else is; MONAI's FillHoles also takes enclosed organs away."""

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
