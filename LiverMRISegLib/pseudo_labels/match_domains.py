"""The stage of multi-domain matching (paper 004): labels of better sequences, warped to the cases of worse ones."""

from __future__ import annotations

import contextlib
import logging
import multiprocessing
import os
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Annotated

import numpy as np
import SimpleITK as sitk
from tqdm import tqdm

from LiverMRISegLib.data.datalist import Scan, case_name, check_sequences, read_datalist, write_datalist
from LiverMRISegLib.errors import InputError, UsageError
from LiverMRISegLib.io import read_labelmap, read_volume, write_volume
from LiverMRISegLib.io.atomic import atomic_write_text
from LiverMRISegLib.io.dataclass_reader import Checked
from LiverMRISegLib.io.hashing import hash_of
from LiverMRISegLib.io.limits import Limits
from LiverMRISegLib.io.tables import csv_table
from LiverMRISegLib.pseudo_labels.output_folder import claimed_output, files_of
from LiverMRISegLib.pseudo_labels.outputs import check_case_names, labelmap_of
from LiverMRISegLib.pseudo_labels.registration import Metric, foreground_ml, nearest_case, register_affine, warp_labels
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
    metric: Metric = "mutual information"
    """What the registration maximises."""
    workers: Annotated[int, Limits(-1, 1024)] = -1
    """Processes that register, each on one core; 0 for none beside this one, -1 for one a core. Realistic volumes take
    minutes a pair."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_sequences("better", self.better)
        check_sequences("worse", self.worse)


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
        InputError, UsageError: no datalist, or no labelled case of a better sequence; a process was killed.
        OutputError: the output cannot be written.
    """
    listed = read_datalist(config.datalist)
    check_case_names(listed.scans)
    better = [scan for scan in listed.scans if scan.sequence in config.better and scan.labels is not None]
    worse = [scan for scan in listed.scans if scan.sequence in config.worse]
    volumes = {case_name(scan): _foreground(scan) for scan in (*better, *worse)}
    better = [scan for scan in better if volumes[case_name(scan)]]  # a case in which nothing was found helps nobody
    if not better or not worse:
        raise UsageError(
            f"{config.datalist}: needs labelled scans of {', '.join(config.better)}, and scans of "
            f"{', '.join(config.worse)}; it has {', '.join(sorted({scan.sequence for scan in listed.scans})) or 'none'}"
        )
    left = sorted({scan.sequence for scan in listed.scans} - {*config.better, *config.worse})
    if left:
        logger.warning("%s: sequences that are neither better nor worse are ignored: %s", config.datalist, left)
    # A case's match depends on the volumes of all, and its labels on the images that are registered.
    hashes = [
        f"{role} {case_name(s)} {hash_of(s.image)} {hash_of(s.labels) if s.labels else 'no labels'}"
        for role, scans in (("better", better), ("worse", worse))
        for s in scans
    ]
    with claimed_output(config.output, [config.metric, *hashes], [config.datalist, *files_of(listed.scans)]):
        planned = [(scan, *_nearest(scan, better, worse, volumes)) for scan in worse]
        found, matched = [], []
        done = _all_warped([(source, scan) for scan, source, _ in planned], config)
        for (scan, source, size), labels in zip(planned, done, strict=True):
            matched.append(replace(scan, labels=labels, image=scan.image.absolute()))
            if labels is not None:
                found.append(Match(case_name(scan), case_name(source), size, volumes[case_name(source)]))
        kept = [replace(s, image=s.image.absolute(), labels=s.labels and s.labels.absolute()) for s in better]
        document = replace(listed, name=f"{listed.name}, matched", scans=[*kept, *matched])
        write_datalist(document, config.output / "datalist.json")
        atomic_write_text(config.output / "matches.csv", _table(found))
        return found


def _nearest(
    scan: Scan, better: Sequence[Scan], worse: Sequence[Scan], volumes: Mapping[str, float]
) -> tuple[Scan, float]:
    """The better case that a worse one is matched with, and the foreground volume that it is matched by."""
    size = volumes[case_name(scan)] or _typical(scan, worse, volumes)
    # The same patient's better sequence is the same body, whatever the volumes say.
    own = {case_name(b): volumes[case_name(b)] for b in better if b.patient == scan.patient}
    chosen = nearest_case(size, own or {case_name(b): volumes[case_name(b)] for b in better})
    return next(b for b in better if case_name(b) == chosen), size


def _all_warped(pairs: Sequence[tuple[Scan, Scan]], config: MatchDomainsConfig) -> Iterator[Path | None]:
    """The label map of every (source, worse case), in order; one that cannot be registered has none, the others go on.

    Label maps made before need no process. SimpleITK's own threads share a pair poorly: a core a pair is faster.
    """
    missing = [pair for pair in pairs if not labelmap_of(pair[1], config.output).exists()]
    workers = min(len(missing), os.cpu_count() or 1 if config.workers < 0 else config.workers)
    shown = partial(tqdm, total=len(pairs), desc="volumes", disable=None, dynamic_ncols=True)
    make = partial(_warped_or_reason, output=config.output, metric=config.metric)
    with contextlib.ExitStack() as stack:
        if workers > 1:
            context = multiprocessing.get_context("spawn")  # forked, SimpleITK's threads may hang
            pool = stack.enter_context(ProcessPoolExecutor(workers, context, _use_one_thread))
            stack.callback(pool.shutdown, wait=True, cancel_futures=True)
            results = pool.map(make, pairs)
        else:
            results = map(make, pairs)
        try:
            for (_, scan), (path, reason) in zip(pairs, shown(results), strict=True):
                if path is None:
                    logger.warning("%s gets no labels: %s", case_name(scan), reason)
                yield path
        except BrokenProcessPool as error:
            raise UsageError(
                "a process that registers was killed, by the system if memory ran out; set workers lower, and the same "
                "command goes on with the cases that are left"
            ) from error


def _use_one_thread() -> None:
    sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(1)


def _warped_or_reason(pair: tuple[Scan, Scan], output: Path, metric: str) -> tuple[Path | None, str]:
    try:
        return _warped(*pair, output, metric), ""
    except InputError as error:
        return None, str(error)


def _warped(source: Scan, scan: Scan, output: Path, metric: str) -> Path:
    path = labelmap_of(scan, output).absolute()
    if not path.exists():
        fixed, moving = read_volume(scan.image), read_volume(source.image)
        transform = register_affine(moving, fixed, metric)
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
