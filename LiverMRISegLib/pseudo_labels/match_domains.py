"""The stage of multi-domain matching (paper 004): labels of better sequences, warped to the cases of worse ones."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
from tqdm import tqdm

from LiverMRISegLib.data.datalist import Scan, case_name, read_datalist, write_datalist
from LiverMRISegLib.errors import InputError, UsageError
from LiverMRISegLib.io import read_labelmap, read_volume, write_volume
from LiverMRISegLib.io.atomic import atomic_write_text
from LiverMRISegLib.io.dataclass_reader import Checked
from LiverMRISegLib.io.hashing import hash_of
from LiverMRISegLib.io.tables import csv_table
from LiverMRISegLib.pseudo_labels.output_folder import claimed_output
from LiverMRISegLib.pseudo_labels.outputs import check_case_names, labelmap_of
from LiverMRISegLib.pseudo_labels.registration import foreground_ml, nearest_case, register_affine, warp_labels
from LiverMRISegLib.volume import Volume

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class MatchDomainsConfig(Checked):
    """Config of `scripts/train/match_domains.py`.

    A worse case without a pseudo label of its own is matched by the mean volume of the others of its sequence; one that
    cannot be registered gets no labels.
    """

    datalist: Path = Path("runs/pseudo_labels/datalist.json")
    """Datalist of pseudo labels, which `pseudo_label.py` wrote."""
    better: tuple[str, ...] = ("C+pre", "C+A", "C+V", "C+Delay")
    """Sequences whose pseudo labels are good (where CT is the source: those like T1)."""
    worse: tuple[str, ...] = ("T2WI", "DWI")
    """Sequences that get warped labels."""
    output: Path = Path("runs/matched")
    """Folder for label maps, datalist.json and matches.csv."""
    metric: Literal["mutual information", "least squares"] = "mutual information"
    """What the registration maximises."""


@dataclass(frozen=True)
class Match:
    """Case `worse` and the case whose warped labels it gets, with their foreground volumes in mL."""

    worse: str
    better: str
    worse_ml: float
    better_ml: float


def run(config: MatchDomainsConfig) -> list[Match]:
    """Match, register and warp; label maps made before from the same labels stay.

    Raises:
        InputError, UsageError: no datalist, or no labelled case of a better sequence.
        OutputError: the output cannot be written.
    """
    listed = read_datalist(config.datalist)
    check_case_names(listed.scans)
    better = [scan for scan in listed.scans if scan.sequence in config.better and scan.labels is not None]
    worse = [scan for scan in listed.scans if scan.sequence in config.worse]
    volumes = {case_name(scan): _foreground(scan) for scan in (*better, *worse)}
    better = [scan for scan in better if volumes[case_name(scan)]]  # a case in which nothing was found helps nobody
    if not better or not worse:
        raise UsageError(f"{config.datalist}: needs labelled scans of {config.better} and scans of {config.worse}")
    left = sorted({scan.sequence for scan in listed.scans} - {*config.better, *config.worse})
    if left:
        logger.warning("%s: sequences that are neither better nor worse are ignored: %s", config.datalist, left)
    # A case's match depends on the volumes of all, and its labels on the images that are registered.
    hashes = [
        f"{role} {case_name(s)} {hash_of(s.image)} {hash_of(s.labels) if s.labels else 'no labels'}"
        for role, scans in (("better", better), ("worse", worse))
        for s in scans
    ]
    sources = [path for s in (*better, *worse) for path in (s.image, s.labels)]
    with claimed_output(config.output, [config.metric, *hashes], [config.datalist, *sources]):
        found, matched = [], []
        for scan in tqdm(worse, "volumes", disable=None, dynamic_ncols=True):
            size = volumes[case_name(scan)] or _typical(scan, worse, volumes)
            # The same patient's better sequence is the same body, whatever the volumes say.
            own = {case_name(b): volumes[case_name(b)] for b in better if b.patient == scan.patient}
            chosen = nearest_case(size, own or {case_name(b): volumes[case_name(b)] for b in better})
            source = next(b for b in better if case_name(b) == chosen)
            labels = _warped_or_none(source, scan, config)
            matched.append(replace(scan, labels=labels, image=scan.image.absolute()))
            if labels is not None:
                found.append(Match(case_name(scan), chosen, size, volumes[chosen]))
        kept = [replace(s, image=s.image.absolute(), labels=s.labels and s.labels.absolute()) for s in better]
        document = replace(listed, name=f"{listed.name}, matched", scans=[*kept, *matched])
        write_datalist(document, config.output / "datalist.json")
        atomic_write_text(config.output / "matches.csv", _table(found))
        return found


def _warped_or_none(source: Scan, scan: Scan, config: MatchDomainsConfig) -> Path | None:
    """One case that cannot be registered stays without labels; the others go on."""
    try:
        return _warped(source, scan, config)
    except InputError as error:
        logger.warning("%s gets no labels: %s", case_name(scan), error)
        return None


def _warped(source: Scan, scan: Scan, config: MatchDomainsConfig) -> Path:
    path = labelmap_of(scan, config.output).absolute()
    if not path.exists():
        fixed, moving = read_volume(scan.image), read_volume(source.image)
        transform = register_affine(moving, fixed, config.metric)
        warped = warp_labels(_labels(source), transform, fixed)
        write_volume(replace(warped, array=warped.array.astype(np.uint8)), path)
    return path


def _labels(scan: Scan) -> Volume:
    if scan.labels is None:
        raise UsageError(f"{case_name(scan)}: has no labels to warp")
    return read_labelmap(scan.labels)


def _foreground(scan: Scan) -> float:
    return foreground_ml(_labels(scan)) if scan.labels is not None else 0.0


def _typical(scan: Scan, worse: Sequence[Scan], volumes: Mapping[str, float]) -> float:
    """The mean foreground of the labelled cases of the same sequence, or of all."""
    same = [volumes[case_name(s)] for s in worse if s.sequence == scan.sequence and volumes[case_name(s)]]
    known = same or [volume for volume in volumes.values() if volume]
    return float(np.mean(known))


def _table(matches: Sequence[Match]) -> str:
    rows = ((m.worse, m.better, f"{m.worse_ml:.0f}", f"{m.better_ml:.0f}") for m in matches)
    return csv_table(("case", "labels from", "case mL", "labels mL"), rows)
