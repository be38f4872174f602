"""The cases of a `segment` call and where each result goes; everything wrong with them is reported before any work."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from LiverMRISegLib.commands.frames import with_frames
from LiverMRISegLib.commands.inputs import find_sources
from LiverMRISegLib.errors import OutputError, UsageError
from LiverMRISegLib.io.file_names import SEGMENTATION_FORMATS as FORMATS
from LiverMRISegLib.io.file_names import resolved
from LiverMRISegLib.io.leftovers import remove_stale_files


@dataclass(frozen=True)
class SegmentCase:
    """One input volume and the file that its segmentation goes to; `further` are the other images of the case.

    `series` and `frame` are which of the series and volumes of `source` is meant (from 1), if it has several.
    `problem`: why it must not be read.
    """

    name: str
    source: Path
    output: Path
    further: tuple[Path, ...] = ()
    frame: int | None = None
    series: str | None = None
    problem: str = ""

    @property
    def files(self) -> tuple[Path, ...]:
        """All files that are read or written."""
        return (self.source, *self.further, self.output)


@dataclass(frozen=True)
class SegmentPlan:
    """The cases of a call. In a cohort (`is_cohort`) one failure does not stop the others."""

    cases: tuple[SegmentCase, ...]
    is_cohort: bool
    made_folders: list[Path] = field(default_factory=list)

    def prepare_output(self, extra_files: Sequence[Path] = ()) -> None:
        """Make the output folders and check with a temporary file that each is writable; OutputError if not.

        Temporary files that a killed process left there are removed.
        """
        for folder in sorted({f.parent for f in (*(case.output for case in self.cases), *extra_files)}):
            self._make(folder)
            try:
                with tempfile.TemporaryFile(dir=folder):
                    pass
            except OSError as error:
                self.remove_empty_folders()
                raise OutputError(
                    f"{folder}: cannot be written to ({error.strerror}); choose another output"
                ) from error
            remove_stale_files(folder)

    def _make(self, folder: Path) -> None:
        missing = [p for p in (folder, *folder.parents) if not p.exists()]
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OutputError(f"{folder}: cannot be made ({error.strerror}); choose another output") from error
        self.made_folders.extend(missing)

    def remove_empty_folders(self) -> None:
        """Remove the folders that `prepare_output` made and that are still empty."""
        for folder in self.made_folders:
            try:
                folder.rmdir()
            except OSError:
                continue


def plan_cases(
    inputs: Sequence[Path],
    output: Path,
    file_format: str | None,
    images: int = 1,
    frame: str | None = None,
    series: str | None = None,
) -> SegmentPlan:
    """The cases of `inputs` (files, folders of volumes, DICOM folders) for -o `output`.

    Where a model takes several `images` a case, each input stands for all images of its case (`io.channels`).
    `frame` is the frame to take, from 1, or "all" for a case each; `series` a UID, or "all" likewise.

    Raises:
        UsageError: names clash, an output would overwrite an input, or an ending is not a known format.
        InputError: the only input does not exist, or a folder contains no volume.
    """
    found = find_sources(inputs, series, images)
    sources = with_frames(found.sources, frame)
    is_cohort = found.is_cohort or len(sources) > 1
    if _is_file_name(output):
        _check_single_file(output, file_format, is_cohort)
        outputs = [output]
    else:
        _check_folder(output, inputs, is_cohort)
        ending = file_format or "nii.gz"
        outputs = [output / f"{source.name}_seg.{ending}" for source in sources]
    cases = [
        SegmentCase(own.name, own.files[0], file, own.files[1:], own.frame, own.series, own.problem)
        for own, file in zip(sources, outputs, strict=True)
    ]
    _check_clashes(cases)
    return SegmentPlan(tuple(cases), is_cohort)


def _is_file_name(output: Path) -> bool:
    if output.is_dir():
        return False
    return any(output.name.lower().endswith(f".{ending}") for ending in FORMATS)


def _check_single_file(output: Path, file_format: str | None, is_cohort: bool) -> None:
    if is_cohort:
        raise UsageError(f"-o {output}: several volumes need an output folder, not a file")
    if file_format and not output.name.lower().endswith(f".{file_format}"):
        raise UsageError(f"-o {output} does not end with .{file_format}; omit --format or change the ending")


def _check_folder(output: Path, inputs: Sequence[Path], is_cohort: bool) -> None:
    if output.exists() and not output.is_dir():
        raise UsageError(
            f"-o {output}: a file of that name exists, and its ending is not one of .{', .'.join(FORMATS)}"
        )
    if not is_cohort and output.suffix and not output.exists():
        raise UsageError(f"-o {output}: unknown ending; known are .{', .'.join(FORMATS)} (or give a folder)")
    for source in inputs:
        if source.is_dir() and resolved(output) == resolved(source):
            raise UsageError(
                f"-o {output} is an input folder; choose another, so that results are not taken for inputs"
            )


def _check_clashes(cases: Sequence[SegmentCase]) -> None:
    owner: dict[str, SegmentCase] = {}
    sources = {_key(file): file for case in cases for file in (case.source, *case.further)}
    for case in cases:
        key = _key(case.output)
        if key in sources:
            raise UsageError(f"{case.output} would overwrite the input {sources[key]}; choose another output")
        if key in owner and _key(owner[key].source) == _key(case.source):
            raise UsageError(f"{case.source} is given twice; give it once")
        if key in owner:
            raise UsageError(
                f"{owner[key].source} and {case.source} would both be written to {case.output}; "
                "rename one, or segment them into different folders"
            )
        owner[key] = case


def _key(path: Path) -> str:
    return os.path.normcase(resolved(path))
