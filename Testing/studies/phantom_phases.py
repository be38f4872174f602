"""Four phases and two vendors of phantoms, labels on GED4 of vendor A alone: phantom_phases.py [--rows NAME ...].

Every training patient lacks some of the phases. Dice of the liver per phase and vendor, on patients of their own: what
cross pseudo supervision, unlabelled volumes of all sequences, inverted contrast and synthetic images add.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from LiverMRISegLib.anatomy import LIVER, LabelSet, Sequence
from LiverMRISegLib.data.augmentation import AugmentationConfig
from LiverMRISegLib.data.case_selection import PoolConfig
from LiverMRISegLib.data.datalist import Datalist, Scan, read_datalist, write_datalist
from LiverMRISegLib.io import write_volume
from LiverMRISegLib.phantom.study import LABELS, make_study
from LiverMRISegLib.synthesis.structure_map_sources import StructureMapSource
from LiverMRISegLib.training.loop import LoopConfig
from LiverMRISegLib.training.methods.cross_pseudo_supervision import CrossPseudoConfig
from LiverMRISegLib.training.stages.data_config import DataConfig, SyntheticConfig
from LiverMRISegLib.volume import Volume
from study import Row, cross_pseudo, main_of, parser_of, supervised

_PHASES = (Sequence.T1WI, Sequence.T2WI, Sequence.DWI, Sequence.GED4)
_TRAINING, _TESTING = 8, 4  # patients per vendor
_MISSING = 0.25
_LIVER = LabelSet("phantom", {LABELS.value_of(LIVER): LIVER})


def make_data(folder: Path) -> Path:
    """Write the phantoms and their datalist, unless they are there."""
    path = folder / "datalist.json"
    if path.exists():
        return path
    folder.mkdir(parents=True, exist_ok=True)
    scans = [
        scan
        for vendor_number, vendor in enumerate("AB")
        for patient in range(_TRAINING + _TESTING)
        for scan in _patient(folder, vendor, 100 * vendor_number + patient, is_test=patient >= _TRAINING)
    ]
    values = {value: organ.name for value, organ in LABELS.items()}
    write_datalist(Datalist("phantoms of two vendors", "Apache-2.0", values, scans), path)
    return path


def _patient(folder: Path, vendor: str, seed: int, *, is_test: bool) -> list[Scan]:
    random = np.random.default_rng([7, seed])
    kept = [p for p in _PHASES if is_test or random.random() > _MISSING]
    if vendor == "A" and not is_test and Sequence.GED4 not in kept:
        kept.append(Sequence.GED4)
    scans = []
    for phase in kept:
        made = make_study([phase], seed, in_plane_mm=2.2 if vendor == "A" else 2.8)[phase]
        name = f"{vendor}{seed}_{phase.value}"
        image, labels = folder / f"{name}.nii.gz", folder / f"{name}_label.nii.gz"
        write_volume(_as_vendor(made.volume, vendor, random), image)
        write_volume(made.labelmap, labels)
        labelled = is_test or (vendor == "A" and phase is Sequence.GED4)
        split = "test" if is_test else "train"
        scans.append(Scan(f"{vendor}{seed}", phase.value, image, labels if labelled else None, vendor, split=split))
    return scans


def _as_vendor(volume: Volume, vendor: str, random: np.random.Generator) -> Volume:
    """Vendor B's images are coarser, noisier, unevenly bright and of another tone curve."""
    if vendor == "A":
        return volume
    z, y, x = (np.linspace(-1, 1, n) for n in volume.array.shape)
    field = np.exp(0.35 * x[None, None, :] - 0.25 * y[None, :, None] + 0.1 * z[:, None, None])
    bright = 1500.0 * (np.clip(volume.array, 0, None) / 1500.0) ** 0.75 * field
    noisy = bright + random.normal(0, 25, bright.shape)
    return replace(volume, array=np.clip(noisy, 0, 4095).astype(np.int16))


def rows(lists: Path, work: Path, steps: int, seed: int) -> list[Row]:
    """From labelled GED4 of vendor A alone to everything."""
    data = DataConfig(
        datalists=(lists,),
        labelled=PoolConfig(sequences=("GED4",), vendors=("A",)),
        unlabelled=PoolConfig(sequences=("GED4",)),
        cache=work / "cache",
        spacing=(5.0, 5.0, 5.0),
        normalisation="percentile-z-score",
        patch=(24, 32, 32),
        workers=0,
    )
    everything = replace(data, unlabelled=PoolConfig())
    inverted = replace(everything, augmentation=AugmentationConfig(inversion=0.3))
    labelled = [scan.labels for scan in read_datalist(lists).pool(sequences=("GED4",), vendors=("A",), labelled=True)]
    sources = tuple(
        StructureMapSource(labels.relative_to(lists.parent.resolve()).as_posix(), LABELS.name)
        for labels in labelled
        if labels
    )
    synthetic = SyntheticConfig(batch=1, folder=lists.parent, sources=sources)
    loop = LoopConfig(
        steps=steps, learning_rate=1e-3, gradient_clip=12.0, log_every=100, checkpoint_every=500, seed=seed
    )
    common: Mapping[str, Any] = {
        "data": data,
        "network": "stunet",
        "widths": (8, 16, 32, 64, 64, 64),
        "strides": ((2, 2, 2), (2, 2, 2), (2, 2, 2), (1, 1, 1), (1, 1, 1)),
        "loop": loop,
    }
    cps = CrossPseudoConfig("dice")
    return [
        supervised("supervised", common),
        supervised("supervised + inverted", common, data=replace(inverted, unlabelled=data.unlabelled)),
        supervised("supervised + synthetic", common, data=replace(data, synthetic=synthetic)),
        cross_pseudo("CPS, GED4 pool", common, cps),
        cross_pseudo("CPS, all sequences", common, cps, data=everything),
        cross_pseudo("CPS, all sequences + inverted", common, cps, data=inverted),
        cross_pseudo(
            "CPS, all sequences + inverted + synthetic", common, cps, data=replace(inverted, synthetic=synthetic)
        ),
    ]


def main() -> None:
    """Run the rows asked for and show the table of all that are done."""
    arguments = parser_of(__doc__, "runs/phantom", 700).parse_args()
    work: Path = arguments.work
    lists = make_data(work.absolute() / "data")
    folder = work / f"steps_{arguments.steps}_seed_{arguments.seed}"
    everything = rows(lists, work, arguments.steps, arguments.seed)
    tests = read_datalist(lists).pool(split="test")
    main_of(everything, arguments.rows, folder, tests, _LIVER, lambda score: f"{score['sequence']} {score['vendor']}")


if __name__ == "__main__":
    main()
