"""Write the datalist of a public data set from its official layout, or of a folder of unlabelled volumes.

ATLAS 2023, LiQA / CARE-Liver, AMOS, CHAOS, FLARE24 task 3, LLD-MMRI; "folder": any volumes whose sequence the names
tell (T2WI/case_01.nii.gz).
"""

from __future__ import annotations

import argparse
import logging
import sys
from pathlib import Path

from LiverMRISegLib.data.datalist import write_datalist
from LiverMRISegLib.data.importers import IMPORTERS
from LiverMRISegLib.errors import LiverMRISegError

logger = logging.getLogger("import_dataset")


def main() -> int:
    """Parse, import, write; the exit status is that of the command line."""
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("layout", choices=sorted(IMPORTERS))
    parser.add_argument("source", type=Path, help="folder of the data set as it was unpacked")
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="JSON", help="the datalist to write")
    arguments = parser.parse_args()
    output: Path = arguments.output
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        datalist = IMPORTERS[arguments.layout](arguments.source, output.parent / f"{output.stem}_labels")
        write_datalist(datalist, output)
    except LiverMRISegError as error:
        logger.error("%s", error)
        return error.exit_status
    labelled = sum(scan.labels is not None for scan in datalist.scans)
    patients = len({scan.patient for scan in datalist.scans})
    logger.info("%s: %d patients, %d volumes, %d labelled", output, patients, len(datalist.scans), labelled)
    return 0


if __name__ == "__main__":
    sys.exit(main())
