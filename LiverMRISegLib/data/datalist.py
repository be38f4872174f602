"""A datalist: which volumes there are, of which patient, sequence, vendor and centre, and which of them have labels.

A patient has any subset of the sequences, each a volume of its own grid; nothing is registered. It is a JSON file whose
paths are relative to its own folder:

    {"name": "...", "licence": "...", "values": {"1": "liver"},
     "scans": [{"patient": "1009-A-S1", "sequence": "GED4", "image": "...", "labels": "...", "vendor": "A", ...}]}
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from LiverMRISegLib import anatomy
from LiverMRISegLib.errors import InputError, UsageError
from LiverMRISegLib.io.atomic import atomic_write_text
from LiverMRISegLib.io.dataclass_reader import read_dataclass
from LiverMRISegLib.io.json_text import parse_json
from LiverMRISegLib.models.package.specification import SPACES

CT = "CT"
SEQUENCES = (*(sequence.value for sequence in anatomy.Sequence), CT)
SPLITS = ("train", "validation", "test")
_NOT_IN_NAMES = re.compile(r'[\x00-\x1f/\\:*?"<>|]')


@dataclass(frozen=True)
class Scan:
    """One volume. `sequence` as in `anatomy.Sequence` or "CT"; `labels` is None where it has none.

    `vendor` and `centre` are empty where they are not known. `series` tells several scans of one sequence of a patient
    apart, as "b400" and "b800" of DWI.
    """

    patient: str
    sequence: str
    image: Path
    labels: Path | None = None
    vendor: str = ""
    centre: str = ""
    split: str = "train"
    series: str = ""

    def __post_init__(self) -> None:
        if self.sequence not in SEQUENCES:
            known = ", ".join(SEQUENCES)
            raise UsageError(f"scan of {self.image}: unknown sequence '{self.sequence}'; known: {known}")
        if self.split not in SPLITS:
            raise UsageError(f"scan of {self.image}: split must be one of {', '.join(SPLITS)}, not '{self.split}'")


def check_sequences(key: str, names: Collection[str]) -> None:
    """UsageError, which names the config's `key`, if no scan can be of one of these sequences."""
    for name in names:
        if name not in SEQUENCES:
            raise UsageError(f"{key}: unknown sequence '{name}'; known: {', '.join(SEQUENCES)}")


def case_name(scan: Scan) -> str:
    """The name of a scan's files: patient, sequence and, if it has one, series, but for signs that no file can have."""
    name = f"{scan.patient}_{scan.sequence}" + (f"_{scan.series}" if scan.series else "")
    return _NOT_IN_NAMES.sub("_", name)


@dataclass(frozen=True)
class Datalist:
    """Scans, and what the values of their label maps mean; several values may be one organ (liver and its tumours).

    `space`: "anatomy" or "smooth anatomy" if the images are gradient magnitudes already, as translations there are.
    `ignore`: the value of voxels whose label is not known, 0 if there are none.
    """

    name: str
    licence: str
    values: Mapping[int, str]
    scans: Sequence[Scan]
    space: str = "intensity"
    ignore: int = 0

    def __post_init__(self) -> None:
        if self.space not in SPACES:
            raise UsageError(f"datalist {self.name}: unknown space '{self.space}'; known: {', '.join(SPACES)}")
        for value, structure in self.values.items():
            if not 1 <= value <= 254 or not structure.strip():
                raise UsageError(
                    f"datalist {self.name}: a label needs a value from 1 to 254 and a name, not {value} '{structure}'"
                )
        if self.ignore in self.values:
            raise UsageError(f"datalist {self.name}: {self.ignore} cannot be both an organ and ignored")
        seen: dict[Path, Scan] = {}
        for scan in self.scans:
            if scan.image in seen:
                raise UsageError(f"datalist {self.name}: {scan.image} is listed twice")
            seen[scan.image] = scan

    def pool(
        self,
        *,
        split: str = "train",
        sequences: Collection[str] | None = None,
        vendors: Collection[str] | None = None,
        labelled: bool | None = None,
    ) -> list[Scan]:
        """The scans of a split, of some sequences and vendors (all by default), with or without labels.

        Of split "train" those are left out whose patient has a scan in another one.
        """
        held_out = {scan.patient for scan in self.scans if scan.split != "train"} if split == "train" else set()
        return [
            scan
            for scan in self.scans
            if scan.split == split
            and scan.patient not in held_out
            and (sequences is None or scan.sequence in sequences)
            and (vendors is None or scan.vendor in vendors)
            and (labelled is None or (scan.labels is not None) == labelled)
        ]

    def of_patients(self, most: int) -> Datalist:
        """The datalist of at most `most` patients, evenly chosen in the order in which they are listed.

        Raises:
            UsageError: `most` is below 1.
        """
        if most < 1:
            raise UsageError(f"a datalist has at least 1 patient, not {most}")
        patients = list(dict.fromkeys(scan.patient for scan in self.scans))
        few = min(most, len(patients))
        chosen = {patients[number * len(patients) // few] for number in range(few)}
        return replace(self, scans=[scan for scan in self.scans if scan.patient in chosen])


def write_datalist(datalist: Datalist, path: Path) -> None:
    """Write JSON, whole or not at all; OutputError if it cannot be written there."""
    document: dict[str, Any] = {
        "name": datalist.name,
        "licence": datalist.licence,
        "values": {str(value): organ for value, organ in datalist.values.items()},
        "scans": [_plain(scan, path.parent) for scan in datalist.scans],
    }
    if datalist.space != "intensity":
        document["space"] = datalist.space
    if datalist.ignore:
        document["ignore"] = datalist.ignore
    atomic_write_text(path, json.dumps(document, indent=1, ensure_ascii=False) + "\n")


def read_datalist(path: Path) -> Datalist:
    """Read JSON.

    Raises:
        InputError: not a datalist, a key that does not fit, or a file that is not there.
        UsageError: an unknown organ, sequence or split.
    """
    try:
        document = parse_json(path.read_bytes())
    except OSError as error:
        words = f"cannot be read ({error.strerror})"
        raise InputError(f"{path}: {words}; a datalist is written by scripts/import_dataset.py") from error
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path}: is not a datalist ({error}); write it with scripts/import_dataset.py") from error
    found = read_dataclass(Datalist, document, str(path), InputError, {Path: lambda text: _absolute(path, text)})
    for scan in found.scans:
        for file in (scan.image, scan.labels):
            if file is not None and not file.exists():
                raise InputError(f"{path}: {file} is not there; write this list again as it was written first")
    return found


def _plain(scan: Scan, folder: Path) -> dict[str, str]:
    entries = {key: value for key, value in asdict(scan).items() if value not in (None, "")}
    for key in ("image", "labels"):
        if key in entries:
            entries[key] = Path(os.path.relpath(entries[key], folder)).as_posix()
    return entries


def _absolute(datalist: Path, text: str) -> Path:
    """A file of the datalist, whose folder its path is relative to."""
    return Path(os.path.normpath(datalist.parent / text))
