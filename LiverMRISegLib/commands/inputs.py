"""What the INPUTs of a `segment` call stand for: files, folders of volumes, DICOM series in folders of any depth."""

from __future__ import annotations

import itertools
import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from LiverMRISegLib.errors import InputError
from LiverMRISegLib.io.file_names import VOLUME_ENDINGS, name_of

logger = logging.getLogger(__name__)
ALL = "all"
_ARCHIVES = (".zip", ".tar", ".tgz", ".tar.gz", ".tar.bz2", ".tar.xz", ".7z", ".rar")
_LONGEST_DESCRIPTION, _MOST_NAMED, _MOST_LOOKED_AT = 40, 5, 20_000


@dataclass(frozen=True)
class Source:
    """A volume that was found: its name for results, its files, and which series and frame of them is meant.

    `files` are the images of the case: one, but for a model that takes several. `problem`: why it must not be read.
    """

    name: str
    files: tuple[Path, ...]
    series: str | None = None
    frame: int | None = None
    problem: str = ""


@dataclass(frozen=True)
class Found:
    """All volumes of a call. `is_cohort`: one of the inputs was a folder of volumes, or there are several."""

    sources: list[Source]
    is_cohort: bool


def find_sources(inputs: Sequence[Path], series: str | None = None, images: int = 1) -> Found:
    """The volumes of `inputs`. In folders that were searched, each DICOM series is one; so it is with series "all".

    Args:
        inputs: files and folders.
        series: UID of the series to take, or "all".
        images: how many the model takes a case; where it is more than one, folders are not taken apart.

    Raises:
        InputError: the only input does not exist, or has no volume.
    """
    found: list[Source] = []
    any_folder = False
    for given in inputs:
        own = _sources_of(given, series, images, alone=len(inputs) == 1)
        # A CD with one series is that series.
        any_folder = any_folder or not (len(own) == 1 and (own[0].files[0] == given or _is_below(own[0], given)))
        found += own
    _say_what_is_ignored(found)
    if images > 1:
        found = _cases_of([source.files[0] for source in found], images)
    return Found(_of_different_names(without_parts(found)), any_folder or len(found) > 1)


def without_parts(sources: Sequence[Source]) -> list[Source]:
    """The sources; folders with parts of one volume have that as their problem.

    Some exports fill a folder with so many images and begin another: each would pass for a volume of fewer slices.
    """
    folders: dict[str, list[Path]] = {}
    for source in sources if len(sources) > 1 else ():
        uid = source.series or _only_series(source.files[0])
        if uid:
            folders.setdefault(uid, []).append(source.files[0])
    problems: dict[Path, str] = {}
    for uid, own in folders.items():
        if len(set(own)) > 1 and _are_parts(own, uid):
            for folder in own:
                others = _listed([str(other) for other in own if other != folder])
                problems[folder] = (
                    f"{folder}: has only a part of the images of series {uid}; others are in {others}: "
                    "move them to one folder"
                )
    return [replace(source, problem=problems.get(source.files[0], "")) for source in sources]


def _say_what_is_ignored(sources: Sequence[Source]) -> None:
    """What a DICOM folder has beside its images: other volumes, as dcm2niix writes them, and folders with images."""
    folders = [folder for folder in dict.fromkeys(source.files[0] for source in sources) if folder.is_dir()]
    for folder in folders:
        volumes, below = _beside_images(folder, folders)
        if volumes:
            names = _listed([path.name for path in volumes])
            logger.warning("%s: has DICOM images, so other volumes in it are ignored: %s", folder, names)
        if below:
            names = _listed([str(path.relative_to(folder)) for path in below])
            logger.warning("%s: has DICOM images, so those in its folders are ignored: %s", folder, names)


def _beside_images(folder: Path, taken: Sequence[Path]) -> tuple[list[Path], list[Path]]:
    """Volumes of other formats in a DICOM folder; and some folders below it that have images and are not `taken`."""
    from LiverMRISegLib.io.dicom.elements import is_dicom_file
    from LiverMRISegLib.io.dicom.folders import folders_with_images
    from LiverMRISegLib.io.read import is_volume_file

    volumes = [path for path in sorted(folder.iterdir()) if is_volume_file(path) and not is_dicom_file(path)]
    below = (path for path in folders_with_images(folder) if path not in taken)
    return volumes, list(itertools.islice(below, _MOST_NAMED + 1))


def _only_series(folder: Path) -> str:
    """UID of the series of a DICOM folder; "" where it is none, or has several."""
    from LiverMRISegLib.io import list_series

    try:
        series = list_series(folder) if folder.is_dir() else []
    except InputError:
        return ""
    return series[0].uid if len(series) == 1 else ""


