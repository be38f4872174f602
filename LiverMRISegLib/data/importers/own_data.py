"""What the importers of a user's own data share: cases as their layout gives them, completed by options and a table."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from LiverMRISegLib.anatomy import Sequence as MrSequence
from LiverMRISegLib.data.datalist import SPLITS, Datalist, Scan
from LiverMRISegLib.errors import InputError, UsageError
from LiverMRISegLib.io.json_text import parse_json
from LiverMRISegLib.sequence_names import guess_sequence

LICENCE = "of the data's owner"
SEQUENCES = (*(sequence.value for sequence in MrSequence), "CT")
_COLUMNS = ("case", "patient", "sequence", "vendor", "centre", "split")


@dataclass(frozen=True)
class OwnDataOptions:
    """What the user says about the data."""

    sequence: str = ""
    """Of every volume that the table does not name; empty: the names of files and folders say it."""
    values: Mapping[int, str] | None = None
    """What the values of the label maps mean, where the layout does not say it."""
    table: Path | None = None
    """CSV with a column `case` and any of patient, sequence, vendor, centre, split."""
    usual_values: Mapping[int, str] | None = None
    """What the values of label maps mean that nothing else explains; a folder's masks may then be of both kinds."""
    takes_results: bool = False
    """Whether masks called NAME_seg, as `segment` writes them, are taken too: somebody has corrected them."""

    def __post_init__(self) -> None:
        if self.sequence and self.sequence not in SEQUENCES:
            raise UsageError(f"unknown sequence '{self.sequence}'; known are: {', '.join(SEQUENCES)}")


@dataclass(frozen=True)
class Case:
    """One volume as its layout gives it; `told` are the words that may name its sequence, the nearest first."""

    name: str
    image: Path
    labels: Path | None = None
    told: tuple[str, ...] = ()
    patient: str = ""
    vendor: str = ""
    centre: str = ""
    split: str = "train"


@dataclass(frozen=True)
class Imported:
    """A datalist, and the files that it leaves out, each with the reason."""

    datalist: Datalist
    left_out: Sequence[tuple[Path, str]] = field(default_factory=tuple)


def listed(
    name: str,
    values: Mapping[int, str],
    cases: Sequence[Case],
    options: OwnDataOptions,
    left_out: Sequence[tuple[Path, str]] = (),
    ignore: int = 0,
) -> Imported:
    """The datalist of `cases`, each completed by its row of the table.

    Raises:
        InputError: no case, a case of unknown sequence, a table that does not fit.
    """
    rows = read_table(options.table) if options.table else {}
    unknown = sorted(set(rows) - {case.name for case in cases})
    if unknown:
        near = ", ".join(case.name for case in cases[:3])
        raise InputError(f"{options.table}: '{unknown[0]}' is not a case of this data; cases are called {near}, ...")
    scans = [_scan(case, rows.get(case.name, {}), options) for case in cases]
    return Imported(Datalist(name, LICENCE, dict(values), scans, ignore=ignore), tuple(left_out))


def read_label_names(path: Path) -> dict[int, str]:
    """What label values mean, from a JSON file {"1": "liver"}; several values may be one structure, of any name.

    Raises:
        InputError: it is not such a file.
    """
    try:
        return {int(value): str(name) for value, name in parse_json(path.read_bytes()).items()}
    except (OSError, ValueError, AttributeError) as error:
        raise InputError(f'{path}: is not a label file such as {{"1": "liver", "2": "spleen"}} ({error})') from error


def read_table(path: Path) -> dict[str, dict[str, str]]:
    """The rows of a CSV by their `case`; InputError for an unknown or missing column, or a case that occurs twice."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file)
            columns = list(reader.fieldnames or ())
            rows = list(reader)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path}: cannot be read as a table ({error}); save it as CSV in UTF-8") from error
    odd = [column for column in columns if column not in _COLUMNS]
    if odd or "case" not in columns:
        problem = f"unknown column '{odd[0]}'" if odd else "has no column 'case'"
        raise InputError(f"{path}: {problem}; the columns are: {', '.join(_COLUMNS)}")
    found: dict[str, dict[str, str]] = {}
    for row in rows:
        case = (row["case"] or "").strip()
        if case in found:
            raise InputError(f"{path}: the case '{case}' occurs twice; remove one of its rows")
        found[case] = {key: value.strip() for key, value in row.items() if key != "case" and value and value.strip()}
    return found


def _scan(case: Case, row: Mapping[str, str], options: OwnDataOptions) -> Scan:
    patient, vendor, centre, split = (
        row.get(key) or getattr(case, key) for key in ("patient", "vendor", "centre", "split")
    )
    sequence = row.get("sequence") or options.sequence or _named_sequence(case.told)
    if not sequence:
        raise InputError(
            f"{case.image}: no name says which sequence it is; give --sequence for all volumes, or --table with a "
            f"column 'sequence' (one of {', '.join(SEQUENCES)})"
        )
    for what, said, known in (("sequence", sequence, SEQUENCES), ("split", split, SPLITS)):
        if said not in known:
            raise InputError(
                f"{options.table}: case {case.name}: unknown {what} '{said}'; known are: {', '.join(known)}"
            )
    return Scan(patient or case.name, sequence, case.image, case.labels, vendor, centre, split)


def _named_sequence(told: Sequence[str]) -> str:
    """A word that is a sequence's own name is believed first, then whatever the words suggest."""
    own = {name.lower(): name for name in SEQUENCES}
    exact = next((own[word.lower()] for word in told if word.lower() in own), "")
    if exact:
        return exact
    guessed = next((found for word in told if (found := guess_sequence(word))), None)
    return guessed.value if guessed else ""
