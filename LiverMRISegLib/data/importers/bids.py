"""A data set in BIDS: sub-01/anat/sub-01_T2w.nii.gz, masks below derivatives/."""

from __future__ import annotations

import csv
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from LiverMRISegLib.anatomy import Sequence as MrSequence
from LiverMRISegLib.data.importers.layout import folder
from LiverMRISegLib.data.importers.own_data import Case, Imported, OwnDataOptions, listed
from LiverMRISegLib.errors import InputError
from LiverMRISegLib.io import read_labelmap, write_volume
from LiverMRISegLib.io.json_text import parse_json
from LiverMRISegLib.volume import Volume

_OF_DERIVATIVES = ("space", "desc", "label", "res", "den", "seg")
_SUFFIXES = {"T1w": MrSequence.T1WI, "T2w": MrSequence.T2WI, "dwi": MrSequence.DWI}
_IMAGE = re.compile(r"(?P<stem>sub-[a-zA-Z0-9]+(?:_[a-z]+-[a-zA-Z0-9]+)*)_(?P<suffix>[a-zA-Z0-9]+)\.nii(\.gz)?")
_MASK = re.compile(r"(?P<stem>sub-.+?)_label-(?P<organ>[a-zA-Z0-9]+)_mask\.nii(\.gz)?")


def import_bids(source: Path, output: Path, options: OwnDataOptions) -> Imported:
    """Every anatomical or diffusion image, with its label map where derivatives hold one.

    A label map is ..._dseg.nii.gz, whose ..._dseg.tsv (or dseg.tsv at the top of the derivative) gives index and
    name, or one ..._label-ORGAN_mask.nii.gz an organ, which are joined in `output`. The entities of a label map are
    those of its image, with more between them (space, desc) or without. The vendor comes from the image's JSON file.

    Raises:
        InputError: another layout, label maps that fit several images, or values without a meaning.
        OutputError: joined label maps cannot be written.
    """
    subjects = sorted(p for p in folder(source, "your data in BIDS").glob("sub-*") if p.is_dir())
    images = [p for subject in subjects for p in sorted(subject.rglob("*.nii*")) if p.parent.name in ("anat", "dwi")]
    found = [(image, match) for image in images if (match := _IMAGE.fullmatch(image.name))]
    if not found:
        raise InputError(f"{source}: contains no image like sub-01/anat/sub-01_T2w.nii.gz; is it BIDS?")
    maps = sorted((source / "derivatives").rglob("*_dseg.nii*"))
    masks = sorted((source / "derivatives").rglob("*_mask.nii*"))
    values = dict(options.values or {}) or _values_of(maps, source) or _values_of_masks(masks)
    cases = []
    for image, match in found:
        labels = _of_image(match["stem"], match["suffix"], maps, "dseg") or _joined(match, masks, values, output)
        sequence = _SUFFIXES.get(match["suffix"])
        told = (match["stem"], sequence.value if sequence else match["suffix"])
        name = f"{match['stem']}_{match['suffix']}"
        cases.append(Case(name, image, labels, told, match["stem"].split("_")[0], _vendor(image)))
    used = {case.labels for case in cases}
    left_out = [(path, "fits no image by its name") for path in maps if path not in used]
    return listed(source.name, values, cases, options, left_out)


def _entities(stem: str) -> dict[str, str]:
    return dict(part.split("-", 1) for part in stem.split("_") if "-" in part)


def _of_image(stem: str, suffix: str, candidates: Sequence[Path], ending: str) -> Path | None:
    """The label map of an image by its entities, the one that shares most of them; None if there is none.

    Subject and session are the same; the others too, where both have them, and a label map has none of its own but
    those that tell derivatives apart.
    """
    own = _entities(stem)
    fitting = []
    for path in candidates:
        theirs = _entities(path.name.split(f"_{ending}")[0])
        if theirs.get("sub") != own.get("sub") or theirs.get("ses") != own.get("ses"):
            continue
        if any(own.get(key) != value for key, value in theirs.items() if key not in _OF_DERIVATIVES):
            continue
        named = re.findall(r"_(T1w|T2w|dwi)(?:_|\.)", path.name)
        if not named or suffix in named:
            fitting.append((sum(key in theirs for key in own), path))
    best = [path for count, path in fitting if count == max(count for count, _ in fitting)]
    if len(best) > 1:
        raise InputError(f"{best[0]}: fits the image {stem}_{suffix} as well as {best[1].name}; keep one derivative")
    return best[0] if best else None


def _values_of(maps: Sequence[Path], source: Path) -> dict[int, str]:
    values: dict[int, str] = {}
    for path in maps:
        beside = path.with_name(re.sub(r"\.nii(\.gz)?$", ".tsv", path.name))
        above = [folder / "dseg.tsv" for folder in path.parents if source in folder.parents]
        table = next((file for file in (beside, *above) if file.is_file()), None)
        if table is None:
            raise InputError(f"{path}: no dseg.tsv says what its values mean; add one, or give --labels")
        for value, name in _read_dseg(table).items():
            if values.setdefault(value, name) != name:
                raise InputError(f"{table}: {value} is '{name}', elsewhere '{values[value]}'; use one meaning")
    return values


def _read_dseg(table: Path) -> dict[int, str]:
    try:
        with table.open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file, delimiter="\t"))
        return {int(row["index"]): row["name"] for row in rows if int(row["index"])}
    except (OSError, KeyError, ValueError, TypeError) as error:
        raise InputError(f"{table}: needs the columns index and name ({error})") from error


def _values_of_masks(masks: Sequence[Path]) -> dict[int, str]:
    organs = {match["organ"] for path in masks if (match := _MASK.fullmatch(path.name))}
    return {value: _words(organ) for value, organ in enumerate(sorted(organs), start=1)}


def _words(organ: str) -> str:
    """ "rightKidney" as "right kidney": entities hold letters and digits alone."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", " ", organ).lower()


def _joined(match: re.Match[str], masks: Sequence[Path], values: Mapping[int, str], output: Path) -> Path | None:
    """One label map of the masks of an image; None where there are none."""
    numbers = {name: value for value, name in values.items()}
    joined: np.ndarray | None = None
    first: Volume | None = None
    for path in masks:
        found = _MASK.fullmatch(path.name)
        if found is None or _of_image(match["stem"], match["suffix"], [path], "label") is None:
            continue
        mask = read_labelmap(path)
        if first is None or joined is None:
            first, joined = mask, np.zeros(mask.array.shape, np.uint8)
        elif not mask.geometry.is_close(first.geometry):
            raise InputError(f"{path}: is on another grid than the other masks of its image; resample it")
        joined[mask.array > 0] = numbers[_words(found["organ"])]
    if first is None or joined is None:
        return None
    target = output / f"{match['stem']}_{match['suffix']}.nii.gz"
    target.parent.mkdir(parents=True, exist_ok=True)
    write_volume(Volume(joined, first.geometry, first.name), target)
    return target


def _vendor(image: Path) -> str:
    sidecar = image.with_name(re.sub(r"\.nii(\.gz)?$", ".json", image.name))
    try:
        return str(parse_json(sidecar.read_bytes()).get("Manufacturer", ""))
    except (OSError, ValueError, AttributeError):
        return ""  # a vendor that nobody wrote down is not an error
