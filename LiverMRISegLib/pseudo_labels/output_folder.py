"""Output folders of stages that make one file per case: a stopped run resumes, but never with files of other inputs."""

from __future__ import annotations

import contextlib
import csv
import hashlib
import logging
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from LiverMRISegLib.data.datalist import Scan
from LiverMRISegLib.errors import OutputError
from LiverMRISegLib.io.atomic import atomic_write_text
from LiverMRISegLib.io.folder_claim import claimed_folder
from LiverMRISegLib.io.tables import csv_table

if TYPE_CHECKING:
    import torch

logger = logging.getLogger(__name__)
INPUTS = "inputs.txt"
_SUMMARIES = ("datalist.json", "cases.png")


def hash_of_weights(network: torch.nn.Module) -> str:
    """sha256 of all its tensors, in hexadecimal digits."""
    digest = hashlib.sha256()
    for tensor in network.state_dict().values():
        digest.update(tensor.cpu().numpy().tobytes())
    return digest.hexdigest()


@contextlib.contextmanager
def claimed_output(folder: Path, inputs: Sequence[str], sources: Iterable[Path | None] = ()) -> Iterator[None]:
    """Hold `folder` for this run, and clear it of what was made from other `inputs` (hashes, settings).

    Raises:
        UsageError: another run is writing there.
        OutputError: it cannot be written, or contains volumes or tables that no stage made, or one of the `sources`
            that the output is made from.
    """
    keep_apart(folder, sources)
    with claimed_folder(folder):
        _clear_of_others(folder, inputs)
        yield


def _clear_of_others(folder: Path, inputs: Sequence[str]) -> None:
    words = "".join(f"{word}\n" for word in inputs)
    kept = folder / INPUTS
    try:
        if not kept.exists() or kept.read_text(encoding="utf-8") != words:
            old = [*folder.glob("*.nii.gz"), *folder.glob("*.csv")]
            if old and not kept.exists():
                raise OutputError(f"{folder}: contains {old[0].name}, which no stage made; choose a new folder")
            if old:
                logger.info("%s: %d files of other inputs are made again", folder, len(old))
            for path in (*old, *(folder / name for name in _SUMMARIES)):
                path.unlink(missing_ok=True)
    except OSError as error:
        raise OutputError(f"{folder}: cannot be written ({error.strerror})") from error
    atomic_write_text(kept, words)


def files_of(scans: Iterable[Scan]) -> list[Path | None]:
    """Images and label maps, as `sources` of `claimed_output` and `keep_apart`."""
    return [path for scan in scans for path in (scan.image, scan.labels)]


def keep_apart(folder: Path, sources: Iterable[Path | None]) -> None:
    """OutputError if one of `sources`, files or folders of DICOM images, is `folder` or in it.

    The output would replace what it is made from.
    """
    place = folder.resolve()
    for source in sources:
        if source is not None and place in (source.resolve(), source.resolve().parent):
            raise OutputError(f"{folder}: contains {source.name}, which the output is made from; choose another folder")


def keep_rows(table: Path, image: str, rows: Iterable[Sequence[str]] = ()) -> None:
    """Write what was found for a case, after the hash of the image that it was found for; OutputError if it cannot."""
    atomic_write_text(table, csv_table(("image", image), rows))


def kept_rows(table: Path, image: str) -> list[list[str]] | None:
    """What `keep_rows` wrote for an image of this hash; None if nothing, or for another image of the same name."""
    if not table.exists():
        return None
    rows = list(csv.reader(table.read_text(encoding="utf-8").splitlines()))
    return rows[1:] if rows[:1] == [["image", image]] else None
