"""The real volumes with references that models are measured on: where they are in a data folder, what is scored."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from LiverMRISegLib.anatomy import BTCV, CHAOS, TOTAL_MR, LabelSet
from LiverMRISegLib.errors import InputError
from LiverMRISegLib.evaluation.cohort import CaseScores, score_case
from LiverMRISegLib.inference.segmentation import Segmentation
from LiverMRISegLib.io import read_labelmap
from LiverMRISegLib.volume import Volume


@dataclass(frozen=True)
class DataSet:
    """Real volumes with references: `images` is a pattern below the data folder, `label_ending` replaces `ending`.

    `labelled_slices`: only some slices have labels, and these alone are scored. `names`: only images of these names
    belong to the set, all if empty.
    """

    name: str
    images: str
    ending: str
    label_ending: str
    labels: LabelSet
    labelled_slices: bool = False
    names: tuple[str, ...] = ()


T2_SPIR = DataSet(
    "T2-SPIR, CHAOS training set", "mr_t2_liver_kidneys_spleen/mr_*.nii.gz", ".nii.gz", "_label.nii.gz", CHAOS
)
T1_SLAB = DataSet(
    "T1 slab, labels by TotalSegmentator",
    "mr_t1_slab/example_mr_sm.nii.gz",
    "mr_sm.nii.gz",
    "seg_mr.nii.gz",
    TOTAL_MR,
)
CORONAL_GRE = DataSet(
    "coronal gradient echo, kidneys in the labelled slices",
    "mr_coronal_gre/*_e1.nii.gz",
    ".nii.gz",
    "_label.nii.gz",
    CHAOS,
    labelled_slices=True,
)
# Bodies that no recipe trains on. Their CT is no MR, but its edges are real and all organs have labels by people.
HELD_OUT_CT = DataSet(
    "CT of three bodies that were held out",
    "ct_multiorgan/ct_*.nii.gz",
    ".nii.gz",
    "_label.nii.gz",
    BTCV,
    names=("ct_05.nii.gz", "ct_17.nii.gz", "ct_26.nii.gz"),
)
DATA_SETS = (T2_SPIR, T1_SLAB, CORONAL_GRE)
# Five contrasts of one body without labels: what a model makes of one should be what it makes of the others.
FLIP_ANGLES = "mr_t1_flip_angles/*.nii.gz"


def cases_of(data: Path, kind: DataSet) -> list[tuple[Path, Path]]:
    """(image, label map) of every case; InputError if there is none."""
    images = [
        path
        for path in sorted(data.glob(kind.images))
        if not path.name.endswith("_label.nii.gz") and (not kind.names or path.name in kind.names)
    ]
    if not images:
        raise InputError(f"{data / kind.images}: no such image; check --data")
    return [(p, p.with_name(p.name.removesuffix(kind.ending) + kind.label_ending)) for p in images]


def scores_of(result: Segmentation, image: Path, label: Path, kind: DataSet) -> CaseScores:
    """The scores of a case of `cases_of`, of the organs that its reference has."""
    prediction, reference = Volume(result.labelmap, result.geometry, image.name), read_labelmap(label)
    if kind.labelled_slices:
        prediction = only_labelled(prediction, reference)
    case = score_case(image.name.removesuffix(".nii.gz"), prediction, reference, result.labels, kind.labels)
    return replace(case, scores=tuple(score for score in case.scores if score.reference_ml > 0))


def only_labelled(prediction: Volume, reference: Volume) -> Volume:
    """The prediction without labels outside the slices (of the first axis) in which the reference has some."""
    seen = np.asarray(reference.array.any(axis=(1, 2)))
    return Volume(prediction.array * seen[:, None, None], prediction.geometry, prediction.name)
