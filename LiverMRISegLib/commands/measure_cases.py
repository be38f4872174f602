"""The cases of a `measure` call: which INPUT is a segmentation and which a volume, and which files belong to it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from LiverMRISegLib.commands.frames import with_frames
from LiverMRISegLib.commands.inputs import Source, find_sources, without_parts
from LiverMRISegLib.errors import InputError, UsageError
from LiverMRISegLib.io.file_names import LABELMAP_ENDINGS, name_of, resolved

CASE = "{case}"
_SUFFIXES = ("_seg", "_label", "_segmentation")


@dataclass(frozen=True)
class MeasureCase:
    """One case: its `source` is a volume to be segmented, or (`is_segmentation`) a label map. `name` is for pairing."""

    name: str
    source: Source
    is_segmentation: bool = False


@dataclass(frozen=True)
class Pairing:
    """Where the other files of the cases are: for each kind ("pdff") a file, a folder or a pattern with {case}."""

    places: Mapping[str, str] = field(default_factory=dict)
    is_cohort: bool = False

    def file_of(self, kind: str, case: str) -> Path:
        """The file of one case.

        Raises:
            InputError: there is none, or there are several.
        """
        place = self.places[kind]
        path = Path(place.replace(CASE, case))
        if CASE in place:
            if not path.exists():
                raise InputError(f"{path}: there is no such file for '{kind}' of case {case}; check the pattern")
            return path
        if not path.exists():
            raise InputError(f"{path}: no such file or folder for '{kind}'; check the path")
        return path if _is_one_image(path) else _in_folder(path, kind, case)

    def check(self) -> None:
        """Refuse one file for several cases: UsageError."""
        for kind, place in self.places.items():
            if self.is_cohort and CASE not in place and Path(place).exists() and _is_one_image(Path(place)):
                raise UsageError(
                    f"{place}: is one image for '{kind}', but there are several cases; give a folder with "
                    f"CASE_{_plain(kind)}.nii.gz or CASE.nii.gz for each, or a pattern such as maps/{CASE}.nii.gz"
                )


def find_cases(
    inputs: Sequence[Path], series: str | None, frame: str | None, labels: str | None, images: int
) -> tuple[list[MeasureCase], bool]:
    """The cases of `inputs`, and whether they are a cohort, in which one failure does not stop the others.

    An input is a segmentation if it is called NAME_seg.* or NAME.seg.nrrd, is a DICOM SEG, or if `labels` says what its
    values mean. Of a folder the volumes are taken; of one without any, the segmentations; with `labels` those called
    NAME_seg.*, NAME_label.* or NAME_segmentation.*, or if there are none, all files.

    Raises:
        InputError: the only input does not exist, or a folder has neither volumes nor segmentations.
        UsageError: two cases have one name.
    """
    cases: list[MeasureCase] = []
    is_cohort = len(inputs) > 1
    for given in inputs:
        files = _segmentations_in(given, all_files=labels is not None)
        if files:
            is_cohort = is_cohort or given.is_dir()
            cases += [MeasureCase(case_of_mask(file), Source(case_of_mask(file), (file,)), True) for file in files]
        else:
            found = find_sources([given], series, images)
            is_cohort = is_cohort or found.is_cohort
            cases += [MeasureCase(source.name, source) for source in with_frames(found.sources, frame)]
    # Also of the folders of several inputs, which were searched one by one.
    sources = without_parts([case.source for case in cases])
    cases = [replace(case, source=source) for case, source in zip(cases, sources, strict=True)]
    return _of_different_names(cases), is_cohort or len(cases) > 1


def ignored_segmentations(given: Path) -> list[Path]:
    """The segmentations beside the volumes of a folder, where the volumes are taken."""
    if not given.is_dir() or _segmentations_in(given, all_files=False):
        return []
    named = [path for path in sorted(given.iterdir()) if _is_called_segmentation(path)]
    return [path for path in named if path.is_file() and not path.name.startswith(".")]


def case_of_mask(path: Path) -> str:
    """The NAME of NAME_seg.nii.gz, NAME.seg.nrrd, NAME_seg.dcm, NAME_label.nii.gz."""
    name = _stem(path)
    return next((name[: -len(end)] for end in _SUFFIXES if name.endswith(end) and name != end), name)


def _segmentations_in(given: Path, all_files: bool) -> list[Path]:
    """`given` itself if it is a segmentation; those of a folder that has no volumes (or all label maps of a folder)."""
    if given.is_file():
        return [given] if all_files or _is_segmentation(given) else []
    if not given.is_dir():
        return []
    files = [path for path in sorted(given.iterdir()) if path.is_file() and not path.name.startswith(".")]
    if all_files:
        files = [f for f in files if f.name.lower().endswith(LABELMAP_ENDINGS) or _is_segmentation(f)]
        return [f for f in files if case_of_mask(f) != _stem(f)] or files  # images may be beside them
    from LiverMRISegLib.io.read import is_dicom_folder, is_volume_file

    if is_dicom_folder(given) or any(is_volume_file(file) for file in files):
        return []
    return [file for file in files if _is_segmentation(file)]


def _is_segmentation(path: Path) -> bool:
    from LiverMRISegLib.io.dicom.folders import is_dicom_seg

    return _is_called_segmentation(path) or (not path.name.lower().endswith(LABELMAP_ENDINGS) and is_dicom_seg(path))


def _is_called_segmentation(path: Path) -> bool:
    name = path.name.lower()
    if not name.endswith(LABELMAP_ENDINGS):
        return False
    return name.endswith(".seg.nrrd") or name_of(path).lower().endswith(_SUFFIXES[0])


def _is_one_image(path: Path) -> bool:
    from LiverMRISegLib.io import is_dicom_folder

    return path.is_file() or is_dicom_folder(path)


def _in_folder(folder: Path, kind: str, case: str) -> Path:
    """The file or DICOM folder of a case in `folder`: CASE_kind.* or CASE.*."""
    wanted = {f"{case}_{_plain(kind)}".lower(), case.lower()}
    found = [p for p in sorted(folder.iterdir()) if not p.name.startswith(".") and _stem(p).lower() in wanted]
    if len(found) == 1:
        return found[0]
    if not found:
        raise InputError(
            f"{folder}: has no {case}_{_plain(kind)}.* and no {case}.*, the '{kind}' of case {case}; rename it, or "
            f"give a pattern with {CASE}"
        )
    raise InputError(f"{folder}: {found[0].name} and {found[1].name} are both '{kind}' of case {case}; keep one")


def _stem(path: Path) -> str:
    name = name_of(path)
    return name[: -len(".dcm")] if name.lower().endswith(".dcm") else name


def _plain(kind: str) -> str:
    """A kind as files can be called: r2star for R2*."""
    return kind.lower().replace("*", "star").replace(" ", "_")


def _of_different_names(cases: Sequence[MeasureCase]) -> list[MeasureCase]:
    """Cases of one name, in several folders, get their folders' names."""
    counts = Counter(case.name for case in cases)
    named = [
        replace(case, name=f"{resolved(case.source.files[0]).parent.name}/{case.name}")
        if counts[case.name] > 1
        else case
        for case in cases
    ]
    for name, count in Counter(case.name for case in named).items():
        if count > 1:
            raise UsageError(f"{count} cases are called {name}; rename their files or folders, or measure them apart")
    return named
