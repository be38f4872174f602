"""What measurements of known organs come to: measurement.py [--data FOLDER].

Prints the tables of docs/studies/measurement.md: maps on other grids than the mask, masks with errors, and lengths, on
ellipsoids of known content; with --data instead the intensities in the shipped model's masks against those in manual
ones (NAME.nii.gz with NAME_label.nii.gz, CHAOS's values).
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from LiverMRISegLib.anatomy import CHAOS, LIVER, LabelSet
from LiverMRISegLib.inference.segmenter import Segmenter
from LiverMRISegLib.io import read_labelmap, read_volume
from LiverMRISegLib.io.tables import markdown_table
from LiverMRISegLib.measurement.lengths import craniocaudal_mm, longest_mm
from LiverMRISegLib.measurement.maps import QuantityMap
from LiverMRISegLib.measurement.organs import Rules, measure
from LiverMRISegLib.volume import Geometry, Volume, resample

LABELS = LabelSet("liver", {1: LIVER})
FAT_FRACTION, NOISE, BESIDE_FAT, BESIDE_WATER, VESSEL = 8.0, 2.0, 85.0, 3.0, 1.0
HALF_AXES = (60.0, 45.0, 50.0)
_SUB = 3


def grid(spacing: tuple[float, float, float], shift: float = 0.0, half: float = 75.0) -> Geometry:
    """A grid around the world's zero, shifted by so many mm."""
    size = tuple(int(2 * half / s) for s in spacing)
    origin = tuple(-(n - 1) / 2 * s + shift for n, s in zip(size, spacing, strict=True))
    return Geometry(size, spacing, origin)  # type: ignore[arg-type]


