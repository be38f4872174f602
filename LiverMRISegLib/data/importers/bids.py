"""A data set in BIDS: sub-01/anat/sub-01_T2w.nii.gz, masks below derivatives/."""

from __future__ import annotations

import csv
import io
import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from LiverMRISegLib.anatomy import Sequence as MrSequence
from LiverMRISegLib.data.importers.layout import folder
from LiverMRISegLib.data.importers.own_data import FoundCase, Imported, OwnDataOptions, listed, numbered_names
from LiverMRISegLib.errors import InputError
from LiverMRISegLib.io import read_labelmap, write_volume
from LiverMRISegLib.io.atomic import make_folder
from LiverMRISegLib.io.json_text import parse_json
from LiverMRISegLib.volume import SAME_PLACE, Volume, turned_to

_OF_DERIVATIVES = ("space", "desc", "label", "res", "den", "seg")
_SUFFIXES = {"T1w": MrSequence.T1WI, "T2w": MrSequence.T2WI, "dwi": MrSequence.DWI}
_IMAGE = re.compile(r"(?P<stem>sub-[a-zA-Z0-9]+(?:_[a-z]+-[a-zA-Z0-9]+)*)_(?P<suffix>[a-zA-Z0-9]+)\.nii(\.gz)?")
_MASK = re.compile(r"(?P<stem>sub-.+?)_label-(?P<organ>[a-zA-Z0-9]+)(?:_[a-z]+-[a-zA-Z0-9]+)*_mask\.nii(\.gz)?")
_NO_IMAGE = "fits no image by its name"


@dataclass(frozen=True)
class _Image:
    """An image, what its name says before the suffix, and its suffix."""

    path: Path
    stem: str
    suffix: str

    @property
    def name(self) -> str:
        """What the case and its joined label map are called."""
        return f"{self.stem}_{self.suffix}"


def import_bids(source: Path, output: Path, options: OwnDataOptions) -> Imported:
    """Every anatomical or diffusion image, with its label map where derivatives hold one.

    A label map is ..._dseg.nii.gz, whose ..._dseg.tsv (or dseg.tsv at the top of the derivative) gives index and
    name, or one ..._label-ORGAN_mask.nii.gz an organ, which are joined in `output` (two of one organ are refused: they
    may be of two readers). The entities of a label map are
    those of its image, with more between them (space, desc) or without; where several images fit, it belongs to those
    of which it lacks least. The vendor comes from the image's JSON file; one that cannot be read is among what is left
    out.

    Raises:
        InputError: another layout, several label maps that fit an image, or values without a meaning.
        OutputError: joined label maps cannot be written.
    """
    subjects = sorted(p for p in folder(source, "your data in BIDS").glob("sub-*") if p.is_dir())
    files = [p for subject in subjects for p in sorted(subject.rglob("*.nii*")) if p.parent.name in ("anat", "dwi")]
    images = [_Image(p, match["stem"], match["suffix"]) for p in files if (match := _IMAGE.fullmatch(p.name))]
    if not images:
        raise InputError(f"{source}: contains no image like sub-01/anat/sub-01_T2w.nii.gz; is it BIDS?")
    maps = sorted((source / "derivatives").rglob("*_dseg.nii*"))
    masks = [p for p in sorted((source / "derivatives").rglob("*_mask.nii*")) if _MASK.fullmatch(p.name)]
    maps_of, masks_of = _by_image(maps, "dseg", images), _by_image(masks, "label", images)
    values = dict(options.values or {}) or _values_of(maps, source)
    numbers = numbered_names({_organ(path) for path in masks}, values, source)
    cases, unread = [], []
    for image in images:
        labels = _nearest(image, maps_of[image]) or _joined(image, masks_of[image], numbers, output)
        sequence = _SUFFIXES.get(image.suffix)
        told = (image.stem, sequence.value if sequence else image.suffix)
        patient = image.stem.split("_")[0]
        vendor, unread_here = _vendor(image.path)
        unread += unread_here
        cases.append(FoundCase(image.name, image.path, labels, told, patient, vendor))
    used = {path for found in (*maps_of.values(), *masks_of.values()) for path in found}
    left_out = [*((path, _NO_IMAGE) for path in (*maps, *masks) if path not in used), *unread]
    return listed(source.name, {**{n: name for name, n in numbers.items()}, **values}, cases, options, left_out)


def _entities(stem: str) -> dict[str, str]:
    return dict(part.split("-", 1) for part in stem.split("_") if "-" in part)


def _by_image(paths: Sequence[Path], ending: str, images: Sequence[_Image]) -> Mapping[_Image, list[Path]]:
    """The label maps of each image by their entities, those that end with `_ending`.

    Subject and session are the same; the others too, where both have them, and a label map has none of its own but
    those that tell derivatives apart.
    """
    of_subject = defaultdict(list)
    for image in images:
        of_subject[_entities(image.stem)["sub"]].append(image)
    found = defaultdict(list)
    for path in paths:
        theirs = _entities(path.name.split(f"_{ending}")[0])
        fitting = [image for image in of_subject[theirs.get("sub", "")] if _fits(path, theirs, image)]
        lacking = {image: len(_entities(image.stem).keys() - theirs.keys()) for image in fitting}
        for image in fitting:
            if lacking[image] == min(lacking.values()):
                found[image].append(path)
    return found


