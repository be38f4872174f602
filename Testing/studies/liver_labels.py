"""Semi-supervised methods on liver T2 with 2 of 10 labels: liver_labels.py [--data DIR] [--rows NAME ...].

mr_01 and mr_02 are labelled, the other 8 are unlabelled in training and tested; their labels enter no training. Rows
share network, steps, patches and augmentation; the last weights count. The best row is written as the package
liver-t2-cps beside the runs.
"""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

from LiverMRISegLib.anatomy import CHAOS
from LiverMRISegLib.data.case_selection import PoolConfig
from LiverMRISegLib.data.datalist import Datalist, Scan, write_datalist
from LiverMRISegLib.resources import DEFAULT_MODEL
from LiverMRISegLib.training.configuration import read_config
from LiverMRISegLib.training.loop import LoopConfig
from LiverMRISegLib.training.methods.bidirectional_copy_paste import CopyPasteConfig
from LiverMRISegLib.training.methods.cross_pseudo_supervision import CrossPseudoConfig
from LiverMRISegLib.training.stages.data_config import DataConfig, SyntheticConfig
from study import Row, copy_paste, cross_pseudo, intermediate_domains, main_of, parser_of, supervised, untrained

_NUMBERS = ("01", "02", "03", "05", "08", "10", "13", "15", "19", "20")
_LABELLED = ("mr_01", "mr_02")
# The label maps that the default model was trained on; none is of an MR image.
_SOURCES = Path(__file__).resolve().parents[2] / "scripts/train/configs/parts/bodies.yaml"


def datalist(data: Path) -> Datalist:
    """Ten volumes; all take part in training, but only two with their labels."""
    folder = data.absolute() / "mr_t2_liver_kidneys_spleen"
    scans = [Scan(f"mr_{n}", "T2WI", folder / f"mr_{n}.nii.gz", folder / f"mr_{n}_label.nii.gz") for n in _NUMBERS]
    values = {value: organ.name for value, organ in CHAOS.items()}
    return Datalist("CHAOS T2-SPIR", "CHAOS: CC BY-NC-SA 4.0 by third parties' word; research use", values, scans)


def common(lists: Path, patients: tuple[str, ...], work: Path, steps: int, seed: int) -> dict[str, Any]:
    """What all rows share: data with these patients labelled, network, loop."""
    data = DataConfig(
        datalists=(lists,),
        organs=("liver",),
        labelled=PoolConfig(patients=patients),
        cache=work / "cache",
        spacing=(4.0, 4.0, 4.0),
        normalisation="percentile-z-score",
        patch=(24, 40, 40),
        workers=0,
    )
    loop = LoopConfig(
        steps=steps, learning_rate=1e-3, gradient_clip=12.0, log_every=100, checkpoint_every=500, seed=seed
    )
    return {
        "data": data,
        "network": "stunet-xs",  # that of the default model, so that rows can begin with its weights
        "strides": ((2, 2, 2), (2, 2, 2), (2, 2, 2), (1, 1, 1), (1, 1, 1)),
        "loop": loop,
        "name": "liver-t2-cps",
    }


def rows(lists: Path, synthetic: SyntheticConfig, work: Path, steps: int, seed: int) -> list[Row]:
    """From random weights, and from the shipped model's; also with images made from CT's label maps beside."""
    shared = common(lists, _LABELLED, work, steps, seed)
    started = {**shared, "start": DEFAULT_MODEL}
    with_synthetic = replace(shared["data"], synthetic=synthetic)
    cps, settings = CrossPseudoConfig("dice"), CopyPasteConfig(view="strong")
    return [
        untrained("the default model as it is", shared, DEFAULT_MODEL),
        supervised("supervised", shared),
        supervised("from the default model, supervised", started, keep_heads=True),
        supervised("from the default model, supervised + synthetic", started, keep_heads=True, data=with_synthetic),
        cross_pseudo("from the default model, CPS", started, cps),
        cross_pseudo("from the default model, CPS + synthetic", started, cps, data=with_synthetic),
        cross_pseudo("CPS", shared, cps),
        copy_paste("BCP", shared, settings),
        intermediate_domains("MiDSS", shared),
    ]


def main() -> None:
    """Run the rows asked for, show the table of all that are done, and keep the best row's package."""
    arguments = parser_of(__doc__, "runs/liver", 2000).parse_args()
    work: Path = arguments.work
    work.mkdir(parents=True, exist_ok=True)
    lists = datalist(arguments.data)
    write_datalist(lists, work / "datalist.json")
    tests = [scan for scan in lists.scans if scan.patient not in _LABELLED]
    folder = work / f"steps_{arguments.steps}_seed_{arguments.seed}"
    sources = read_config(SyntheticConfig, _SOURCES)
    synthetic = replace(sources, batch=1, folder=arguments.data.absolute())
    everything = rows(work / "datalist.json", synthetic, work, arguments.steps, arguments.seed)
    best = main_of(everything, arguments.rows, folder, tests, CHAOS)
    shutil.rmtree(work / "liver-t2-cps", ignore_errors=True)
    shutil.copytree(best / "model", work / "liver-t2-cps")


if __name__ == "__main__":
    main()
