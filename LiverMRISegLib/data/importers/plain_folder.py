"""A plain folder of a user's own volumes, with label maps beside them or without any."""

from __future__ import annotations

import logging
import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from LiverMRISegLib.data.importers.layout import folder, why_missing
from LiverMRISegLib.data.importers.own_data import (
    FoundCase,
    Imported,
    OwnDataOptions,
    first_of_each,
    listed,
    numbered_names,
    read_label_names,
)
from LiverMRISegLib.errors import InputError
from LiverMRISegLib.io import read_labelmap, read_volume, write_volume
from LiverMRISegLib.io.atomic import make_folder
from LiverMRISegLib.io.file_names import VOLUME_ENDINGS, name_of, resolved
from LiverMRISegLib.io.read import is_volume_file, named_segments
from LiverMRISegLib.io.segment_codes import SEGMENTS, check_no_contradiction, meant_in_words
from LiverMRISegLib.volume import Volume, spread_over

logger = logging.getLogger(__name__)
_LABEL_FOLDERS = ("labels", "label", "masks", "mask", "segmentations", "segmentation")
_IMAGE_FOLDERS = ("images", "image")
_SEGMENTATION = ".seg.nrrd"
_MARKS = re.compile(r"[._-](label|labels|mask|segmentation)$", re.IGNORECASE)
# What Slicer adds to a volume's name in that of a segmentation: this module "organs", TotalSegmentator "segmentation".
_OF_SLICER = re.compile(r"[ _](organs|segmentation)([ _-]\d+)?$", re.IGNORECASE)
# What a label map is called in a folder that holds one image; Slicer's own names for a segmentation are of this kind.
_UNNAMED = re.compile(r"(labels?|mask|seg|segmentation)([ _-]\d+)?", re.IGNORECASE)
# What `segment` writes: a mask that a model made teaches a model nothing, unless somebody says that it is right.
_RESULT = re.compile(r"_seg$", re.IGNORECASE)
_MADE_BY_A_MODEL = "its name says that a model made it; if it is corrected and right, name it NAME_label"
OTHER_MASK = "its image has another mask"
LeftOut = tuple[Path, str]


def import_folder(source: Path, output: Path, options: OwnDataOptions) -> Imported:
    """Every volume at any depth. The names of file and folders say its sequence (T2WI/case_01.nii.gz).

    The label map of NAME is NAME_label (or _labels, _mask, _segmentation; NAME_seg if the options take results) beside
    it, or "NAME.seg.nrrd" or "NAME organs.seg.nrrd" as Slicer calls it, or a file of the same name in a folder labels/
    beside images/; the label map of a folder's only image may be called label, mask, seg or Segmentation alone. What
    its values mean is in labels.json ({"1": "liver"}) in `source`, or given by the options; in Slicer's .seg.nrrd it is
    the segments' names, and these are renumbered alike for all cases in `output`, on the grids of the images.
    Every volume counts as a patient of its own, called by its path, unless the table says otherwise.

    Raises:
        InputError: no volume, one of unknown sequence, or label maps whose values have no meaning.
        OutputError: renumbered label maps cannot be written.
    """
    cases, left_out = _found(source, options)
    labels = [case.labels for case in cases if case.labels]
    if not labels:
        return listed(source.name, {}, cases, options, left_out)
    values = dict(options.values or {}) or (
        read_label_names(path) if (path := source / "labels.json").is_file() else {}
    )
    if not values or any(_has_names(path) for path in labels):
        values, cases, unread = _renumbered(cases, source, output, values or options.usual_values or {})
        left_out += unread
    return listed(source.name, values, cases, options, left_out)


def import_volumes(source: Path, options: OwnDataOptions) -> Imported:
    """As `import_folder`, but of the volumes alone: label maps beside them are not read."""
    cases, left_out = _found(source, options)
    return listed(source.name, {}, [replace(case, labels=None) for case in cases], options, left_out)


def _found(source: Path, options: OwnDataOptions) -> tuple[list[FoundCase], list[LeftOut]]:
    found = (p for p in folder(source, "your volumes").rglob("*") if _is_volume(p))
    named = sorted(p for p in found if not _is_made(p, source, options.made))
    cases, left_out = _cases([p for p in named if p.is_file()], source, options)
    first, twice = first_of_each(cases)
    left_out += twice
    left_out += [(path, reason) for path in named if (reason := why_missing(path))]
    return list(first.values()), left_out


def _is_made(path: Path, source: Path, made: Path | None) -> bool:
    """Whether it is in the folder `made` below `source`."""
    if made is None or resolved(source).is_relative_to(resolved(made)):
        return False
    return resolved(path.parent).is_relative_to(resolved(made))


def _is_volume(path: Path) -> bool:
    """Also results (NAME_seg.*), which a search for volumes to segment leaves out."""
    return is_volume_file(path) or (path.name.lower().endswith(VOLUME_ENDINGS) and not path.name.startswith("."))


