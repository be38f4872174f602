"""The corrected masks that a model is adapted to: which can be used, which organs they have, which are held out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from LiverMRISegLib.anatomy import LabelSet
from LiverMRISegLib.data.datalist import Datalist, Scan
from LiverMRISegLib.data.importers import OwnDataOptions, import_folder
from LiverMRISegLib.data.importers.own_data import IGNORE
from LiverMRISegLib.data.importers.plain_folder import OTHER_MASK, import_volumes
from LiverMRISegLib.data.importers.summary import CheckedScan, check_scans, in_one_line, same_images
from LiverMRISegLib.errors import InputError, UsageError

# From so many patients on, every fourth is held out: fewer leave too little to learn from.
NO_MASK = "has no mask"
LEAST_PATIENTS = 4
_EVERY = 4
Named = tuple[Path, str]


@dataclass(frozen=True)
class Correction:
    """A volume and its mask; `values` maps the values in the mask to those of the model's organs.

    `content` as `CheckedScan`. `has_names`: the file of the mask named its organs.
    """

    scan: Scan
    values: Mapping[int, int]
    content: str
    has_names: bool = False

    @property
    def organs(self) -> frozenset[int]:
        """Values of the model's organs that the mask has."""
        return frozenset(self.values.values())


@dataclass(frozen=True)
class Corrections:
    """What is learnt from and what is held out.

    `ignored` are files that were never meant to be learnt from, `bad` those that cannot be used, each with the reason.
    """

    training: Sequence[Correction]
    held_out: Sequence[Correction]
    ignored: Sequence[Named] = ()
    bad: Sequence[Named] = ()

    @property
    def all(self) -> list[Correction]:
        """Both."""
        return [*self.training, *self.held_out]

    def patients(self) -> int:
        """How many."""
        return len({case.scan.patient for case in self.all})


def read_corrections(source: Path, labels: LabelSet, options: OwnDataOptions, made: Path) -> Corrections:
    """The volumes with masks in the folder `source`, as `import_folder` finds them.

    Args:
        source: the folder.
        labels: the model's organs.
        options: what the user says about the data.
        made: a folder for masks that must be renumbered.

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
    bad += [*refused, *((each.scan.image, f"its mask {each.scan.labels} is empty") for each in empty)]
    first, twice = _told_apart([each for each in checked if each.voxels])
    bad += twice
    named = {scan.image for scan in masked if scan.labels and made in scan.labels.parents}
    usable = [
        replace(_correction(each, imported.datalist, labels), has_names=each.scan.image in named) for each in first
    ]
    if not usable:
        path, reason = bad[0] if bad else (source, "contains no mask; save it as NAME_label or NAME.seg.nrrd")
        raise InputError(f"{in_one_line(path, reason)}; no case of {source} can be used")
    return _divided(usable, ignored, bad)


def read_unlabelled(source: Path, options: OwnDataOptions, corrections: Corrections) -> tuple[list[Scan], list[Named]]:
    """The volumes in the folder `source` that are not those of `corrections`, and files that cannot be used.

    Masks in the folder are not read.

    Raises:
        InputError: it has no volume that can be used.
    """
    imported = import_volumes(source, replace(options, table=None))
    checked, bad = check_scans(imported.datalist)
    known = {case.content for case in corrections.all}
    found = [each.scan for each in checked if each.content not in known]
    if not found:
        path, reason = bad[0] if bad else (source, "all its volumes are among the corrected ones")
        raise InputError(f"{in_one_line(path, reason)}; no volume of {source} can be used; omit --unlabelled")
    return found, bad


def _told_apart(cases: Sequence[CheckedScan]) -> tuple[list[CheckedScan], list[Named]]:
    """The first case of each image, and the others: one would be learnt from, and the other held out to judge it."""
    pairs = same_images(cases)
    twice = [
        (case.scan.image, f"is the same image as {other.scan.image}, whose mask is taken; remove one")
        for other, case in pairs
    ]
    again = {id(case) for _, case in pairs}
    return [case for case in cases if id(case) not in again], twice


def _correction(checked: CheckedScan, datalist: Datalist, labels: LabelSet) -> Correction:
    values = {}
    for value in checked.voxels:
        try:
            values[value] = labels.value_of(labels.named(datalist.values.get(value, IGNORE)))
        except UsageError as error:
            raise InputError(
                f"{checked.scan.labels}: has an organ that the model lacks ({error}); remove it from the masks, or "
                "train a model of your own (docs/how_to/own_data.md)"
            ) from error
    return Correction(checked.scan, values, checked.content)


def _divided(cases: Sequence[Correction], ignored: Sequence[Named], bad: Sequence[Named]) -> Corrections:
    """Held out are the patients that the user's table has in another split than "train", else every fourth."""
    patients = sorted({case.scan.patient for case in cases})
    chosen = {case.scan.patient for case in cases if case.scan.split != "train"}
    held_out = chosen or set(patients[::_EVERY] if len(patients) >= LEAST_PATIENTS else ())
    training = [case for case in cases if case.scan.patient not in held_out]
    if not training:
        raise UsageError("the table leaves no case of split 'train' to learn from")
    return Corrections(training, [case for case in cases if case.scan.patient in held_out], ignored, bad)
