"""Volumes prepared once for training and kept on disk, keyed by their content.

A prepared case is what inference makes of a volume (`preparation`), with its label map on the same grid.
Its key is the hash of the files, the preparation and the organs, so that a changed file or setting is another case.
"""

from __future__ import annotations

import hashlib
import json
import logging
import mmap
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from LiverMRISegLib.anatomy import IGNORE, structure_named
from LiverMRISegLib.data.datalist import Datalist, Scan
from LiverMRISegLib.data.segment_names import check_segment_names
from LiverMRISegLib.errors import InputError, UsageError
from LiverMRISegLib.io import read_labelmap, read_volume
from LiverMRISegLib.io.atomic_folder import atomic_folder
from LiverMRISegLib.io.hashing import hash_of
from LiverMRISegLib.io.unusable import UnusableVolumes
from LiverMRISegLib.models.package.specification import PreparationSpec
from LiverMRISegLib.preparation.label_grid import labels_on_grid
from LiverMRISegLib.preparation.own_scheme import Prepared, prepare
from LiverMRISegLib.volume import SAME_PLACE, Volume, turned_to

logger = logging.getLogger(__name__)
_VERSION = 3
_TIE = 1e-4
_SPARE_FILES = 512
_FOREGROUND_VOXELS = 10_000  # kept per class, as nnU-Net does


@dataclass(frozen=True)
class PreparedCase:
    """`image` float32 and `labels` uint8 (or None) [Z, Y, X] on the prepared grid, mapped from disk.

    `foreground` maps each class present to some of its voxels, int [N, 3]. `key` is of its content. To another process
    it goes without its voxels, which are mapped there from the same files.
    """

    name: str
    image: np.ndarray
    labels: np.ndarray | None
    foreground: Mapping[int, np.ndarray]
    key: str = ""

    def __getstate__(self) -> dict[str, Any]:
        """The fields, with the files of mapped arrays in place of their voxels."""
        return {name: _OnDisk.of(value) for name, value in vars(self).items()}

    def __setstate__(self, state: Mapping[str, Any]) -> None:
        """Take the fields back, and map the files again."""
        vars(self).update({n: v.mapped() if isinstance(v, _OnDisk) else v for n, v in state.items()})


@dataclass(frozen=True)
class _OnDisk:
    """A file of one array. numpy would send the voxels of a mapped one, to each of the workers that are spawned."""

    path: Path

    @classmethod
    def of(cls, value: Any) -> Any:
        """The file of an array that is mapped whole from one; anything else as it is."""
        is_whole = isinstance(value, np.memmap) and isinstance(value.base, mmap.mmap) and value.filename is not None
        return cls(Path(value.filename)) if is_whole else value

    def mapped(self) -> np.ndarray:
        """The array."""
        array: np.ndarray = np.load(self.path, mmap_mode="r")
        return array


