"""A tiny start, and volumes whose masks somebody has corrected, in the ways in which people save them."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from helpers.packages import random_weights, tiny_spec
from helpers.tiny_data import write_scan
from LiverMRISegLib.anatomy import LIVER, SPLEEN, LabelSet
from LiverMRISegLib.io import read_labelmap, write_segmentation, write_volume
from LiverMRISegLib.models.package.model_package import save_package
from LiverMRISegLib.volume import Geometry, Volume


def write_start(folder: Path, **changes) -> Path:
    """A package of four organs with random weights: its masks mean nothing, everything else is real."""
    spec = tiny_spec("start")
    return save_package(spec, random_weights(spec), folder / "start")


def write_cases(folder: Path, count: int = 4) -> Path:
    """Volumes p0, p1, ... of T2 with masks of liver and spleen, of which every second is named as `segment` names it.

    The values are those of the tiny package: 1 liver, 4 spleen.
    """
    folder.mkdir(parents=True)
    for number in range(count):
        _, mask = write_scan(folder, f"p{number}", "T2WI", number)
        labels = read_labelmap(mask)
        mask.unlink()
        array = np.array([0, 1, 4], np.uint8)[labels.array]
        ending = "seg" if number % 2 else "label"
        write_volume(Volume(array, labels.geometry), folder / f"p{number}_T2WI_{ending}.nii.gz")
    return folder


def write_bare(folder: Path, count: int) -> Path:
    """Volumes u0, u1, ... of T2 without masks."""
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(count):
        write_scan(folder, f"u{number}", "T2WI", 50 + number)[1].unlink()
    return folder


def write_segments(path: Path, image: Path, box: tuple[int, ...], values: tuple[int, int] = (7, 3)) -> None:
    """A .seg.nrrd of liver and spleen as Slicer writes it: the box [from z, to z, from y, to y, from x, to x] alone."""
    from LiverMRISegLib.io import read_volume

    grid: Geometry = read_volume(image).geometry
    part = grid.cropped((box[4], box[2], box[0]), (box[5] - box[4], box[3] - box[2], box[1] - box[0]))
    array = np.zeros(part.shape, np.uint8)
    array[:, :, :4], array[:, :, 5:] = values
    write_segmentation(path, array, LabelSet("made", dict(zip(values, (LIVER, SPLEEN), strict=True))), part)
    text = path.read_bytes()
    mark = b"Segmentation_ConversionParameters:=\n"
    head, _, voxels = text.partition(b"\n\n")
    path.write_bytes(head + b"\n" + mark + b"\n" + voxels)


def rename(path: Path, *, coded: bool = True, **names: str) -> None:
    """Call segments of a .seg.nrrd otherwise, all at once, as people do in Slicer; if not `coded`, without codes."""
    head, _, rest = path.read_bytes().partition(b"\n\n")
    text = re.sub(r"(?<=Name:=)\w+", lambda found: names.get(found[0], found[0]), head.decode())
    path.write_bytes((text if coded else re.sub(r"TerminologyEntry:[^|]*\|", "", text)).encode() + b"\n\n" + rest)