def _fits(path: Path, theirs: Mapping[str, str], image: _Image) -> bool:
    own = _entities(image.stem)
    if theirs.get("ses") != own.get("ses"):
        return False
    if any(own.get(key) != value for key, value in theirs.items() if key not in _OF_DERIVATIVES):
        return False
    named = re.findall(r"_(T1w|T2w|dwi)(?:_|\.)", path.name)
    return not named or image.suffix in named


def _nearest(image: _Image, maps: Sequence[Path]) -> Path | None:
    """The one that shares most of the image's entities; None if there is none."""
    own = _entities(image.stem)
    shared = [len(own.keys() & _entities(path.name.split("_dseg")[0]).keys()) for path in maps]
    best = [path for path, count in zip(maps, shared, strict=True) if count == max(shared)]
    if len(best) > 1:
        raise InputError(f"{best[0]}: fits the image {image.name} as well as {best[1].name}; keep one derivative")
    return best[0] if best else None


def _values_of(maps: Sequence[Path], source: Path) -> dict[int, str]:
    values: dict[int, str] = {}
    for path in maps:
        table = _table_of(path, source)
        if table is None:
            raise InputError(f"{path}: no dseg.tsv says what its values mean; add one, or give --labels")
        for value, name in _read_dseg(table).items():
            if values.setdefault(value, name) != name:
                raise InputError(f"{table}: {value} is '{name}', elsewhere '{values[value]}'; use one meaning")
    return values


def _table_of(path: Path, source: Path) -> Path | None:
    """The table beside a label map, else the nearest in a folder above it whose entities the label map has."""
    beside = path.with_name(re.sub(r"\.nii(\.gz)?$", ".tsv", path.name))
    if beside.is_file():
        return beside
    own = _entities(path.name.split("_dseg")[0]).items()
    above = [folder for folder in path.parents if source in folder.parents]
    tables = [table for folder in above for table in sorted(folder.glob("*dseg.tsv"))]
    return next((table for table in tables if _entities(table.name.split("_dseg")[0]).items() <= own), None)


def _read_dseg(table: Path) -> dict[int, str]:
    try:
        text = table.read_bytes().decode("utf-8-sig")
        rows = list(csv.DictReader(io.StringIO(text, newline=""), delimiter="\t"))
        return {int(row["index"]): row["name"] for row in rows if int(row["index"])}
    except (OSError, KeyError, ValueError, TypeError) as error:
        raise InputError(f"{table}: needs the columns index and name ({error})") from error


def _organ(mask: Path) -> str:
    match = _MASK.fullmatch(mask.name)
    return _words(match["organ"]) if match else ""


def _words(organ: str) -> str:
    """ "rightKidney" as "right kidney": entities hold letters and digits alone."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", " ", organ).lower()


def _joined(image: _Image, masks: Sequence[Path], numbers: Mapping[str, int], output: Path) -> Path | None:
    """One label map of the masks of an image; None where there are none."""
    joined: Volume | None = None
    taken: dict[str, Path] = {}
    for path in masks:
        other = taken.setdefault(_organ(path), path)
        if other is not path:
            raise InputError(f"{path}: is the {_organ(path)} of {image.name}, and so is {other}; keep one of them")
        read = read_labelmap(path)
        if joined is None:
            joined = Volume(np.zeros(read.array.shape, np.uint8), read.geometry, read.name)
        mask = turned_to(read, joined.geometry, SAME_PLACE)
        if mask is None:
            raise InputError(f"{path}: is on another grid than the other masks of its image; resample it")
        joined.array[mask.array > 0] = numbers[_organ(path)]
    if joined is None:
        return None
    target = output / f"{image.name}.nii.gz"
    make_folder(target.parent)
    write_volume(joined, target)
    return target


def _vendor(image: Path) -> tuple[str, list[tuple[Path, str]]]:
    """What the image's JSON file says, and that file if it cannot be read; a vendor that nobody wrote down is "".

    Either is a fact of the scan that is missing, and no reason to leave the scan out.
    """
    sidecar = image.with_name(re.sub(r"\.nii(\.gz)?$", ".json", image.name))
    try:
        vendor = parse_json(sidecar.read_bytes()).get("Manufacturer", "")
    except FileNotFoundError:
        return "", []
    except (OSError, ValueError, AttributeError) as error:
        why = "is not a JSON object" if isinstance(error, AttributeError) else str(error)
        return "", [(sidecar, f"cannot be read ({why}), so the vendor of its image is not known; correct it")]
    return (vendor if isinstance(vendor, str) else ""), []