def _cases(found: Sequence[Path], source: Path, options: OwnDataOptions) -> tuple[list[FoundCase], list[LeftOut]]:
    """Images with their label maps, and the files that are neither."""
    results = [p for p in found if _RESULT.search(_plain_name(p))]
    files = [p for p in found if p not in results]
    left_out = [(path, _MADE_BY_A_MODEL) for path in results if not options.takes_results]
    images = [p for p in files if not _is_label(p, source)]
    if not images:
        endings = ", ".join(VOLUME_ENDINGS)
        raise InputError(f"{source}: contains no volume ({endings}); save DICOM series in one of these formats first")
    beside = defaultdict(list)
    for image in images:
        beside[image.parent].append(image)
    labels: dict[tuple[str, ...], Path] = {}
    keys = {_key(image, source) for image in images}
    masks = [p for p in reversed(files) if _is_label(p, source)]  # NAME_label comes before NAME.seg.nrrd, both before
    masks.sort(key=lambda p: bool(_UNNAMED.fullmatch(_plain_name(p))))  # those that do not name their image
    for path in [*masks, *(results if options.takes_results else [])]:
        images_here = beside[path.parent] if _UNNAMED.fullmatch(_plain_name(path)) else []
        key = _key(images_here[0] if len(images_here) == 1 else path, source)
        if key not in keys and path.name.lower().endswith(_SEGMENTATION):
            key = (*key[:-1], _OF_SLICER.sub("", key[-1]))
        if labels.setdefault(key, path) != path:
            left_out.append((path, OTHER_MASK))
    cases = [_case(image, source, labels.get(_key(image, source))) for image in images]
    used = {case.labels for case in cases}
    return cases, [(path, "no image has its name") for path in labels.values() if path not in used] + left_out


def _plain_name(path: Path) -> str:
    if path.name.lower().endswith(_SEGMENTATION):
        return path.name[: -len(_SEGMENTATION)]
    return name_of(path)


def _is_label(path: Path, source: Path) -> bool:
    inside = path.relative_to(source)
    in_folder = any(part.lower() in _LABEL_FOLDERS for part in inside.parts[:-1])
    name = _plain_name(path)
    is_named_so = _MARKS.search(name) or _UNNAMED.fullmatch(name)
    return in_folder or path.name.lower().endswith(_SEGMENTATION) or bool(is_named_so)


def _key(path: Path, source: Path) -> tuple[str, ...]:
    """The same for an image and its label map."""
    parts = [p for p in path.relative_to(source).parts[:-1] if p.lower() not in (*_LABEL_FOLDERS, *_IMAGE_FOLDERS)]
    return (*parts, _RESULT.sub("", _MARKS.sub("", _plain_name(path))))


def _case(image: Path, source: Path, labels: Path | None) -> FoundCase:
    inside = image.relative_to(source)
    return FoundCase("_".join(_key(image, source)), image, labels, (*reversed(inside.parts[:-1]), str(inside)))


def _renumbered(
    cases: Sequence[FoundCase], source: Path, output: Path, usual: Mapping[int, str]
) -> tuple[dict[int, str], list[FoundCase], list[LeftOut]]:
    """What values mean in all cases, the cases with label maps of these values, and those that cannot be read.

    The names of segments that `usual` lacks are numbered behind it.
    """
    named: dict[str, Mapping[int, str]] = {}
    unread: dict[str, LeftOut] = {}
    for case in cases:
        if case.labels is None or (usual and not _has_names(case.labels)):
            continue
        if not _has_names(case.labels):
            raise InputError(
                f'{case.labels}: nothing says what its values mean; put labels.json ({{"1": "liver"}}) into {source}, '
                "or give --labels"
            )
        try:
            named[case.name] = _segments(read_labelmap(case.labels), case.labels)
        except InputError as error:
            unread[case.name] = (case.labels, str(error))
    numbers = numbered_names({name for segments in named.values() for name in segments.values()}, usual, source)
    kept = [case for case in cases if case.name not in unread]
    renumbered = [
        replace(case, labels=_write(case, named[case.name], numbers, output)) if case.name in named else case
        for case in kept
    ]
    values = {value: name for name, value in numbers.items()}
    return {**values, **usual}, renumbered, list(unread.values())


def _segments(labelmap: Volume, path: Path) -> Mapping[int, str]:
    """What the segments of a file are; where that is not what they are called, it is said."""
    check_no_contradiction(labelmap, path)
    if said := meant_in_words(labelmap):
        logger.warning("%s: %s", path, said)
    return {**labelmap.metadata[SEGMENTS], **named_segments(labelmap)}


def _has_names(labels: Path) -> bool:
    return labels.name.lower().endswith(_SEGMENTATION)


def _write(case: FoundCase, segments: Mapping[int, str], numbers: Mapping[str, int], output: Path) -> Path:
    labelmap = read_labelmap(case.labels or case.image)
    array = np.zeros(labelmap.array.shape, np.uint8)
    for value, name in segments.items():
        array[labelmap.array == value] = numbers[name.lower()]
    made = Volume(array, labelmap.geometry, case.name)
    target = output / f"{case.name}.nii.gz"
    make_folder(target.parent)
    write_volume(_on_grid_of(case.image, made) if labelmap.metadata.get("cropped") else made, target)
    return target


def _on_grid_of(image: Path, labels: Volume) -> Volume:
    """The label map on the whole grid of its image, if it is on a part of it: Slicer writes the box around segments."""
    try:
        grid = read_volume(image).geometry
    except InputError:  # `check_scans` says so
        return labels
    return spread_over(labels, grid)