class PreparedCases:
    """The cache: a folder below which every case is a folder of .npy files.

    `organs` get the values 1, 2, ... ; values of a label map that are none of them are background.
    """

    def __init__(self, folder: Path, preparation: PreparationSpec, organs: Sequence[str]) -> None:
        self.folder, self.preparation = folder, preparation
        self.organs = [structure_named(organ, 1).name for organ in organs]

    def load_all(self, scans: Sequence[tuple[Datalist, Scan]], *, labelled: bool) -> list[PreparedCase]:
        """All of `scans`, prepared where they are not yet; with a progress bar where there is work.

        Raises:
            InputError: naming every volume that cannot be used.
            OutputError: the cache cannot be written, e.g. because the disk is full.
        """
        allow_open_files(2 * len(scans))
        cases, unusable = [], UnusableVolumes()
        for datalist, scan in tqdm(scans, "preparing", disable=None, leave=False, dynamic_ncols=True):
            with unusable.noted():
                cases.append(self.load(datalist, scan, labelled=labelled))
        unusable.raise_any(len(scans))
        return cases

    def load(self, datalist: Datalist, scan: Scan, *, labelled: bool) -> PreparedCase:
        """One case; its labels only if `labelled`. Errors as `load_all`."""
        labels = scan.labels if labelled else None
        folder = self.folder / self._key(datalist, scan.image, labels)
        if not folder.is_dir():
            self._make(datalist, scan, labels, folder)
        name = " ".join(part for part in (scan.patient, scan.sequence, scan.series) if part)
        try:
            image = np.load(folder / "image.npy", mmap_mode="r")
            if labels is None:
                return PreparedCase(name, image, None, {}, folder.name)
            foreground = {int(p.stem[6:]): np.load(p) for p in sorted(folder.glob("class_*.npy"))}
            labelmap = np.load(folder / "labels.npy", mmap_mode="r")
            return PreparedCase(name, image, labelmap, foreground, folder.name)
        except (OSError, ValueError, EOFError) as error:
            raise InputError(f"{folder}: the cache is damaged ({error}); remove this folder") from error

    def _key(self, datalist: Datalist, image: Path, labels: Path | None) -> str:
        values = {str(v): o for v, o in datalist.values.items()} if labels else {}
        if labels and datalist.ignore:
            values[str(datalist.ignore)] = "ignore"
        facts = [_VERSION, asdict(self.preparation), datalist.space, self.organs if labels else [], values]
        digest = hashlib.sha256(json.dumps(facts, sort_keys=True).encode())
        for path in (image, *([labels] if labels else [])):
            digest.update(f"{path.name}\0{hash_of(path)}".encode())
        return digest.hexdigest()[:32]

    def _make(self, datalist: Datalist, scan: Scan, labels: Path | None, folder: Path) -> None:
        volume = read_volume(scan.image)
        prepared = prepare(volume, self.preparation, datalist.space)
        arrays = {"image": prepared.image}
        if labels is not None:
            found = self._labels(datalist, labels, volume, prepared)
            arrays["labels"] = found
            present = [c for c in np.unique(found) if c not in (0, IGNORE)]
            arrays.update({f"class_{c}": _some_voxels(found == c) for c in present})
        _write_folder(folder, arrays)

    def _labels(self, datalist: Datalist, path: Path, volume: Volume, prepared: Prepared) -> np.ndarray:
        """The label map on the prepared grid: each class interpolated linearly, the highest wins (as nnU-Net).

        Where organ and background have half a voxel each, as on grids twice as coarse, it is the organ's.
        """
        turned = prepared.change.apply(labels_of(datalist, path, volume, self.organs))
        if turned.shape == prepared.image.shape:
            return np.ascontiguousarray(turned)
        values = np.array([*range(len(self.organs) + 1), *([IGNORE] if datalist.ignore else [])], np.uint8)
        shares = np.stack([turned == value for value in values]).astype(np.float32)
        shares[0] -= _TIE
        shape = prepared.image.shape
        labels: np.ndarray = values[labels_on_grid(shares, (shape[0], shape[1], shape[2]))]
        return labels


def labels_of(datalist: Datalist, path: Path, volume: Volume, organs: Sequence[str]) -> np.ndarray:
    """A label map of `datalist` on its volume's own grid: 1, 2, ... for `organs`, IGNORE where it is not known; uint8.

    One of the same voxels with other axes is turned.

    Raises:
        InputError: it is on another grid, or names its segments otherwise than the datalist.
        UsageError: the datalist has no labels of one of the organs.
    """
    read = read_labelmap(path)
    check_segment_names(read, datalist.values, path)
    labelmap = turned_to(read, volume.geometry, SAME_PLACE)
    if labelmap is None:
        raise InputError(f"{path}: is on another grid than its image {volume.name}; resample it to the image")
    translated: np.ndarray = _translation(datalist, organs, int(labelmap.array.max()))[labelmap.array]
    return translated


def _translation(datalist: Datalist, organs: Sequence[str], highest: int) -> np.ndarray:
    """Table from the datalist's values, and all others up to `highest`, to ours."""
    wanted = [structure_named(organ) for organ in organs]
    known = {value: structure_named(name, value) for value, name in datalist.values.items()}
    for organ in wanted:
        if organ not in known.values():
            has = ", ".join(sorted({own.name for own in known.values()}))
            raise UsageError(f"datalist {datalist.name} has no labels of '{organ.name}'; it has: {has}")
    table = np.zeros(max(highest, datalist.ignore, *datalist.values) + 1, np.uint8)
    for value, own in known.items():
        if own in wanted:
            table[value] = 1 + wanted.index(own)
    if datalist.ignore:
        table[datalist.ignore] = IGNORE
    return table


def allow_open_files(more: int) -> None:
    """Raise this process's own limit, often 1,024: every array that is mapped from disk holds its file open."""
    if os.name == "nt":
        return
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = more + sum(1 for _ in Path("/dev/fd").iterdir()) + _SPARE_FILES
    if soft != resource.RLIM_INFINITY and soft < wanted:
        most = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))


def _some_voxels(mask: np.ndarray) -> np.ndarray:
    voxels = np.argwhere(mask).astype(np.int16)
    if len(voxels) > _FOREGROUND_VOXELS:
        voxels = np.random.default_rng(0).choice(voxels, _FOREGROUND_VOXELS, replace=False)
    return voxels


def _write_folder(folder: Path, arrays: Mapping[str, np.ndarray]) -> None:
    """Whole or not at all; two processes may make the same case at once, and either's is kept."""
    with atomic_folder(folder, "keep") as temporary:
        for name, array in arrays.items():
            np.save(temporary / f"{name}.npy", array)
