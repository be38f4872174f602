"""Tiny volumes of two domains for translators, and a loop of a second."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from LiverMRISegLib.anatomy import IGNORE
from LiverMRISegLib.data.datalist import Datalist, Scan, read_datalist, write_datalist
from LiverMRISegLib.io import read_labelmap, write_volume
from LiverMRISegLib.training.loop import LoopConfig
from LiverMRISegLib.volume import Geometry, Volume

GRID = Geometry((30, 26, 8), (4.0, 4.0, 6.0), (-50.0, -40.0, 12.0))
SLICE_LOOP = LoopConfig(
    steps=6, learning_rate=1e-3, warmup=0, log_every=2, validate_every=3, checkpoint_every=3, precision="32-true",
    accelerator="cpu", gradient_clip=0.0, schedule="constant then linear",
)  # fmt: skip


def write_domain(folder: Path, name: str, sequence: str, contrast: tuple[float, float, float]) -> Path:
    """Three volumes of one contrast of air, body and liver."""
    folder.mkdir()
    scans = []
    for number in range(3):
        random = np.random.default_rng([number, len(name)])
        labels = np.zeros(GRID.shape, np.uint8)
        labels[1:-1, 4:22, 4:26] = 1
        labels[2:6, 8 + number : 16, 6 : 14 + number] = 2
        image = np.array(contrast)[labels] + random.normal(0, 5, GRID.shape)
        paths = folder / f"{name}{number}.nii.gz", folder / f"{name}{number}_label.nii.gz"
        write_volume(Volume(image.astype(np.float32), GRID), paths[0])
        write_volume(Volume((labels == 2).astype(np.uint8), GRID), paths[1])
        scans.append(Scan(f"{name}{number}", sequence, paths[0], paths[1]))
    write_datalist(Datalist(name, "none", {1: "liver"}, scans), folder / "datalist.json")
    return folder / "datalist.json"


def with_open_voxels(datalist: Path, folder: Path) -> Path:
    """The datalist, whose first scan has some voxels that nobody labelled."""
    listed = read_datalist(datalist)
    first = read_labelmap(listed.scans[0].labels)
    first.array[2, 4:8, 4:8] = IGNORE
    write_volume(first, folder / "open.nii.gz")
    scans = [replace(listed.scans[0], labels=folder / "open.nii.gz"), *listed.scans[1:]]
    write_datalist(replace(listed, scans=scans, ignore=IGNORE), folder / "ct.json")
    return folder / "ct.json"
