"""What an import found: cases, grids, labels, what was left out; and a sheet of pictures to check sides and labels."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from tqdm import tqdm

from LiverMRISegLib.anatomy import LabelSet, structure_named
from LiverMRISegLib.data.datalist import Datalist, Scan, case_name
from LiverMRISegLib.data.segment_names import check_segment_names
from LiverMRISegLib.errors import LiverMRISegError, SeveralVolumesError
from LiverMRISegLib.io import read_labelmap, read_volume, write_volume
from LiverMRISegLib.io.atomic import make_folder
from LiverMRISegLib.io.read import MaskGivenError
from LiverMRISegLib.measurement.label_shapes import voxels_of_values
from LiverMRISegLib.pictures import sheet_png, three_planes_png
from LiverMRISegLib.volume import SAME_PLACE, Geometry, Volume, reorient, turned_to

_PICTURES = 8
_NAMED = 8
_A_MASK = "is a label map by its values, but no image has its name; call it as its image, with _label"


@dataclass(frozen=True)
class CheckedScan:
    """A scan as its files really are: the grid of its image, voxels of each label value.

    `content`: the hash of the image's voxels, whatever file and order of axes they are in. `is_turned`: the label map
    was written anew with the axes of its image.
    """

    scan: Scan
    grid: Geometry
    voxels: Mapping[int, int]
    content: str
    is_turned: bool = False


def check_scans(datalist: Datalist, made: Path | None = None) -> tuple[list[CheckedScan], list[tuple[Path, str]]]:
    """Read every image and label map; those that cannot be used come back with the reason.

    A label map must be on the grid of its image and hold known values alone. One of the same voxels whose axes are in
    another order, or point the other way, is written with the image's axes to the folder `made`; refused without one.
    """
    checked: list[CheckedScan] = []
    refused: list[tuple[Path, str]] = []
    for scan in tqdm(datalist.scans, "reading", disable=None, dynamic_ncols=True):
        try:
            image = read_volume(scan.image)
            labels = read_labelmap(scan.labels) if scan.labels else None
            if labels is not None and scan.labels is not None:
                check_segment_names(labels, datalist.values, scan.labels)
        except MaskGivenError:
            refused.append((scan.image, _A_MASK))
            continue
        except SeveralVolumesError as error:  # there is no --frame here
            refused.append((scan.image, f"{error.facts}; save the one that is meant as a file"))
            continue
        except LiverMRISegError as error:
            refused.append((scan.image, str(error)))
            continue
        turned = turned_to(labels, image.geometry, SAME_PLACE) if labels is not None else None
        if labels is not None and (turned is None or (made is None and turned is not labels)):
            refused.append((scan.image, f"its label map {scan.labels} is on another grid; resample it"))
            continue
        voxels = voxels_of_values(labels.array) if labels is not None else {}
        voxels.pop(0, None)
        odd = sorted(set(voxels) - set(datalist.values) - {datalist.ignore})
        if odd:
            refused.append((scan.image, f"its label map contains the value {odd[0]}, which has no meaning"))
            continue
        used = scan
        if made is not None and turned is not None and turned is not labels:
            # A number of its own: two scans may have one name until a user's table tells them apart.
            used = _rewritten(scan, turned, made / f"turned_{len(checked)}_{case_name(scan)}.nii.gz")
        checked.append(CheckedScan(used, image.geometry, voxels, _content(image), used is not scan))
    return checked, refused


def _content(image: Volume) -> str:
    return hashlib.sha256(np.ascontiguousarray(reorient(image, "LPS").array, "<f4").data).hexdigest()


def same_images(checked: Sequence[CheckedScan]) -> list[tuple[CheckedScan, CheckedScan]]:
    """Every scan whose image is that of an earlier one, after that one."""
    first: dict[str, CheckedScan] = {}
    pairs = [(first.setdefault(each.content, each), each) for each in checked]
    return [(earlier, each) for earlier, each in pairs if earlier is not each]


def _rewritten(scan: Scan, labels: Volume, path: Path) -> Scan:
    make_folder(path.parent)
    write_volume(labels, path)
    return replace(scan, labels=path.absolute())


def summary_text(datalist: Datalist, checked: Sequence[CheckedScan], left_out: Sequence[tuple[Path, str]]) -> str:
    """The summary as lines of text."""
    scans = [each.scan for each in checked]
    labelled = [each for each in checked if each.scan.labels is not None]
    lines = [
        f"{_number(len({scan.patient for scan in scans}), 'patient')}, {_number(len(scans), 'volume')}, "
        f"{len(labelled)} with labels",
        *(f"  {name}: {_counted(values)}" for name, values in _facts(scans)),
    ]
    if checked:
        spacing, size = (np.array([getattr(each.grid, name) for each in checked]) for name in ("spacing", "size"))
        lines.append(f"  spacing (mm): {_range(spacing, '.2f')}")
        lines.append(f"  size (voxels): {_range(size, '.0f')}")
    for value, name in datalist.values.items():
        cases = sum(value in each.voxels for each in checked)
        lines.append(f"  label {value} {name}: in {cases} of {len(labelled)} label maps")
    empty = [case_name(each.scan) for each in labelled if not set(each.voxels) & set(datalist.values)]
    if empty:
        more = f" and {len(empty) - _NAMED} more" if len(empty) > _NAMED else ""
        lines.append(f"  label maps without any organ: {', '.join(empty[:_NAMED])}{more}")
    turned = sum(each.is_turned for each in checked)
    if turned:
        lines.append(f"  turned to the axes of the image: {_number(turned, 'label map')}")
    lines += [
        f"  one image of two patients: {one.scan.image} and {other.scan.image}; remove one, or give both one patient "
        "by --table"
        for one, other in same_images(checked)
        if one.scan.patient != other.scan.patient
    ]
    lines += [f"  left out: {in_one_line(path, reason)}" for path, reason in left_out]
    return "\n".join(lines)


def in_one_line(path: Path, reason: str) -> str:
    """What is wrong with a file; the reason may name it already."""
    text = reason if str(path) in reason else f"{path}: {reason}"
    return " ".join(text.split())


def picture_sheet(datalist: Datalist, checked: Sequence[CheckedScan]) -> bytes | None:
    """A PNG of up to eight labelled cases, evenly chosen, in radiological display; None without labels."""
    labelled = [each.scan for each in checked if each.scan.labels is not None]
    if not labelled:
        return None
    chosen = [labelled[i] for i in np.unique(np.linspace(0, len(labelled) - 1, _PICTURES).round().astype(int))]
    first: dict[str, int] = {}
    for value, name in datalist.values.items():
        first.setdefault(structure_named(name, value).name, value)
    labels = LabelSet(datalist.name, {value: structure_named(name, value) for name, value in first.items()})
    same = {value: first[structure_named(name, value).name] for value, name in datalist.values.items()}
    return sheet_png([_picture(scan, labels, same) for scan in chosen])


def _picture(scan: Scan, labels: LabelSet, same: Mapping[int, int]) -> bytes:
    volume = read_volume(scan.image)
    array = read_labelmap(scan.labels or scan.image).array
    shown = np.zeros(array.shape, np.uint8)
    for value, first in same.items():
        shown[array == value] = first
    return three_planes_png(volume, shown, labels, case_name(scan))


def _facts(scans: Sequence[Scan]) -> list[tuple[str, Counter[str]]]:
    facts = [
        (name, Counter(getattr(scan, name) for scan in scans)) for name in ("sequence", "split", "vendor", "centre")
    ]
    return [(name, values) for name, values in facts if any(values)]


def _number(count: int, what: str) -> str:
    return f"{count} {what}" + ("" if count == 1 else "s")


def _counted(values: Counter[str]) -> str:
    return ", ".join(f"{value or 'not said'} {count}" for value, count in values.most_common())


def _range(rows: np.ndarray, form: str) -> str:
    low, middle, high = rows.min(0), np.median(rows, 0), rows.max(0)
    return " x ".join(f"{m:{form}} ({a:{form}} to {b:{form}})" for a, m, b in zip(low, middle, high, strict=True))
