"""Which scans of the datalists take part in a training, and as what."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

from LiverMRISegLib.data.datalist import Datalist, Scan, check_sequences, read_datalist
from LiverMRISegLib.errors import UsageError
from LiverMRISegLib.io.dataclass_reader import Checked
from LiverMRISegLib.io.limits import Limits

logger = logging.getLogger(__name__)
Listed = tuple[Datalist, Scan]
_TOLD = 5  # patients in a warning


@dataclass(frozen=True)
class PoolConfig(Checked):
    """A choice of scans; an empty list takes all."""

    sequences: tuple[str, ...] = ()
    """Their sequences, by the names of `anatomy.Sequence`."""
    vendors: tuple[str, ...] = ()
    """Their vendors, as in the datalist."""
    patients: tuple[str, ...] = ()
    """Their patients, as in the datalist."""
    series: tuple[str, ...] = ()
    """Their series, as in the datalist: b400 or b800 of LiQA's DWI, a session of BIDS."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_sequences("sequences", self.sequences)

    def __str__(self) -> str:
        chosen = {name: values for name, values in vars(self).items() if values}
        return "the choice of " + (", ".join(f"{n} {' '.join(values)}" for n, values in chosen.items()) or "all scans")


@dataclass(frozen=True)
class Pools:
    """Scans with the datalist that each is from."""

    labelled: list[Listed]
    unlabelled: list[Listed]
    validation: list[Listed]


