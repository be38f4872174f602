"""Cases of several images, in files that belong together by nnU-Net's names: CASE_0000.nii.gz, CASE_0001.nii.gz, ..."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from LiverMRISegLib.errors import InputError, UsageError
from LiverMRISegLib.io.file_names import name_of
from LiverMRISegLib.io.read import read_volume
from LiverMRISegLib.volume import Volume

FIRST_IMAGE = "_0000"  # the end of a name
_NUMBERED = re.compile(r"(?P<case>.+)_\d{4}")


def channel_files(source: Path, count: int) -> tuple[Path, ...]:
    """Where the `count` images of the case are, of which `source` (a file or a DICOM folder) is one, in their order.

    Whether they exist is not asked. Only `source` if it is the only one, or if its name has no number.
    """
    name = name_of(source)
    found = _NUMBERED.fullmatch(name)
    if count == 1 or found is None:
        return (source,)
    ending = source.name[len(name) :]
    return tuple(source.with_name(f"{found['case']}_{number:04d}{ending}") for number in range(count))


def case_of(source: Path) -> str:
    """The CASE of CASE_0000.nii.gz; without a number, the name without its ending."""
    found = _NUMBERED.fullmatch(name_of(source))
    return found["case"] if found else name_of(source)


def what_to_give(names: Sequence[str]) -> str:
    """The images of a case by what their files are called: "CASE_0000 T1, CASE_0001 T2"."""
    return ", ".join(f"CASE_{number:04d} {name}" for number, name in enumerate(names))


def read_channels(
    source: Path, names: Sequence[str], *, series: str | None = None, frame: int | None = None
) -> list[Volume]:
    """The images of the case that `source` is one of, in the order of `names`, those that a model takes.

    A single one is read as `read_volume` does. Of several, those after the first may be masks, or of one value: some
    models take such beside the image. `series` and `frame` as for `read_volume`.

    Raises:
        InputError: as `read_volume`; a name without number; an image that is missing, named by `names`; one too many.
        UsageError: `series` is given where the model takes several images.
    """
    if len(names) == 1:
        return [read_volume(source, series=series, frame=frame)]
    if series is not None:
        raise UsageError(
            f"{source}: one series was chosen, and the model takes {len(names)} images a case; "
            f"give folders of one series each: {what_to_give(names)}"
        )
    files = channel_files(source, len(names))
    _check(source, files, names)
    volumes = [read_volume(file, frame=frame, may_be_mask=number > 0) for number, file in enumerate(files)]
    # By these names errors tell which file they are about.
    return [replace(volume, name=file.name) for volume, file in zip(volumes, files, strict=True)]


def _check(source: Path, files: Sequence[Path], names: Sequence[str]) -> None:
    wanted = f"the model takes {len(names)} images a case: {what_to_give(names)}"
    if len(files) != len(names):
        raise InputError(f"{source}: {wanted}; name the files so, and give any of them")
    for file, name in zip(files, names, strict=True):
        if not file.exists():
            raise InputError(f"{file}: no such file, it would be the image '{name}'; {wanted}")
    beyond = channel_files(source, len(names) + 1)[-1]
    if beyond.exists():
        raise InputError(f"{beyond}: is one image more than expected; {wanted}")
