"""What MONAI's own transforms cannot do of how this library prepares images.

A copy of this file goes into every bundle (`export_monai_bundle`), so it imports nothing of this library.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from monai.config import KeysCollection
from monai.data import MetaTensor
from monai.transforms import InvertibleTransform, MapTransform, Resize, SpatialPad

Data = dict[Hashable, Any]


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
            tissue = values[values > darkest + 0.05 * (np.percentile(values, 99) - darkest)]
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
            self.pad.kwargs["value"] = float(result[key].min())
            result[key] = self.pad(result[key])
        return result

    def inverse(self, data: Mapping[Hashable, Any]) -> Data:
        """Take the padding away."""
        result = dict(data)
        for key in self.key_iterator(result):
            result[key] = self.pad.inverse(result[key])
        return result