def _are_parts(folders: Sequence[Path], uid: str) -> bool:
    from LiverMRISegLib.io.dicom.series import parts_of_one_volume

    try:
        return parts_of_one_volume(folders, uid)
    except InputError:  # which is told when they are read
        return False


def _is_below(source: Source, given: Path) -> bool:
    """Whether it is a DICOM folder that was found at some depth, and not one of a folder's volumes."""
    return source.files[0].is_dir() and source.files[0].parent != given


def _cases_of(files: Sequence[Path], images: int) -> list[Source]:
    from LiverMRISegLib.io.channels import case_of, channel_files

    return [Source(case_of(own[0]), own) for own in dict.fromkeys(channel_files(file, images) for file in files)]


def _sources_of(given: Path, series: str | None, images: int, alone: bool) -> list[Source]:
    """The volumes of an INPUT: itself if it is a file, a DICOM folder, or (in a cohort) missing."""
    from LiverMRISegLib.io import is_dicom_folder

    if not given.exists() and alone:
        raise InputError(f"{given}: no such file or folder; check the path")
    itself = Source(name_of(given), (given,))
    if not given.is_dir():
        return [itself]
    if is_dicom_folder(given):
        return _each_series(itself, given) if series == ALL else [replace(itself, series=series)]
    found = list(_inside(given, images))
    if series not in (None, ALL):
        found = [source for source in found if source.series in (None, series)]
    if not found and alone:
        raise InputError(f"{given}: contains no volume (.nii.gz, .nii, .nrrd, .mha) and no DICOM image{_hint(given)}")
    return found or [itself]


def _inside(folder: Path, images: int) -> Iterator[Source]:
    """The volumes directly in `folder`, and the DICOM series in its folders, however deep."""
    from LiverMRISegLib.io import is_dicom_folder
    from LiverMRISegLib.io.dicom.folders import folders_with_images
    from LiverMRISegLib.io.read import is_volume_file

    for path in sorted(folder.iterdir()):
        if path.name.startswith("."):
            continue
        if is_volume_file(path) or (images > 1 and is_dicom_folder(path)):
            yield Source(name_of(path), (path,))
        elif path.is_dir() and (alone := _volume_in(path)) is not None:
            yield Source(name_of(alone), (alone,))
        elif path.is_dir():
            for place in (path, *folders_with_images(path)):
                if place != path or is_dicom_folder(place):
                    yield from _each_series(Source("_".join(place.relative_to(folder).parts), (place,)), place)


def _volume_in(folder: Path) -> Path | None:
    """The file of a folder that is called as a volume (scan.nii.gz/scan.nii), as some programs unpack archives."""
    from LiverMRISegLib.io.read import is_volume_file

    if not folder.name.lower().endswith(VOLUME_ENDINGS):
        return None
    found = [path for path in folder.iterdir() if is_volume_file(path)]
    return found[0] if len(found) == 1 else None


def _each_series(source: Source, folder: Path) -> list[Source]:
    """A source for every series of a DICOM folder; what cannot be read stays one, which then fails with the reason."""
    from LiverMRISegLib.io import list_series

    try:
        series = list_series(folder)
    except InputError:
        return [source]
    if len(series) == 1:
        return [replace(source, series=series[0].uid)]
    return [
        replace(source, name=f"{source.name}_{one.number}{_in_a_name(one.description)}", series=one.uid)
        for one in series
    ]


def _in_a_name(description: str) -> str:
    words = "".join(c if c.isalnum() else " " for c in description).split()
    return f"_{'_'.join(words)[:_LONGEST_DESCRIPTION]}" if words else ""


def _of_different_names(sources: Sequence[Source]) -> list[Source]:
    """Series of one name are counted; other clashes are for the caller to report."""
    taken = {source.name for source in sources if source.series is None}
    named = []
    for source in sources:
        name = source.name
        if source.series is not None:
            counted = (f"{source.name}_{number}" for number in itertools.count(2))
            while name in taken:
                name = next(counted)
            taken.add(name)
        named.append(replace(source, name=name))
    return named


def _hint(folder: Path) -> str:
    """What there is instead, and what to do."""
    from LiverMRISegLib.io.read import is_volume_file

    archives = [path.name for path in sorted(folder.iterdir()) if path.name.lower().endswith(_ARCHIVES)]
    if archives:
        return f", but archives ({_listed(archives)}); unpack them and give the folder with the images"
    below = itertools.islice(folder.rglob("*"), _MOST_LOOKED_AT)
    inside = sorted({str(path.parent.relative_to(folder)) for path in below if is_volume_file(path)})
    if inside:
        return f"; volumes are in its folders {_listed(inside)}: give these"
    return "; check the path"


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:_MOST_NAMED]) + (", ..." if len(names) > _MOST_NAMED else "")