@dataclass(frozen=True)
class FoldConfig(Checked):
    """Which labelled patients are validated on instead of split "validation": dealt out in the order of their names."""

    number: Annotated[int, Limits(-1, 99)] = -1
    """Number of the fold: 0, 1, ...; -1 for none."""
    count: Annotated[int, Limits(2, 100)] = 5
    """How many folds there are."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.number >= self.count:
            raise UsageError(f"fold.number must be below fold.count ({self.count}), not {self.number}")


def choose_pools(
    datalists: Sequence[Path],
    labelled: PoolConfig,
    unlabelled: PoolConfig,
    fold: FoldConfig | None = None,
    *,
    uses_labels: bool = True,
    uses_unlabelled: bool = True,
) -> Pools:
    """Read the datalists and choose.

    Labelled are the chosen scans of split "train" that have labels; unlabelled all other chosen scans of that split,
    labels or not (whoever calls says whether they are read). Validation are the labelled scans of split "validation"
    that fit `labelled`'s or, where it is used, `unlabelled`'s sequences, or, of a `fold`, its labelled scans; no scan
    of its patients is trained on, whichever datalist it is in. Split "test" takes no part in training, ever.
    Unless the training `uses_labels`, none is labelled; unless it `uses_unlabelled`, none is unlabelled.

    Raises:
        InputError: a datalist cannot be read.
        UsageError: nothing to train on, or a patient that is nowhere.
    """
    lists = _held_out_everywhere(_read(datalists, needed=uses_labels or uses_unlabelled))
    with_labels = _chosen(lists, labelled, "train", needs_labels=True) if uses_labels else []
    taken = {scan.image for _, scan in with_labels}
    rest = _chosen(lists, unlabelled, "train") if uses_unlabelled else []
    others = [(d, s) for d, s in rest if s.image not in taken]
    asked = [labelled.sequences, *([unlabelled.sequences] if uses_unlabelled else [])]
    sequences = tuple(name for names in asked for name in names) if all(asked) else ()
    validation = _chosen(lists, PoolConfig(sequences), "validation", needs_labels=True)
    if uses_labels and not with_labels:
        raise _nothing_fits(lists, datalists, labelled, ["train"], needs_labels=True)
    if fold is not None and fold.number >= 0:
        with_labels, validation = _folded(with_labels, fold)
        held_out = {scan.patient for _, scan in validation}
        others = [(d, s) for d, s in others if s.patient not in held_out]
    logger.info("scans: %d labelled, %d unlabelled, %d to validate", len(with_labels), len(others), len(validation))
    return Pools(with_labels, others, validation)


def _folded(scans: list[Listed], fold: FoldConfig) -> tuple[list[Listed], list[Listed]]:
    """What is trained on and what is validated on; UsageError if either is nothing."""
    patients = sorted({scan.patient for _, scan in scans})
    held_out = set(patients[fold.number :: fold.count])
    inside = [listed for listed in scans if listed[1].patient in held_out]
    outside = [listed for listed in scans if listed[1].patient not in held_out]
    if not inside or not outside:
        raise UsageError(f"{len(patients)} labelled patients are too few for {fold.count} folds")
    return outside, inside


def choose_scans(
    datalists: Sequence[Path], pool: PoolConfig, *, needs_labels: bool, splits: Sequence[str] = ("train",)
) -> list[Listed]:
    """The chosen scans of these splits; UsageError if there is none."""
    lists = _read(datalists)
    if "train" in splits:
        lists = _held_out_everywhere(lists)
    found = [each for split in splits for each in _chosen(lists, pool, split, needs_labels=needs_labels)]
    if not found:
        raise _nothing_fits(lists, datalists, pool, splits, needs_labels=needs_labels)
    return found


def _read(datalists: Sequence[Path], *, needed: bool = True) -> list[Datalist]:
    if needed and not datalists:
        raise UsageError("datalists must name at least one file; write it with scripts/import_dataset.py")
    return [read_datalist(path) for path in datalists]


def _held_out_everywhere(lists: Sequence[Datalist]) -> list[Datalist]:
    """The datalists without what one of them would train on, and another validates or tests on: patients, by their
    names or by a file of theirs.

    Within one datalist `Datalist.pool` sees to that.
    """
    kept = []
    left_out: set[str] = set()
    for datalist in lists:
        judged = [scan for other in lists if other != datalist for scan in other.scans if scan.split != "train"]
        names, files = {scan.patient for scan in judged}, {scan.image for scan in judged}
        held_out = {scan.patient for scan in datalist.scans if scan.patient in names or scan.image in files}
        refused = {scan for scan in datalist.scans if scan.split == "train" and scan.patient in held_out}
        left_out |= {scan.patient for scan in refused}
        kept.append(replace(datalist, scans=[scan for scan in datalist.scans if scan not in refused]))
    if left_out:
        first = sorted(left_out)
        told = ", ".join(first[:_TOLD]) + (f" and {len(first) - _TOLD} more" if len(first) > _TOLD else "")
        logger.warning(
            "not trained on, because another datalist validates or tests on them: %s; if these are other patients, "
            "give them other names (column patient of import_dataset.py --table)",
            told,
        )
    return kept


def _nothing_fits(
    lists: Sequence[Datalist], datalists: Sequence[Path], pool: PoolConfig, splits: Sequence[str], *, needs_labels: bool
) -> UsageError:
    """The error that says what was asked for, and which scans of the splits there are."""
    kind = "labelled scan" if needs_labels else "scan"
    there = [s for split in splits for _, s in _chosen(lists, PoolConfig(), split, needs_labels=needs_labels)]
    counts = Counter(scan.sequence for scan in there)
    found = ", ".join(f"{count} {name}" for name, count in sorted(counts.items()))
    vendors = sorted({scan.vendor for scan in there if scan.vendor})
    found += f" (vendors {', '.join(vendors)})" if vendors else ""
    return UsageError(
        f"no {kind} of split {' or '.join(map(repr, splits))} fits {pool} in {', '.join(map(str, datalists))}; "
        f"of that split there are {found or 'none'}"
    )


def _chosen(lists: Sequence[Datalist], pool: PoolConfig, split: str, *, needs_labels: bool = False) -> list[Listed]:
    known = {scan.patient for datalist in lists for scan in datalist.scans}
    for patient in pool.patients:
        if patient not in known:
            raise UsageError(f"no datalist has a patient '{patient}'; the first are: {', '.join(sorted(known)[:5])}")
    return [
        (datalist, scan)
        for datalist in lists
        for scan in datalist.pool(
            split=split,
            sequences=pool.sequences or None,
            vendors=pool.vendors or None,
            labelled=True if needs_labels else None,
        )
        if (not pool.patients or scan.patient in pool.patients) and (not pool.series or scan.series in pool.series)
    ]
