"""The corrected masks that a model is adapted to: which can be used, which organs they have, which are held out."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from LiverMRISegLib.anatomy import LabelSet
from LiverMRISegLib.data.datalist import Datalist, Scan, case_name
from LiverMRISegLib.data.importers import OwnDataOptions, import_folder
from LiverMRISegLib.data.importers.own_data import IGNORE
from LiverMRISegLib.data.importers.plain_folder import OTHER_MASK, import_volumes
from LiverMRISegLib.data.importers.summary import CheckedScan, check_scans, in_one_line, same_images
from LiverMRISegLib.errors import InputError, UsageError
from LiverMRISegLib.io.file_names import resolved
from LiverMRISegLib.volume import Geometry

NO_MASK = "has no mask"
_HELD_OUT = "has the name of a patient who is held out"
# From so many patients on, every fourth is held out: fewer leave too little to learn from.
LEAST_PATIENTS = 4
_EVERY = 4
Named = tuple[Path, str]


@dataclass(frozen=True)
class Correction:
    """A volume and its mask; `values` maps the values in the mask to those of the model's organs.

    `content` and `grid` as of `CheckedScan`. `has_names`: the file of the mask named its organs.
    """

    scan: Scan
    values: Mapping[int, int]
    content: str
    grid: Geometry
    has_names: bool = False

    @property
    def organs(self) -> frozenset[int]:
        """Values of the model's organs that the mask has."""
        return frozenset(self.values.values())


@dataclass(frozen=True)
class Corrections:
    """What is learnt from and what is held out.

    `ignored` are files that were never meant to be learnt from, `bad` those that cannot be used, each with the reason.
    `known`: the patients that the model has learnt from already.
    """

    training: Sequence[Correction]
    held_out: Sequence[Correction]
    ignored: Sequence[Named] = ()
    bad: Sequence[Named] = ()
    known: frozenset[str] = frozenset()

    @property
    def all(self) -> list[Correction]:
        """Both."""
        return [*self.training, *self.held_out]

    def patients(self) -> int:
        """How many."""
        return len({case.scan.patient for case in self.all})

    def on_one_grid(self) -> tuple[Correction, Correction] | None:
        """A case that is held out and one that is learnt from on the very same grid: they may be of one patient.

        Grids that begin at 0 say nothing: some programs write them all so.
        """
        placed = [case for case in self.held_out if any(case.grid.origin)]
        pairs = ((one, other) for one in placed for other in self.training if one.grid.is_close(other.grid))
        return next(pairs, None)


@dataclass(frozen=True)
class Unlabelled:
    """Volumes without masks: the scans, the content of each, and what is left out, as of `Corrections`."""

    scans: Sequence[Scan] = ()
    contents: Sequence[str] = ()
    ignored: Sequence[Named] = ()
    bad: Sequence[Named] = ()


def read_corrections(
    source: Path, labels: LabelSet, options: OwnDataOptions, made: Path, learnt: Collection[str] = ()
) -> Corrections:
    """The volumes with masks in the folder `source`, as `import_folder` finds them.

    Args:
        source: the folder.
        labels: the model's organs.
        options: what the user says about the data.
        made: a folder for masks that must be renumbered.
        learnt: contents of the volumes that the model has learnt from.

    Raises:
        InputError: nothing can be used, or a mask has an organ that the model lacks.
        OutputError: `made` cannot be written.
    """
    imported = import_folder(source, made, options)
    masked = [scan for scan in imported.datalist.scans if scan.labels is not None]
    ignored = [(scan.image, NO_MASK) for scan in imported.datalist.scans if scan.labels is None]
    ignored += [named for named in imported.left_out if named[1] == OTHER_MASK]
    bad = [named for named in imported.left_out if named[1] != OTHER_MASK]
    checked, refused = check_scans(replace(imported.datalist, scans=masked), made)
    empty = [each for each in checked if not each.voxels]
    bad += [*refused, *((each.scan.image, "its mask is empty") for each in empty)]
    named = {scan.image for scan in masked if scan.labels and made in scan.labels.parents}
    first, twice = _told_apart([each for each in checked if each.voxels])
    bad += twice
    usable = [_correction(each, imported.datalist, labels, named) for each in first]
    if not usable:
        path, reason = bad[0] if bad else (source, "contains no mask; save it as NAME_label or NAME.seg.nrrd")
        raise InputError(f"{in_one_line(path, reason)}; no case of {source} can be used")
    return _divided(usable, ignored, bad, learnt)


