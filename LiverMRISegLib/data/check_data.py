"""Whether every volume that a pipeline will need can be read, asked before anything is trained."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from tqdm import tqdm

from LiverMRISegLib.data.case_cache import labels_of
from LiverMRISegLib.data.case_selection import Listed, PoolConfig, choose_scans
from LiverMRISegLib.io import read_volume
from LiverMRISegLib.io.dataclass_reader import Checked
from LiverMRISegLib.io.unusable import UnusableVolumes

Split = Literal["train", "validation", "test"]


@dataclass(frozen=True)
class CheckDataConfig(Checked):
    """Config of `scripts/check_data.py`."""

    datalists: tuple[Path, ...] = ()
    """Datalists of the volumes."""
    pool: PoolConfig = field(default_factory=PoolConfig)
    """Which of their scans are read."""
    splits: tuple[Split, ...] = ("train", "validation")
    """Of which splits."""
    labels: bool = True
    """Whether their label maps are read too."""
    needs_labels: bool = False
    """Whether scans with labels alone are read; there must be some."""


def run(config: CheckDataConfig) -> int:
    """Read every image, and every label map if asked; how many volumes that were.

    Raises:
        InputError: naming every volume that cannot be used.
        UsageError: no scan fits.
    """
    scans = choose_scans(config.datalists, config.pool, needs_labels=config.needs_labels, splits=config.splits)
    unusable = UnusableVolumes()
    for listed in tqdm(_each_once(scans), "reading", disable=None, leave=False, dynamic_ncols=True):
        with unusable.noted():
            _read(listed, with_labels=config.labels)
    unusable.raise_any(len(scans))
    return len(scans)


def _each_once(scans: Sequence[Listed]) -> list[Listed]:
    """Datalists may share scans: labelled CT and MR without labels are often in one."""
    return list({(scan.image, scan.labels): (datalist, scan) for datalist, scan in scans}.values())


def _read(listed: Listed, *, with_labels: bool) -> None:
    """InputError where a training could not use the scan."""
    datalist, scan = listed
    volume = read_volume(scan.image)
    if with_labels and scan.labels is not None:
        labels_of(datalist, scan.labels, volume, organs=())
