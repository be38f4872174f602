"""What the segments of a segmentation measure now, after whatever was done to them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from LiverMRISegLib.anatomy import id_of
from LiverMRISegScene.segmentations import check_label_maps, image_array, image_to_world, segment_ids, segment_image


@dataclass(frozen=True)
class SegmentVolume:
    """`key` is the organ's name for a segment of ours, else the segment's name."""

    segment_id: str
    key: str
    ml: float

    @property
    def organ_id(self) -> str:
        """The segment's ID, which stays when it is renamed; of an organ without a segment, what it would be."""
        return self.segment_id or id_of(self.key)


def segment_volumes(node: Any, under: Any = None) -> list[SegmentVolume]:
    """Every segment of a segmentation node with its volume, in order.

    `under` is the transform node for one that is not in the scene itself: a frame of a sequence.

    Raises:
        InputError: the segmentation's transform is not linear, or it has no label maps.
    """
    check_label_maps(node)
    return [
        SegmentVolume(segment_id, key_of(node, segment_id), _volume_ml(node, segment_id, under))
        for segment_id in segment_ids(node)
    ]


def key_of(node: Any, segment_id: str) -> str:
    """The name of an organ of ours, else that of the segment."""
    name = str(node.GetSegmentation().GetSegment(segment_id).GetName())
    organ = segment_id.replace("_", " ")
    return organ if organ.lower() == name.lower() else name


def _volume_ml(node: Any, segment_id: str, under: Any) -> float:
    image = segment_image(node, segment_id)
    if image is None:
        return 0.0
    voxel = abs(float(np.linalg.det(image_to_world(node, image, under)[:3, :3]))) / 1000
    return int(np.count_nonzero(image_array(image))) * voxel
