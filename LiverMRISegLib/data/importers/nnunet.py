"""A data set of nnU-Net (v1 or v2): dataset.json with imagesTr, labelsTr, imagesTs, labelsTs, or with paths."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from LiverMRISegLib.data.importers.dataset_json import (
    here,
    listed_case,
    only_channel,
    read_dataset_json,
    stated_licence,
    values_of,
)
from LiverMRISegLib.data.importers.layout import folder
from LiverMRISegLib.data.importers.own_data import FoundCase, Imported, OwnDataOptions, listed
from LiverMRISegLib.data.importers.summary import in_one_line
from LiverMRISegLib.errors import InputError
from LiverMRISegLib.io.channels import FIRST_IMAGE
from LiverMRISegLib.io.file_names import VOLUME_ENDINGS

_YOUR_DATA = "your data in nnU-Net's layout"
_ONE_CHANNEL = 'name one, and give its images alone (as CASE_0000, or listed in "dataset")'
LeftOut = tuple[Path, str]


def import_nnunet(source: Path, _output: Path, options: OwnDataOptions) -> Imported:
    """imagesTr/CASE_0000.nii.gz with labelsTr/CASE.nii.gz, and imagesTs (split "test") with labelsTs where it exists.

    Where dataset.json has a "dataset" ({CASE: {"images": [PATH], "label": PATH}}), the training cases are those that it
    lists and no others: paths count from the data set's folder, and environment variables in them are filled in.
    The labels mean what the options say, else what dataset.json says. A training image without labels counts as
    unlabelled. Which reader nnU-Net would take does not matter: files are read by what they hold.

    Source: nnU-Net's `documentation/dataset_format.md`, and `get_filenames_of_train_images_and_targets`.

    Raises:
        InputError: another layout, several channels, pictures instead of volumes, or regions that overlap.
    """
    table = folder(source, _YOUR_DATA) / "dataset.json"
    document = read_dataset_json(table)
    ending = _ending(document, table)
    channel = only_channel(document, table, _ONE_CHANNEL)
    values = values_of(document, options, table)
    named = _training_cases(source, document, ending, channel)
    used = _files_of(named)
    tests = _cases(source / "imagesTs", source / "labelsTs", ending, "test", channel)
    tests = [case for case in tests if _place(case.image) not in used]
    cases, left_out = here([*named, *tests], table)
    left_out += _not_used(source, used | _files_of(tests), ending, "dataset" in document)
    if not cases:
        raise InputError(_why_none(source, ending, document, left_out))
    if not values and any(case.labels for case in cases):
        raise InputError(f"{table}: has no labels; add them as nnU-Net describes")
    return listed(str(document.get("name", source.name)), values, cases, options, left_out, stated_licence(document))


def _training_cases(source: Path, document: Mapping[str, Any], ending: str, channel: str) -> list[FoundCase]:
    if "dataset" in document:
        return _listed_cases(document["dataset"], source / "dataset.json", channel)
    return _cases(folder(source / "imagesTr", _YOUR_DATA), source / "labelsTr", ending, "train", channel)


def _ending(document: Mapping[str, Any], table: Path) -> str:
    ending = str(document.get("file_ending", VOLUME_ENDINGS[0]))
    if ending.lower() not in VOLUME_ENDINGS:
        raise InputError(
            f'{table}: "file_ending" is {ending!r}; training takes volumes ({", ".join(VOLUME_ENDINGS)}): convert the '
            "images, or correct it"
        )
    return ending


def _listed_cases(entries: Any, table: Path, channel: str) -> list[FoundCase]:
    """The cases of "dataset"."""
    if not isinstance(entries, Mapping):
        raise InputError(
            f'{table}: its "dataset" is not a list of cases by their names; correct it as nnU-Net describes'
        )
    cases = []
    for name, entry in entries.items():
        paths = entry if isinstance(entry, Mapping) else {}
        images, labels = _filled_in(paths.get("images")), _filled_in(paths.get("label"))
        case = listed_case(name, images, labels, table, channel, "train")
        if case is None:
            raise InputError(f'{table}: the case {name} is {entry!r:.80}, not {{"images": [PATH], "label": PATH}}')
        cases.append(case)
    return cases


def _filled_in(given: Any) -> Any:
    """A path, or a list of paths, with the values of the environment variables in it, as nnU-Net does."""
    if isinstance(given, list):
        return [_filled_in(each) for each in given]
    return os.path.expandvars(given) if isinstance(given, str) else given


def _cases(images: Path, labels: Path, ending: str, split: str, channel: str) -> list[FoundCase]:
    """The cases of two folders; none where there is no folder of images."""
    cases = []
    for image in _files(images):
        if image.name.endswith(f"{FIRST_IMAGE}{ending}"):
            name = image.name.removesuffix(f"{FIRST_IMAGE}{ending}")
            label = labels / f"{name}{ending}"
            given = label if label.is_file() or label.is_symlink() else None
            cases.append(FoundCase(name, image, given, (channel, name), split=split))
    return cases


def _files(path: Path) -> list[Path]:
    return sorted(file for file in path.iterdir() if not file.name.startswith(".")) if path.is_dir() else []


def _place(path: Path) -> str:
    """The same for all ways of writing a path."""
    return os.path.normpath(path.absolute())


def _files_of(cases: Sequence[FoundCase]) -> set[str]:
    return {_place(path) for case in cases for path in (case.image, case.labels) if path}


def _not_used(source: Path, used: Collection[str], ending: str, lists_paths: bool) -> list[LeftOut]:
    """The files of the usual folders that belong to no case, each with the reason."""
    reasons = {
        "images": f"its name does not end with {FIRST_IMAGE}{ending}",
        "labels": f"no image has its name; a label map is called CASE{ending}",
    }
    left_out = []
    for part in ("Tr", "Ts"):
        for kind, reason in reasons.items():
            why = "dataset.json does not list it" if lists_paths and part == "Tr" else reason
            left_out += [(p, why) for p in _files(source / f"{kind}{part}") if _place(p) not in used]
    return left_out


def _why_none(source: Path, ending: str, document: Mapping[str, Any], left_out: Sequence[LeftOut]) -> str:
    """Why there is no case at all, in words."""
    table = source / "dataset.json"
    if "dataset" in document:
        return f"{table}: lists no case whose files are here" + "".join(
            f"; {in_one_line(*each)}" for each in left_out[:1]
        )
    there = next((path.name for path, _ in left_out if path.parent.name == "imagesTr"), "")
    found = f", but {there}" if there else ""
    remedy = "import it as `decathlon`" if "training" in document and there.endswith(ending) else "check dataset.json"
    return f"{source / 'imagesTr'}: contains no file like CASE{FIRST_IMAGE}{ending}{found}; {remedy}"
