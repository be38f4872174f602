"""A data set whose lists of files are in a JSON file: the Medical Segmentation Decathlon, and MONAI's datalists."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from LiverMRISegLib.data.importers.nnunet import labels_of, only_channel
from LiverMRISegLib.data.importers.own_data import Case, Imported, OwnDataOptions, listed
from LiverMRISegLib.errors import InputError
from LiverMRISegLib.io.file_names import name_of
from LiverMRISegLib.io.json_text import parse_json

_SPLITS = {"training": "train", "validation": "validation", "test": "test", "testing": "test"}


def import_decathlon(source: Path, _output: Path, options: OwnDataOptions) -> Imported:
    """A folder with dataset.json, or the JSON file itself; paths in it are relative to its folder.

    Each entry of "training", "validation" and "test" is {"image": ..., "label": ...} or the path of an image. Cases are
    called by their images, and where several images have one name, by their paths.

    Raises:
        InputError: another layout, a file that is missing, several channels, or no meaning of the labels.
    """
    path = source / "dataset.json" if source.is_dir() else source
    try:
        document = parse_json(path.read_bytes())
    except (OSError, ValueError) as error:
        raise InputError(
            f"{path}: cannot be read ({error}); give a decathlon's folder or a datalist in JSON"
        ) from error
    if not isinstance(document, Mapping) or not any(key in document for key in _SPLITS):
        raise InputError(f"{path}: has none of the lists {', '.join(_SPLITS)}; is it a decathlon's dataset.json?")
    channels = document.get("modality", document.get("channel_names"))
    channel = only_channel(channels, path) if channels else ""
    cases = [case for key, split in _SPLITS.items() for case in _cases(document.get(key) or [], path, split, channel)]
    if not cases:
        raise InputError(f"{path}: lists no image")
    cases = _named_apart(cases)
    values = dict(options.values or {})
    ignore = 0
    if not values and document.get("labels"):
        values, ignore = labels_of(document["labels"], path)
    if not values and any(case.labels for case in cases):
        raise InputError(f"{path}: does not say what its labels mean; say it by --labels FILE or a label set's name")
    return listed(str(document.get("name", path.parent.name)), values, cases, options, (), ignore)


def _cases(entries: Any, path: Path, split: str, channel: str) -> Iterator[Case]:
    for entry in entries:
        image, label = (entry.get("image"), entry.get("label")) if isinstance(entry, Mapping) else (entry, None)
        image, label = _only(image, "images", path), _only(label, "label maps", path)
        if not isinstance(image, str) or not isinstance(label, (str, type(None))):
            raise InputError(f"{path}: {entry!r:.80} is not an entry with an image")
        found = [_file(path.parent, name) for name in (image, label) if name]
        for file in found:
            if not file.exists():
                raise InputError(f"{file}: is missing, but {path.name} lists it; the data set is not complete")
        name = name_of(found[0])
        yield Case(name, found[0], found[1] if label else None, (channel, name), split=split)


def _only(given: Any, what: str, path: Path) -> Any:
    """The one of a list of one, as MONAI writes single files too."""
    if not isinstance(given, (list, tuple)):
        return given
    if len(given) != 1:
        raise InputError(f"{path}: {given[:1]} and others are one case of several {what}; training takes one")
    return given[0]


def _file(folder: Path, name: str) -> Path:
    """A file of the list; where a list was written on Windows, backslashes stand between its folders."""
    file = folder / name
    return file if file.exists() else folder / name.replace("\\", "/")


def _named_apart(cases: Sequence[Case]) -> list[Case]:
    counts = Counter(case.name for case in cases)
    if max(counts.values()) == 1:
        return list(cases)
    top = os.path.commonpath([case.image.absolute().parent for case in cases])
    named = []
    for case in cases:
        folders = Path(os.path.relpath(case.image.absolute().parent, top)).parts
        name = "_".join([*folders, case.name]) if counts[case.name] > 1 else case.name
        named.append(replace(case, name=name, told=(*case.told, *reversed(folders))))
    return named
