"""Write the datalist of a public data set, or of your own data, that all training stages read.

Public, from the official layout: ATLAS 2023, LiQA / CARE-Liver, AMOS, CHAOS, FLARE24 task 3, LLD-MMRI.
Your own: "nnunet" (imagesTr, labelsTr, imagesTs, dataset.json, also with paths), "decathlon" (dataset.json with lists
of files, also MONAI's datalists), "bids", "folder" (NAME with NAME_label or NAME.seg.nrrd, or images/ and labels/, or
no labels).

Every file is read. Beside the datalist X.json come a summary (X.txt) and, where there are labels, pictures to check
sides and labels (X.png).
"""

from __future__ import annotations

import argparse
import logging
import sys
from dataclasses import replace
from pathlib import Path

from LiverMRISegLib.data.datalist import write_datalist
from LiverMRISegLib.data.importers import IMPORTERS, OWN_DATA_IMPORTERS, Imported, OwnDataOptions
from LiverMRISegLib.data.importers.own_data import SEQUENCES, read_label_names
from LiverMRISegLib.data.importers.summary import check_scans, in_one_line, picture_sheet, summary_text
from LiverMRISegLib.errors import InputError, UsageError
from LiverMRISegLib.evaluation.cohort import labels_named
from LiverMRISegLib.io.atomic import atomic_write_bytes, atomic_write_text, make_folder
from LiverMRISegLib.training.script import exit_status_of

logger = logging.getLogger("import_dataset")
BESIDE = (".png", ".txt")


def main() -> int:
    """Parse, import, write; the exit status is that of the command line."""
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    arguments = _parser().parse_args()

    def whole() -> None:
        """From the folder to the datalist."""
        _prepare(arguments.output)
        made = arguments.output.parent / f"{arguments.output.stem}_labels"
        _write(_at_most(arguments.most, _imported(arguments, made), arguments.source), arguments.output, made)

    return exit_status_of(whole, "stopped; no datalist was written")


def _prepare(output: Path) -> None:
    """Make the folder of the datalist; an error before hours of reading where nothing could be written afterwards."""
    if output.is_dir() or not output.name:
        raise UsageError(f"{output}: is a folder; give -o the name of a file, such as {output / 'mine.json'}")
    if output.suffix.lower() in BESIDE:
        raise UsageError(f"{output}: is the name of what is written beside the datalist; let it end with .json")
    make_folder(output.parent)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("layout", choices=sorted({**IMPORTERS, **OWN_DATA_IMPORTERS}))
    parser.add_argument("source", type=Path, help="folder of the data set as it was unpacked")
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="JSON", help="the datalist to write")
    parser.add_argument(
        "--most", type=int, metavar="N", help="take N patients, evenly chosen from all; the rest is not read"
    )
    own = parser.add_argument_group("your own data")
    own.add_argument("--sequence", default="", choices=("", *SEQUENCES), metavar="NAME", help="sequence of all volumes")
    own.add_argument(
        "--labels", metavar="NAME|FILE", help='meaning of the label values: AMOS, ..., or a .json file {"1": "liver"}'
    )
    own.add_argument("--table", type=Path, metavar="CSV", help="case, patient, sequence, vendor, centre, split")
    return parser


def _imported(arguments: argparse.Namespace, made: Path) -> Imported:
    """Label maps that must be written anew are in the folder `made`."""
    if arguments.layout in IMPORTERS:
        if arguments.sequence or arguments.labels or arguments.table:
            raise UsageError(f"{arguments.layout}: says its sequences and labels itself; omit the options of own data")
        return Imported(IMPORTERS[arguments.layout](arguments.source, made))
    options = OwnDataOptions(arguments.sequence, _values(arguments.labels), arguments.table, made=made)
    return OWN_DATA_IMPORTERS[arguments.layout](arguments.source, made, options)


def _values(labels: str | None) -> dict[int, str] | None:
    """From a JSON file names of any structures; else the organs of a label set or a model package."""
    if not labels:
        return None
    if labels.lower().endswith(".json"):
        return read_label_names(Path(labels))
    return {value: organ.name for value, organ in labels_named(labels).items()}


def _at_most(most: int | None, imported: Imported, source: Path) -> Imported:
    if most is None:
        return imported
    chosen = imported.datalist.of_patients(most)
    rest = len(imported.datalist.scans) - len(chosen.scans)
    reason = f"{rest} of its {len(imported.datalist.scans)} volumes; --most is {most}"
    return Imported(chosen, [*imported.left_out, *([(source, reason)] if rest else [])])


def _write(imported: Imported, output: Path, made: Path) -> None:
    checked, refused = check_scans(imported.datalist, made)
    left_out = [*imported.left_out, *refused]
    if not checked:
        raise InputError(f"{in_one_line(*left_out[0])}; no volume of the data can be used")
    datalist = replace(imported.datalist, scans=[each.scan for each in checked])
    text = summary_text(datalist, checked, left_out)
    sheet = picture_sheet(datalist, checked)
    if sheet:
        atomic_write_bytes(output.with_suffix(".png"), sheet)
    atomic_write_text(output.with_suffix(".txt"), text + "\n")
    write_datalist(datalist, output)
    logger.info("%s: %s", output, text)


if __name__ == "__main__":
    sys.exit(main())
