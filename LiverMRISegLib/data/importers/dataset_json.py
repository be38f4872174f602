"""What dataset.json says, of nnU-Net, of the Medical Segmentation Decathlon, and of MONAI: channel, labels, files."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from LiverMRISegLib.data.importers.layout import why_missing
from LiverMRISegLib.data.importers.own_data import IGNORE, LICENCE, FoundCase, OwnDataOptions
from LiverMRISegLib.errors import InputError
from LiverMRISegLib.io.file_names import name_of, why_impossible
from LiverMRISegLib.io.json_text import parse_json

_HIGHEST = 255
_VARIABLE = re.compile(r"\$\{?(\w+)")
# nnU-Net's converters write this where nobody gave a licence.
_NO_LICENCE = "Whoever converted this dataset"


def read_dataset_json(path: Path) -> Mapping[str, Any]:
    """The document; InputError if it is missing or damaged."""
    try:
        document = parse_json(path.read_bytes())
    except OSError as error:
        problem = error.strerror or error
        raise InputError(f"{path}: cannot be read ({problem}); give the folder that contains dataset.json") from error
    except ValueError as error:
        raise InputError(f"{path}: is not JSON ({error}); correct it") from error
    if not isinstance(document, Mapping):
        raise InputError(f"{path}: is not a description of a data set; get it again")
    return document


def stated_licence(document: Mapping[str, Any]) -> str:
    """As the data set says it, in either spelling; else that the data are their owner's."""
    said = document.get("licence") or document.get("license")
    return said if isinstance(said, str) and not said.startswith(_NO_LICENCE) else LICENCE


def only_channel(document: Mapping[str, Any], path: Path, remedy: str) -> str:
    """The name of the one channel, "" if none is named; InputError for several: a volume of a datalist is one image."""
    given = document.get("channel_names") or document.get("modality") or ()
    channels = given.values() if isinstance(given, Mapping) else (given,) if isinstance(given, str) else given
    names = [str(name) for name in channels]
    if len(names) > 1:
        raise InputError(
            f"{path}: describes {len(names)} channels ({', '.join(names)}); training takes one image a case: {remedy}"
        )
    return names[0] if names else ""


def values_of(document: Mapping[str, Any], options: OwnDataOptions, path: Path) -> dict[int, str]:
    """What the values mean by the options, else by the document; a value to ignore is one by either.

    Raises:
        InputError: as `names_by_value`.
    """
    labels = document.get("labels")
    if not options.values:
        return names_by_value(labels, path) if labels else {}
    said = labels.items() if isinstance(labels, Mapping) else ()
    ignored = {key: entry for key, entry in said if IGNORE in (str(key).lower(), str(entry).lower())}
    return {**names_by_value(ignored, path), **options.values}


def names_by_value(labels: Any, path: Path) -> dict[int, str]:
    """Value to name without background, from {"liver": 1} (nnU-Net v2) or {"1": "liver"} (v1, the decathlon).

    A region {"liver": [1, 2]} is one structure of several values, as long as no other one has them too.

    Raises:
        InputError: no labels, regions that overlap, or values that are not whole numbers from 1 to 254.
    """
    if not isinstance(labels, Mapping):
        raise InputError(f'{path}: its "labels" are not like {{"background": 0, "liver": 1}}; correct them')
    names: dict[int, str] = {}
    for key, entry in labels.items():
        name, given = (str(entry), key) if str(key).isdigit() else (str(key), entry)
        for each in given if isinstance(given, (list, tuple)) else (given,):
            value = int(each) if isinstance(each, float) and each.is_integer() else each
            highest = _HIGHEST if name.lower() == IGNORE else _HIGHEST - 1
            if not str(value).isdigit() or int(value) > highest:
                raise InputError(
                    f"{path}: the value of '{name}' is {value!r}; a label is a whole number from 0 to {highest}"
                )
            other = names.setdefault(int(value), name)
            if other != name:
                raise InputError(
                    f"{path}: '{other}' and '{name}' both contain the value {int(value)}; training takes labels that "
                    "do not overlap: say by --labels FILE what each value is"
                )
    names.pop(0, None)
    return names


def only_one(given: Any, what: str, path: Path) -> Any:
    """The one of a list of one, as MONAI writes single files too; InputError for several."""
    if not isinstance(given, (list, tuple)) or not given:
        return given
    if len(given) > 1:
        raise InputError(
            f"{path}: {given[0]!r:.80} and {len(given) - 1} more are the {what} of one case; training takes one a case:"
            " list one alone"
        )
    return given[0]


def listed_case(name: str, image: Any, labels: Any, path: Path, channel: str, split: str) -> FoundCase | None:
    """A case by the paths that the document `path` lists for it; None if they are not paths.

    Relative paths count from the document's folder. `name` is the image's where it is empty.
    """
    image, labels = only_one(image, "images", path), only_one(labels, "label maps", path)
    if not isinstance(image, str) or not image or not isinstance(labels, (str, type(None))):
        return None
    if any(why_impossible(path.parent / given) for given in (image, labels or "")):
        return None
    file = _file(path.parent, image)
    own = name_of(file)
    return FoundCase(
        name or own, file, _file(path.parent, labels) if labels else None, (channel, name, own), split=split
    )


def _file(folder: Path, name: str) -> Path:
    """The path below `folder`; where a list was written on Windows, backslashes stand between its folders."""
    file = Path(os.path.normpath(folder / name))
    return file if file.exists() else Path(os.path.normpath(folder / name.replace("\\", "/")))


def here(cases: Sequence[FoundCase], path: Path) -> tuple[list[FoundCase], list[tuple[Path, str]]]:
    """The cases all of whose files are here, and the others, each with the reason; `path` lists them."""
    found: list[FoundCase] = []
    left_out: list[tuple[Path, str]] = []
    for case in cases:
        missing = next((file for file in (case.image, case.labels) if file and not file.exists()), None)
        if missing is None:
            found.append(case)
            continue
        what = "" if missing == case.image else f"its label map {missing} "
        left_out.append(
            (case.image, what + (why_missing(missing) or f"is missing, but {path.name} lists it{_hint(missing)}"))
        )
    return found, left_out


def _hint(missing: Path) -> str:
    unset = next((name for name in _VARIABLE.findall(str(missing)) if name not in os.environ), "")
    if unset:
        return f"; set the environment variable {unset}"
    own = name_of(missing)
    first = missing.with_name(f"{own}_0000{missing.name.removeprefix(own)}")
    if first.exists():
        return f"; {first.name} is there, as nnU-Net names images: import it as `nnunet`"
    return "; paths that are not absolute count from its folder"