def averaged(geometry: Geometry, truth: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    """The mean of `truth` (of points [..., 3]) over each voxel."""
    z, y, x = np.indices(geometry.shape, np.float32)
    offsets = (np.arange(_SUB) + 0.5) / _SUB - 0.5
    total = np.zeros(geometry.shape)
    for a in offsets:
        for b in offsets:
            for c in offsets:
                total += truth(np.stack([x + c, y + b, z + a], -1) * geometry.spacing + geometry.origin)
    return total / _SUB**3


def inside(points: np.ndarray, half_axes: tuple[float, ...] = HALF_AXES) -> np.ndarray:
    """Whether points are in the organ."""
    return ((points / np.array(half_axes)) ** 2).sum(-1) < 1


def fat(points: np.ndarray) -> np.ndarray:
    """The true fat fraction: texture and vessels in the organ, fat in front of it, muscle behind."""
    texture = FAT_FRACTION + 1.5 * np.sin(points[..., 0] / 9) * np.sin(points[..., 1] / 9)
    vessels = np.hypot((points[..., 0] + 12) % 24 - 12, (points[..., 1] + 12) % 24 - 12) < 2.5
    beside = np.where(points[..., 1] < 0, BESIDE_FAT, BESIDE_WATER)
    return np.where(inside(points), np.where(vessels, VESSEL, texture), beside)


def map_on(geometry: Geometry) -> np.ndarray:
    """The measured map: averaged over voxels, with noise."""
    noise = np.random.default_rng(0).normal(0, NOISE, geometry.shape)
    return (averaged(geometry, fat) + noise).astype(np.float32)


def mask_on(geometry: Geometry) -> np.ndarray:
    """The voxels that are mostly in the organ."""
    return averaged(geometry, lambda points: inside(points).astype(float)) > 0.5


def resampling_rows() -> Iterator[list[str]]:
    """A row for each pair of grids, erosion and way."""
    grids = [((1.5, 1.5, 6.0), (1.5, 1.5, 6.0)), ((1.3, 1.3, 3.0), (3.0, 3.0, 6.0)), ((3.0, 3.0, 6.0), (1.5, 1.5, 3.0))]
    for of_mask, of_map in grids:
        mask_grid, map_grid = grid(of_mask), grid(of_map, shift=0.7)
        labels = Volume(mask_on(mask_grid).astype(np.uint8), mask_grid)
        values = Volume(map_on(map_grid), map_grid)
        moved = resample(values, mask_grid)
        for depth in (0.0, 6.0):
            for way, taken in (("mask to map (ours)", values), ("map to mask, linear", moved)):
                found = measure(labels, LABELS, {"m": QuantityMap(taken)}, Rules(depth)).organs[0].statistics["m"]
                figures = [f"{v:.2f}" for v in (found.mean, found.sd, found.p5, found.median, found.p95)]
                yield [f"{of_mask}", f"{of_map}", f"{depth:g}", way, *figures]


def mask_error_rows() -> Iterator[list[str]]:
    """Bias of mean and median of the fat fraction for masks with errors, by rule."""
    geometry = grid((1.5, 1.5, 3.0))
    values = Volume(map_on(geometry), geometry)
    true = mask_on(geometry)
    for name, mask in errors_of(true):
        row = [name, f"{100 * (mask.sum() / true.sum() - 1):+.1f}"]
        for depth, outliers in ((0.0, None), (0.0, 3.0), (5.0, None), (5.0, 3.0), (10.0, 3.0)):
            organ = measure(
                Volume(mask.astype(np.uint8), geometry), LABELS, {"m": QuantityMap(values)}, Rules(depth, outliers)
            ).organs[0]
            found = organ.statistics["m"]
            row.append(f"{(found.mean or 0) - FAT_FRACTION:+.2f} / {(found.median or 0) - FAT_FRACTION:+.2f}")
        yield row


def errors_of(mask: np.ndarray) -> Iterator[tuple[str, np.ndarray]]:
    """The mask itself, and with errors of outlines."""
    yield "none", mask
    for voxels in (1, 2, 4):
        yield f"shifted by {1.5 * voxels:g} mm towards the fat", np.roll(mask, -voxels, axis=1)
    wider = mask.copy()
    for axis in range(3):
        wider |= np.roll(mask, 1, axis) | np.roll(mask, -1, axis)
    yield "one voxel too wide", wider
    narrower = mask.copy()
    for axis in range(3):
        narrower &= np.roll(mask, 1, axis) & np.roll(mask, -1, axis)
    yield "one voxel too narrow", narrower


def length_rows() -> Iterator[list[str]]:
    """Error of both lengths, mean and SD over 40 ellipsoids of any direction and size, by spacing."""
    for spacing in ((1.0, 1.0, 1.0), (1.5, 1.5, 5.0), (1.25, 1.25, 7.7), (3.0, 3.0, 3.0)):
        random = np.random.default_rng(0)
        errors = np.array([_length_errors(spacing, random) for _ in range(40)])
        cells = [f"{m:+.1f} ({s:.1f})" for m, s in zip(errors.mean(0), errors.std(0), strict=True)]
        yield [f"{spacing}", *cells]


def _length_errors(spacing: tuple[float, float, float], random: np.random.Generator) -> tuple[float, float]:
    axes, _ = np.linalg.qr(random.normal(size=(3, 3)))
    half = np.array([60, 35, 22.0]) * random.uniform(0.8, 1.1)
    geometry = grid(spacing, shift=random.uniform(-2, 2), half=75)
    z, y, x = np.indices(geometry.shape)
    points = np.stack([x, y, z], -1) * geometry.spacing + geometry.origin
    mask = inside(points @ axes, tuple(half))
    true = 2 * float(half[0]), 2 * float(np.linalg.norm(axes[2] * half))
    return longest_mm(mask, geometry) - true[0], craniocaudal_mm(mask, geometry) - true[1]


def real_rows(folder: Path) -> Iterator[list[str]]:
    """Mean absolute difference of volume, mean and median between the model's masks and manual ones, in percent."""
    segmenter = Segmenter.load()
    found: dict[str, list[list[float]]] = {}
    for path in sorted(folder.glob("*_label.nii.gz")):
        volume = read_volume(path.with_name(path.name.replace("_label", "")))
        maps = {"image": QuantityMap(volume)}
        result = segmenter.segment(volume)
        for rules in (Rules(), Rules(5, 3)):
            ours = measure(result.labelmap_volume, result.labels, maps, rules)
            for organ in measure(read_labelmap(path), CHAOS, maps, rules).organs:
                own = ours.of(organ.organ)
                if own is not None and own.volume_ml and organ.volume_ml:
                    a, b = own.statistics["image"], organ.statistics["image"]
                    pairs = ((own.volume_ml, organ.volume_ml), (a.mean, b.mean), (a.sd, b.sd), (a.median, b.median))
                    differences = [100 * abs(x / y - 1) if x and y else math.nan for x, y in pairs]
                    found.setdefault(f"{organ.organ.name}, {rules.erosion_mm:g} mm", []).append(differences)
    for name, rows in found.items():
        yield [name, str(len(rows)), *(f"{v:.1f}" for v in np.nanmean(rows, axis=0))]


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path)
    data = parser.parse_args().data
    if data is not None:
        print(markdown_table(["organ, erosion", "cases", "volume", "mean", "SD", "median"], list(real_rows(data))))
        return
    header = ["mask, mm", "map, mm", "erosion, mm", "way", "mean", "SD", "5 %", "median", "95 %"]
    print(markdown_table(header, list(resampling_rows())))
    rules = ["no rule", "3 MAD", "5 mm", "5 mm, 3 MAD", "10 mm, 3 MAD"]
    print(markdown_table(["error of the mask", "its volume, %", *rules], list(mask_error_rows())))
    print(markdown_table(["spacing, mm", "longest, mm", "craniocaudal, mm"], list(length_rows())))


if __name__ == "__main__":
    main()
