"""A data set in nnU-Net's layout (v1 or v2): imagesTr, labelsTr, imagesTs, labelsTs, dataset.json."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from LiverMRISegLib.data.importers.layout import folder
from LiverMRISegLib.data.importers.own_data import Case, Imported, OwnDataOptions, listed
from LiverMRISegLib.errors import InputError
from LiverMRISegLib.io.json_text import parse_json

_FIRST = "_0000"
_IGNORE = "ignore"


def import_nnunet(source: Path, _output: Path, options: OwnDataOptions) -> Imported:
    """imagesTr/CASE_0000.nii.gz with labelsTr/CASE.nii.gz, and imagesTs (split "test") with labelsTs where it exists.

    The labels mean what the options say, else what dataset.json says. A training image without labels counts as
    unlabelled.

    Raises:
        InputError: another layout, several channels, or regions instead of labels.
    """
    document = read_dataset_json(folder(source, "your data in nnU-Net's layout"))
    table = source / "dataset.json"
    channel = only_channel(document.get("channel_names", document.get("modality")), table)
    values, ignore = (dict(options.values), 0) if options.values else labels_of(document.get("labels"), table)
    ending = str(document.get("file_ending", ".nii.gz"))
    cases: list[Case] = []
    left_out: list[tuple[Path, str]] = []
    for part, split in (("Tr", "train"), ("Ts", "test")):
        images, labels = source / f"images{part}", source / f"labels{part}"
        if part == "Tr":
            folder(images, "your data in nnU-Net's layout")
        if images.is_dir():
            found, odd = _cases(images, labels, ending, split, channel)
            cases += found
            left_out += odd
    if not cases:
        raise InputError(f"{source / 'imagesTr'}: contains no file like CASE{_FIRST}{ending}; check dataset.json")
    return listed(str(document.get("name", source.name)), values, cases, options, left_out, ignore)


def read_dataset_json(source: Path) -> Mapping[str, Any]:
    """dataset.json of a folder; InputError if it is missing or damaged."""
    path = source / "dataset.json"
    try:
        document = parse_json(path.read_bytes())
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot be read ({error}); give the folder that contains dataset.json") from error
    if not isinstance(document, Mapping):
        raise InputError(f"{path}: is not a description of a data set; get it again")
    return document


def only_channel(channels: Any, path: Path) -> str:
    """The name of the one channel; InputError for several: a volume of a datalist is one image."""
    names = [str(name) for name in channels.values()] if isinstance(channels, Mapping) else []
    if len(names) != 1:
        raise InputError(
            f"{path}: describes {len(names)} channels ({', '.join(names) or 'none'}); training takes one image a case: "
            "copy the images of one channel and name them CASE_0000"
        )
    return names[0]


def labels_of(labels: Any, path: Path) -> tuple[dict[int, str], int]:
    """(value to name without background, the ignored value or 0), from {"liver": 1} (v2) or {"1": "liver"} (v1).

    Raises:
        InputError: none, regions, or values that are not whole numbers from 1 to 255.
    """
    if not isinstance(labels, Mapping) or not labels:
        raise InputError(f"{path}: has no labels; add them as nnU-Net describes")
    values: dict[int, str] = {}
    ignore = 0
    for key, entry in labels.items():
        name, value = (str(entry), key) if str(key).isdigit() else (str(key), entry)
        if isinstance(value, (list, tuple)):
            raise InputError(f"{path}: '{name}' is a region of several labels; training takes labels, list them singly")
        if not str(value).isdigit() or int(value) > 255:
            raise InputError(f"{path}: the value of '{name}' is {value!r}; a label is a whole number from 0 to 255")
        if name.lower() == _IGNORE:
            ignore = int(value)
        elif int(value):
            values[int(value)] = name
    return values, ignore


def _cases(
    images: Path, labels: Path, ending: str, split: str, channel: str
) -> tuple[list[Case], list[tuple[Path, str]]]:
    cases, left_out = [], []
    for image in sorted(images.iterdir()):
        if image.name.startswith("."):
            continue
        if not image.name.endswith(f"{_FIRST}{ending}"):
            left_out.append((image, f"its name does not end with {_FIRST}{ending}"))
            continue
        name = image.name.removesuffix(f"{_FIRST}{ending}")
        label = labels / f"{name}{ending}"
        cases.append(Case(name, image, label if label.is_file() else None, (channel, name), split=split))
    used = {case.labels for case in cases}
    for path in sorted(labels.iterdir()) if labels.is_dir() else ():
        if path not in used and not path.name.startswith("."):
            left_out.append((path, f"no image has its name; a label map is called CASE{ending}"))
    return cases, left_out
