"""LLD-MMRI: 498 patients with liver lesions, eight MR sequences each, no organ labels (papers 003/004)."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

from LiverMRISegLib.anatomy import Sequence
from LiverMRISegLib.data.datalist import Datalist, Scan
from LiverMRISegLib.data.importers.layout import folder
from LiverMRISegLib.errors import InputError
from LiverMRISegLib.io.json_text import parse_json

LICENCE = "the data set's own terms, research use"
# The data set writes "In Phase", FLARE's copy "InPhase", copies for file systems without "+" write "C--A".
_PHASES = {
    "C+A": Sequence.C_ARTERIAL,
    "C+V": Sequence.C_VENOUS,
    "C+Delay": Sequence.C_DELAY,
    "C-pre": Sequence.C_PRE,
    "C+pre": Sequence.C_PRE,
    "DWI": Sequence.DWI,
    "T2WI": Sequence.T2WI,
    "InPhase": Sequence.IN_PHASE,
    "OutPhase": Sequence.OUT_PHASE,
}
_FLAT_NAME = r"(MR-?\d+)_(?:\d+_)?([^_]+)_0000\.nii\.gz"


def import_lld_mmri(source: Path, _output: Path) -> Datalist:
    """images/MR-391135/STUDY/SERIES.nii.gz, whose phases are in labels/Annotation.json; or FLARE's flat names.

    Flat: images/MR-391135_1_C+A_0000.nii.gz. The cropped classification_dataset shows lesions alone and is of no use.

    Raises:
        InputError: another layout, or a phase that is none of the eight.
    """
    images, table = folder(source / "images", "LLD-MMRI"), source / "labels" / "Annotation.json"
    scans = list(_annotated(images, table)) if table.is_file() else list(flat_scans(images))
    if not scans:
        raise InputError(f"{images}: contains no volume, and {table} is not there; give LLD-MMRI as it was unpacked")
    return Datalist("LLD-MMRI", LICENCE, {}, scans)


def flat_scans(images: Path, leave_out: Collection[Path] = ()) -> Iterator[Scan]:
    """The scans of a folder of flat names but those to leave out; InputError for an unknown phase."""
    for file in sorted(set(images.glob("*.nii.gz")) - set(leave_out)):
        found = re.fullmatch(_FLAT_NAME, file.name)
        if found is None:
            raise InputError(f"{file}: is not a name like MR-391135_1_C+A_0000.nii.gz; move what was added elsewhere")
        yield Scan(found[1], _sequence(found[2], file), file)


def _annotated(images: Path, table: Path) -> Iterator[Scan]:
    for patient, series in sorted(_entries(table).items()):
        for entry in series:
            try:
                file = images / patient / entry["studyUID"] / f"{entry['seriesUID']}.nii.gz"
                phase = entry["phase"]
            except (KeyError, TypeError) as error:
                raise InputError(f"{table}: an entry of {patient} has no {error}; the layout is another one") from error
            if not file.is_file():
                raise InputError(f"{file}: is not there, but {table.name} names it; the data set is not complete")
            yield Scan(patient, _sequence(phase, file), file)


def _entries(table: Path) -> dict[str, list[dict[str, Any]]]:
    try:
        entries = parse_json(table.read_bytes())["Annotation_info"]
        return {str(patient): list(series) for patient, series in entries.items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(f"{table}: is not LLD-MMRI's table of series ({error})") from error


def _sequence(phase: str, file: Path) -> str:
    known = _PHASES.get(phase.replace(" ", "").replace("--", "+"))
    if known is None:
        raise InputError(f"{file}: unknown phase '{phase}'; known are: {', '.join(_PHASES)}")
    return known.value
