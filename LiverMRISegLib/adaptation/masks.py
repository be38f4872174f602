"""Masks that a model makes of a list of volumes, kept in a folder; and corrected masks filled up with them."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from LiverMRISegLib.adaptation.corrections import Correction
from LiverMRISegLib.anatomy import LabelSet
from LiverMRISegLib.data.datalist import Datalist, Scan, case_name, write_datalist
from LiverMRISegLib.data.importers.own_data import LICENCE
from LiverMRISegLib.inference.progress import CancelToken, Progress
from LiverMRISegLib.inference.segmenter import Segmenter
from LiverMRISegLib.io import read_labelmap, read_volume, write_volume
from LiverMRISegLib.io.atomic import make_folder
from LiverMRISegLib.io.hashing import hash_of
from LiverMRISegLib.models.package.codec import to_json
from LiverMRISegLib.pseudo_labels.output_folder import claimed_output, keep_rows, kept_rows
from LiverMRISegLib.pseudo_labels.outputs import check_case_names, labelmap_of
from LiverMRISegLib.pseudo_labels.ranking import union
from LiverMRISegLib.volume import Volume

Masks = Mapping[Path, Path]


def numbered(labels: LabelSet) -> LabelSet:
    """The organs of a model numbered 1, 2, 3, ... in the order of their values, as a training numbers them."""
    return LabelSet.of(labels.name, labels.organs)


def masks_by(
    segmenter: Segmenter, scans: Sequence[Scan], folder: Path, progress: Progress, cancel: CancelToken
) -> Masks:
    """The mask of every scan by the model, in `folder`, by the scan's image. Those made before are not made again.

    Their values are those of `numbered`, which two models of the same organs share.

    Raises:
        InputError, UsageError: a scan that cannot be used, or two of one name.
        OutputError: it cannot be written.
        CancelledError: `cancel` was used.
    """
    check_case_names(scans)
    package = segmenter.package
    model = hashlib.sha256(to_json(package.spec, package.hashes).encode()).hexdigest()
    table = np.zeros(256, np.uint8)
    for number, value in enumerate(package.spec.labels, start=1):
        table[value] = number
    found = {}
    with claimed_output(folder, [model], [scan.image for scan in scans]):
        for number, scan in enumerate(scans):
            progress(f"{case_name(scan)} by {package.spec.name}", number / len(scans))
            path, kept = labelmap_of(scan, folder), folder / f"{case_name(scan)}.csv"
            image = hash_of(scan.image)
            if not path.exists() or kept_rows(kept, image) is None:
                volume = read_volume(scan.image)
                result = segmenter.segment(volume, cancel=cancel)
                write_volume(Volume(table[result.labelmap], volume.geometry, scan.patient), path)
                keep_rows(kept, image)
            found[scan.image] = path
    return found


def given_mask(case: Correction) -> np.ndarray:
    """The corrected mask [Z, Y, X] with the values of the model's organs."""
    array = read_labelmap(case.scan.labels or case.scan.image).array
    table = np.zeros(int(array.max()) + 1, np.uint8)
    for value, organ in case.values.items():
        table[value] = organ
    return table[array]


def filled_mask(case: Correction, own: Path) -> np.ndarray:
    """The corrected mask, and of the organs that it lacks those of the model's `own` mask; the corrected ones win."""
    others = read_labelmap(own).array.astype(np.uint8)
    others[np.isin(others, sorted(case.organs))] = 0
    return union([others, given_mask(case)])


def write_training_data(
    cases: Sequence[Correction], own: Masks, unlabelled: Sequence[Scan], labels: LabelSet, folder: Path
) -> list[Path]:
    """Write filled masks and the datalists of the training to `folder`; the datalists.

    Raises:
        OutputError: they cannot be written.
    """
    values = {value: organ.name for value, organ in labels.items()}
    scans = []
    for case in cases:
        path = labelmap_of(case.scan, folder)
        make_folder(path.parent)
        geometry = read_labelmap(own[case.scan.image]).geometry
        write_volume(Volume(filled_mask(case, own[case.scan.image]), geometry, case.scan.patient), path)
        scans.append(_listed(case.scan, path))
    lists = {"corrected volumes": scans}
    if unlabelled:
        lists["volumes without masks"] = [_listed(scan, None) for scan in unlabelled]
    for name, listed in lists.items():
        write_datalist(Datalist(name, LICENCE, values, listed), folder / f"{name.replace(' ', '_')}.json")
    return [folder / f"{name.replace(' ', '_')}.json" for name in lists]


def _listed(scan: Scan, labels: Path | None) -> Scan:
    return Scan(
        scan.patient, scan.sequence, scan.image.absolute(), labels.absolute() if labels else None, scan.vendor,
        scan.centre, "train", scan.series,
    )  # fmt: skip
