"""What the importers of a user's own data share: cases as their layout gives them, completed by options and a table."""

from __future__ import annotations

import csv
import io
import unicodedata
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from LiverMRISegLib.data.datalist import SEQUENCES, SPLITS, Datalist, Scan, case_name
from LiverMRISegLib.errors import InputError, UsageError
from LiverMRISegLib.io.json_text import parse_json
from LiverMRISegLib.sequence_names import guess_sequence

IGNORE = "ignore"
LICENCE = "of the data's owner"
_COLUMNS = ("case", "patient", "sequence", "vendor", "centre", "split")
_DELIMITERS = ",;\t"  # the second is what Excel writes in half of Europe
_MOST_VALUES = 254


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
    made: Path | None = None
    """A folder of files that this import, or what comes after it, makes; it may be among the volumes."""

    def __post_init__(self) -> None:
        if self.sequence and self.sequence not in SEQUENCES:
            raise UsageError(f"unknown sequence '{self.sequence}'; known are: {', '.join(SEQUENCES)}")


@dataclass(frozen=True)
class FoundCase:
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
    cases: Sequence[FoundCase],
    options: OwnDataOptions,
    left_out: Sequence[tuple[Path, str]] = (),
    licence: str = LICENCE,
) -> Imported:
    """The datalist of `cases`, each completed by its row of the table.

    Of several cases of one name or image the first is taken, the others are left out. Several scans of one sequence of
    a patient get a series, which is what their names have beside the patient's. The value called "ignore" is that of
    voxels whose label is not known.

    Raises:
        InputError: a case of unknown sequence, a table that does not fit, or several values to ignore.
    """
    organs, ignore = _without_ignored(values, name)
    first, twice = first_of_each(cases)
    rows = read_table(options.table) if options.table else {}
    unknown = sorted(set(rows) - {_composed(name) for name in first})
    if unknown:
        near = ", ".join(list(first)[:3])
        raise InputError(f"{options.table}: '{unknown[0]}' is not a case of this data; cases are called {near}, ...")
    scans = [_scan(case, rows.get(_composed(case.name), {}), options) for case in first.values()]
    scans = _told_apart(scans, list(first))
    return Imported(Datalist(name, licence, organs, scans, ignore=ignore), (*left_out, *twice))


def _without_ignored(values: Mapping[int, str], name: str) -> tuple[dict[int, str], int]:
    ignored = [value for value, organ in values.items() if organ.lower() == IGNORE]
    if len(ignored) > 1:
        raise InputError(f"{name}: {len(ignored)} values are called '{IGNORE}'; a data set has one such value at most")
    return {value: organ for value, organ in values.items() if value not in ignored}, sum(ignored)


def first_of_each(cases: Sequence[FoundCase]) -> tuple[dict[str, FoundCase], list[tuple[Path, str]]]:
    """The first case of each name and image, and the others, each with the reason.

    An importer that writes label maps by the cases' names asks before it writes.
    """
    first: dict[str, FoundCase] = {}
    images: dict[Path, FoundCase] = {}
    twice = []
    for case in cases:
        same = images.get(case.image)
        if same:
            twice.append((case.image, f"is listed twice; its first entry counts ({same.name}, split {same.split})"))
        elif case.name in first:
            twice.append((case.image, f"{first[case.name].image} is called {case.name} too; rename one of them"))
        else:
            first[case.name] = images[case.image] = case
    return first, twice


def _told_apart(scans: Sequence[Scan], names: Sequence[str]) -> list[Scan]:
    counts = Counter(case_name(scan) for scan in scans)
    return [
        replace(scan, series=name.removeprefix(scan.patient).strip(" _-") or name)
        if counts[case_name(scan)] > 1
        else scan
        for scan, name in zip(scans, names, strict=True)
    ]


def numbered_names(names: Collection[str], usual: Mapping[int, str], where: Path) -> dict[str, int]:
    """A value for each name, in small letters: those of `usual`, and behind them the others in their order.

    Raises:
        InputError: there are more names than values; `where` they were found.
    """
    numbers = {name.lower(): value for value, name in usual.items()}
    new = sorted({name.lower() for name in names} - set(numbers))
    highest = max(usual, default=0)
    if highest + len(new) > _MOST_VALUES:
        raise InputError(
            f"{where}: the segmentations have {len(new)} different names; a label map has {_MOST_VALUES} at most"
        )
    return numbers | {name: value for value, name in enumerate(new, start=highest + 1)}


def read_label_names(path: Path) -> dict[int, str]:
    """What label values mean, from a JSON file {"1": "liver"}; several values may be one structure, of any name.

    Raises:
        InputError: it is not such a file.
    """
    try:
        return {int(value): str(name) for value, name in parse_json(path.read_bytes()).items()}
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from error
    except (ValueError, AttributeError) as error:
        raise InputError(f'{path}: is not a label file such as {{"1": "liver", "2": "spleen"}} ({error})') from error


def read_table(path: Path) -> dict[str, dict[str, str]]:
    """The rows of a CSV by their `case`, as spreadsheets save it: cells apart by commas, semicolons or tabs.

    Raises:
        InputError: an unknown or missing column, a case that occurs twice, or a row with too many cells.
    """
    columns, rows = _cells_of(path)
    odd = [column for column in columns if column not in _COLUMNS]
    if odd or "case" not in columns:
        problem = f"unknown column '{odd[0]}'" if odd else "has no column 'case'"
        raise InputError(f"{path}: {problem}; the columns are: {', '.join(_COLUMNS)}")
    found: dict[str, dict[str, str]] = {}
    for row in rows:
        if len(row) > len(columns):
            raise InputError(f"{path}: the row '{row[0]}' has {len(row)} cells for {len(columns)} columns; correct it")
        cells = {key: value for key, value in zip(columns, row, strict=False) if value}
        case = _composed(cells.pop("case", ""))
        if not case:
            raise InputError(f"{path}: the row {', '.join(row)} names no case; fill in the column 'case'")
        if case in found:
            raise InputError(f"{path}: the case '{case}' occurs twice; remove one of its rows")
        found[case] = cells
    return found


def _cells_of(path: Path) -> tuple[list[str], list[list[str]]]:
    """The columns in small letters, and the rows, without what is empty at their ends."""
    try:
        text = path.read_bytes().decode("utf-8-sig")
        delimiter = max(_DELIMITERS, key=text.partition("\n")[0].count)
        found = [
            [cell.strip() for cell in row] for row in csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
        ]
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path}: cannot be read as a table ({error}); save it as CSV in UTF-8") from error
    for row in found:
        while row and not row[-1]:
            row.pop()
    columns, *rows = [row for row in found if row] or [[]]
    return [column.lower() for column in columns], rows


def _composed(name: str) -> str:
    """Accents and letters as one character each: macOS takes them apart in the names of files."""
    return unicodedata.normalize("NFC", name)


def _scan(case: FoundCase, row: Mapping[str, str], options: OwnDataOptions) -> Scan:
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
