"""A data set whose lists of files are in a JSON file: the Medical Segmentation Decathlon, and MONAI's datalists."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
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
from LiverMRISegLib.data.importers.own_data import FoundCase, Imported, OwnDataOptions, listed
from LiverMRISegLib.data.importers.summary import in_one_line
from LiverMRISegLib.errors import InputError

_SPLITS = {"training": "train", "validation": "validation", "test": "test", "testing": "test"}
_ONE_CHANNEL = "save one channel of each image as a file of its own, and name it alone"
_FOLDS = (
    "the folds of its entries are not taken over; a training makes its own (data.fold.number), or say in --table which "
    "cases are of split validation"
)


def import_decathlon(source: Path, _output: Path, options: OwnDataOptions) -> Imported:
    """A folder with dataset.json, or the JSON file itself; paths in it count from its folder.

    Each entry of "training", "validation", "test" and "testing" is {"image": ..., "label": ...} or the path of an
    image. Cases are called by their images, and where several images have one name, by their paths.

    Source: MONAI's `load_decathlon_datalist`.

    Raises:
        InputError: another layout, several channels, or no meaning of the labels.
    """
    path = source / "dataset.json" if source.is_dir() else source
    document = read_dataset_json(path)
    lists = {key: _list_of(document[key], key, path) for key in _SPLITS if document.get(key)}
    if not lists and not any(key in document for key in _SPLITS):
        raise InputError(f"{path}: has none of the lists {', '.join(_SPLITS)}; is it a decathlon's dataset.json?")
    channel = only_channel(document, path, _ONE_CHANNEL)
    named = [case for key, entries in lists.items() for case in _cases(entries, path, _SPLITS[key], channel)]
    if not named:
        raise InputError(f"{path}: lists no image")
    cases, left_out = here(named, path)
    if not cases:
        raise InputError(f"{in_one_line(*left_out[0])}; no image of {path} is here")
    values = values_of(document, options, path)
    if not values and any(case.labels for case in cases):
        raise InputError(f"{path}: does not say what its labels mean; say it by --labels FILE or a label set's name")
    if any(isinstance(entry, dict) and "fold" in entry for entries in lists.values() for entry in entries):
        left_out.append((path, _FOLDS))
    name = str(document.get("name", path.parent.name))
    return listed(name, values, _named_apart(cases), options, left_out, stated_licence(document))


def _list_of(entries: Any, key: str, path: Path) -> list[Any]:
    if not isinstance(entries, list):
        raise InputError(f'{path}: its "{key}" is not a list; correct it')
    return entries


def _cases(entries: Sequence[Any], path: Path, split: str, channel: str) -> Iterator[FoundCase]:
    for entry in entries:
        image, labels = (entry.get("image"), entry.get("label")) if isinstance(entry, dict) else (entry, None)
        case = listed_case("", image, labels, path, channel, split)
        if case is None:
            raise InputError(
                f'{path}: {entry!r:.80} is not like {{"image": PATH, "label": PATH}} or the path of an image'
            )
        yield case


def _named_apart(cases: Sequence[FoundCase]) -> list[FoundCase]:
    counts = Counter(name for name, _ in {(case.name, case.image) for case in cases})
    if max(counts.values()) == 1:
        return list(cases)
    top = os.path.commonpath([case.image.absolute().parent for case in cases])
    named = []
    for case in cases:
        folders = Path(os.path.relpath(case.image.absolute().parent, top)).parts
        name = "_".join([*folders, case.name]) if counts[case.name] > 1 else case.name
        named.append(replace(case, name=name, told=(*case.told, *reversed(folders))))
    return named
