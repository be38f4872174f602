"""A plain folder of volumes without labels: a cohort of one's own that a model is to be adapted to."""

from __future__ import annotations

from pathlib import Path

from LiverMRISegLib.anatomy import Sequence
from LiverMRISegLib.data.datalist import Datalist, Scan
from LiverMRISegLib.data.importers.layout import folder
from LiverMRISegLib.errors import InputError
from LiverMRISegLib.io.file_names import VOLUME_ENDINGS, name_of
from LiverMRISegLib.io.read import is_volume_file
from LiverMRISegLib.sequence_names import guess_sequence


def import_folder(source: Path, _output: Path) -> Datalist:
    """Every volume at any depth but results (NAME_seg.*).

    The names of file and folders below `source` tell its sequence (T2WI/case_01.nii.gz).
    A folder called as a sequence is believed before anything else. Every volume counts as a patient of its own, called
    by its path; none has labels.

    Raises:
        InputError: no volume, or one whose sequence no name tells.
    """
    files = sorted(p for p in folder(source, "your volumes").rglob("*") if is_volume_file(p))
    if not files:
        raise InputError(f"{source}: holds no volume ({', '.join(VOLUME_ENDINGS)})")
    return Datalist(source.name, "of the cohort's owner", {}, [_scan(file, source) for file in files])


def _scan(file: Path, source: Path) -> Scan:
    inside = file.relative_to(source)
    called = {sequence.value.lower(): sequence for sequence in Sequence}
    told = (called[part.lower()] for part in reversed(inside.parts[:-1]) if part.lower() in called)
    found = next(told, None) or guess_sequence(str(inside))
    if found is None:
        known = ", ".join(sequence.value for sequence in Sequence)
        raise InputError(f"{file}: no name tells its sequence; put it into a folder called as one of {known}")
    return Scan("_".join((*inside.parts[:-1], name_of(file))), found.value, file)