def read_unlabelled(source: Path, options: OwnDataOptions, corrections: Corrections, cases: Path) -> Unlabelled:
    """The volumes in the folder `source` that are not those of `corrections`, and not of patients who are held out.

    Masks in the folder are not read. The table of the options counts if it is the folder `cases` of the corrections.

    Raises:
        InputError: it has no volume that can be used.
    """
    is_same = resolved(source) == resolved(cases)
    imported = import_volumes(source, options if is_same else replace(options, table=None))
    checked, bad = check_scans(imported.datalist)
    known = {case.content for case in corrections.all}
    held_out = {case.scan.patient for case in corrections.held_out}
    names = {case_name(case.scan) for case in corrections.all}
    found: dict[str, Scan] = {}
    ignored = []
    for scan, content in ((each.scan, each.content) for each in checked if each.content not in known):
        if scan.patient in held_out:
            ignored.append((scan.image, _HELD_OUT))
            continue
        clashes = case_name(scan) in names
        found.setdefault(content, replace(scan, series=f"{scan.series} unlabelled".strip()) if clashes else scan)
    if not found:
        path, reason = (*bad, *ignored, (source, "all its volumes are among the corrected ones"))[0]
        raise InputError(f"{in_one_line(path, reason)}; no volume of {source} can be used; omit --unlabelled")
    return Unlabelled(list(found.values()), list(found), ignored, bad)


def _told_apart(cases: Sequence[CheckedScan]) -> tuple[list[CheckedScan], list[Named]]:
    """The first case of each image, and the others: one would be learnt from, and the other held out to judge it."""
    pairs = same_images(cases)
    twice = [
        (case.scan.image, f"is the same image as {other.scan.image}, whose mask is taken; remove one")
        for other, case in pairs
    ]
    again = {id(case) for _, case in pairs}
    return [case for case in cases if id(case) not in again], twice


def _correction(checked: CheckedScan, datalist: Datalist, labels: LabelSet, named: Collection[Path]) -> Correction:
    scan, values = checked.scan, {}
    for value in checked.voxels:
        try:
            values[value] = labels.value_of(labels.named(datalist.values.get(value, IGNORE)))
        except UsageError as error:
            raise InputError(
                f"{scan.image}: its mask has an organ that the model lacks ({error}); call it as the model does, "
                "remove it from the mask, or train a model of your own (docs/how_to/own_data.md)"
            ) from error
    return Correction(scan, values, checked.content, checked.grid, scan.image in named)


def _divided(
    cases: Sequence[Correction], ignored: Sequence[Named], bad: Sequence[Named], learnt: Collection[str]
) -> Corrections:
    """Held out are the patients that the user's table has in another split than "train".

    If there are none it is every fourth of those that the model has not learnt from: it knows the others.
    """
    known = frozenset(case.scan.patient for case in cases if case.content in learnt)
    others = sorted({case.scan.patient for case in cases} - known)
    chosen = {case.scan.patient for case in cases if case.scan.split != "train"}
    held_out = chosen or set(others[::_EVERY] if len(others) >= LEAST_PATIENTS else ())
    training = [case for case in cases if case.scan.patient not in held_out]
    if not training:
        raise UsageError("the table leaves no case of split 'train' to learn from")
    return Corrections(training, [case for case in cases if case.scan.patient in held_out], ignored, bad, known)
