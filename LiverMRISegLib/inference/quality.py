"""Flags in plain words for what a person should look at before trusting a result."""

from __future__ import annotations

import numpy as np

from LiverMRISegLib.anatomy import LabelSet
from LiverMRISegLib.inference.flag import EDGE, INPUT, NOT_FOUND, PARTS, PLACE, VOLUME, Flag
from LiverMRISegLib.inference.places import unusual_places
from LiverMRISegLib.measurement.label_shapes import bounding_boxes, component_sizes, touches_edge, volumes_ml
from LiverMRISegLib.models.package.specification import ANY_MODALITY, ModelSpec
from LiverMRISegLib.volume import Volume

_NOTABLE_PART = 0.02
_FEW_ML = 10.0
# A patient is larger; the file may give its lengths in another unit than mm.
_NOTABLY_SMALL_MM = 40.0


def flags(volume: Volume, labelmap: np.ndarray, labels: LabelSet, spec: ModelSpec) -> list[Flag]:
    """What is noteworthy about an input and its result, the input first, then the organs in their order."""
    found = input_flags(volume, spec)
    boxes = bounding_boxes(labelmap)
    volumes = volumes_ml(labelmap, labels, volume.geometry.voxel_volume_ml)
    places = unusual_places(labelmap, labels, boxes, volume.geometry)
    for value, organ in labels.items():
        name = organ.name
        if value not in boxes:
            found.append(Flag("was not found", name, NOT_FOUND))
            continue
        mask = labelmap[boxes[value]] == value
        if touches_edge(mask, boxes[value], labelmap.shape):
            found.append(Flag("touches the edge of the volume, its volume may be incomplete", name, EDGE))
        sizes = component_sizes(mask)
        notable = _NOTABLE_PART * sum(sizes)
        parts = sum(size >= notable for size in sizes)
        if parts > 1:
            found.append(Flag(f"consists of {parts} separate parts", name, PARTS))
        if name in places:
            found.append(Flag(f"is at an unusual place: {places[name]} than usual, seen from the liver", name, PLACE))
        found.extend(_implausible(name, volumes[name], spec))
    return found


def input_flags(volume: Volume, spec: ModelSpec) -> list[Flag]:
    """Whether the input looks like another modality than the model's, and whether its sides are known."""
    found = []
    if volume.metadata.get("orientation_unknown"):
        found.append("the file does not say which way its axes point: left and right may be swapped, check the image")
    found.extend(volume.metadata.get("notes", ()))
    extent = max(n * s for n, s in zip(volume.geometry.size, volume.geometry.spacing, strict=True))
    if extent < _NOTABLY_SMALL_MM:
        found.append(f"the field of view is only {extent:.0f} mm: check the voxel spacing")
    modality = str(volume.metadata.get("modality", "")).upper()
    if modality and modality not in (spec.modality, "OT") and spec.modality != ANY_MODALITY:
        found.append(f"the input says it is {modality}, the model was made for {spec.modality}")
    elif spec.modality == "MR" and _looks_like_ct(volume.array):
        found.append("the input is likely not MR: its intensities look like Hounsfield units of a CT")
    return [Flag(text, kind=INPUT) for text in found]


def _looks_like_ct(array: np.ndarray) -> bool:
    """Much of the image near -1000 (air) and much near 0 to 100 (soft tissue): MR magnitudes are not negative."""
    sample = array.reshape(-1)[:: max(1, array.size // 200_000)]
    air = float(np.mean((sample >= -1100) & (sample <= -800)))
    soft = float(np.mean((sample >= -150) & (sample <= 250)))
    return air > 0.05 and soft > 0.1 and float(sample.min()) >= -3100


def _implausible(organ: str, volume: float, spec: ModelSpec) -> list[Flag]:
    bounds = spec.rule_for(organ).plausible_ml
    if bounds is None or bounds[0] <= volume <= bounds[1]:
        return []
    word = "small" if volume < bounds[0] else "large"
    amount = f"{volume:.0f}" if volume >= _FEW_ML else f"{volume:.2g}"  # "0 mL" would say that there is nothing
    text = f"has {amount} mL, unusually {word} (usual: {bounds[0]:.0f} to {bounds[1]:.0f} mL)"
    return [Flag(text, organ, VOLUME)]
