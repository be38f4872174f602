"""Semi-supervised methods on heart MR with 4 and 8 of 60 labels: heart_labels.py [--data DIR] [--rows NAME ...].

Rows share network, steps, patches and augmentation; la_60 to la_79 are tested, no volume is validated on, so the last
weights count. Several processes may share the work: each takes the rows that its --rows name. The rows "2 of 12" have
fewer volumes and float32, and the mean of both networks of CPS.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from LiverMRISegLib.anatomy import LEFT_ATRIUM, LabelSet
from LiverMRISegLib.data.augmentation import AugmentationConfig
from LiverMRISegLib.data.case_selection import PoolConfig
from LiverMRISegLib.data.datalist import Datalist, Scan, write_datalist
from LiverMRISegLib.training.configuration import read_config
from LiverMRISegLib.training.loop import LoopConfig
from LiverMRISegLib.training.methods.bidirectional_copy_paste import CopyPasteConfig
from LiverMRISegLib.training.methods.cross_pseudo_supervision import CrossPseudoConfig
from LiverMRISegLib.training.stages.data_config import DataConfig
from study import (
    Row,
    copy_paste,
    cross_pseudo,
    dual_task,
    intermediate_domains,
    main_of,
    mean_teacher,
    parser_of,
    supervised,
)

_MIDSS_VIEWS = Path(__file__).resolve().parents[2] / "scripts/train/configs/parts/midss_views.yaml"
_LABELS = LabelSet.of("left atrium", [LEFT_ATRIUM])


def datalist(data: Path) -> Datalist:
    """60 volumes to train on, 20 to test on."""
    folder = data.absolute() / "mr_left_atrium"
    names = [f"la_{n:02d}" for n in range(80)]
    scans = [
        Scan(
            name,
            "T1WI",
            folder / f"{name}.nii.gz",
            folder / f"{name}_label.nii.gz",
            split="train" if n < 60 else "test",
        )
        for n, name in enumerate(names)
    ]
    return Datalist("left atrium", "challenge terms, research use", {1: "left atrium"}, scans)


def patients(first: int, last: int) -> tuple[str, ...]:
    """Their names, from `first` up to and without `last`."""
    return tuple(f"la_{n:02d}" for n in range(first, last))


def common(lists: Path, labelled: tuple[str, ...], work: Path, steps: int, seed: int) -> dict[str, Any]:
    """What all rows share: data with these patients labelled, network, loop."""
    data = DataConfig(
        datalists=(lists,),
        organs=("left atrium",),
        labelled=PoolConfig(patients=labelled),
        cache=work / "cache",
        spacing=(2.0, 2.0, 2.0),
        orientation="",
        patch=(24, 32, 40),
        augmentation=AugmentationConfig(),
        workers=0,
    )
    loop = LoopConfig(
        steps=steps, learning_rate=1e-3, gradient_clip=12.0, log_every=100, checkpoint_every=500, seed=seed
    )
    return {
        "data": data,
        "network": "stunet",
        "widths": (8, 16, 32, 64, 64, 64),
        "strides": ((2, 2, 2), (2, 2, 2), (2, 2, 2), (1, 1, 1), (1, 1, 1)),
        "loop": loop,
    }


def rows(lists: Path, labels: int, work: Path, steps: int, seed: int) -> list[Row]:
    """The rows with this many labels."""
    shared = common(lists, patients(0, labels), work, steps, seed)
    own_views = replace(shared["data"], augmentation=read_config(AugmentationConfig, _MIDSS_VIEWS))
    return [
        supervised(f"supervised, {labels}", shared),
        mean_teacher(f"mean teacher, {labels}", shared),
        mean_teacher(f"uncertainty-aware mean teacher, {labels}", shared, passes=8),
        dual_task(f"dual-task consistency, {labels}", shared),
        cross_pseudo(f"CPS paper, {labels}", shared, CrossPseudoConfig("paper")),
        cross_pseudo(f"CPS dice, {labels}", shared, CrossPseudoConfig("dice")),
        copy_paste(f"BCP, {labels}", shared, CopyPasteConfig(view="strong")),
        copy_paste(f"BCP longer pre-training, {labels}", shared, CopyPasteConfig(pretraining=0.4, view="strong")),
        copy_paste(f"BCP anywhere, {labels}", shared, CopyPasteConfig(view="strong", same_place=False)),
        intermediate_domains(f"MiDSS, {labels}", shared),
        intermediate_domains(f"MiDSS own views, {labels}", shared, data=own_views),
    ]


def few_rows(lists: Path, work: Path, steps: int, seed: int) -> list[Row]:
    """2 labelled and 10 unlabelled volumes."""
    shared = common(lists, patients(0, 2), work, steps, seed)
    shared["data"] = replace(shared["data"], unlabelled=PoolConfig(patients=patients(2, 12)))
    shared["loop"] = replace(shared["loop"], precision="32-true")
    return [
        supervised("supervised, 2 of 12", shared),
        cross_pseudo("CPS dice, 2 of 12", shared, CrossPseudoConfig("dice"), branch="mean"),
    ]


def main() -> None:
    """Run the rows asked for and show the table of all that are done."""
    arguments = parser_of(__doc__, "runs/heart", 2000).parse_args()
    work: Path = arguments.work
    work.mkdir(parents=True, exist_ok=True)
    lists = datalist(arguments.data)
    write_datalist(lists, work / "datalist.json")
    everything = few_rows(work / "datalist.json", work, arguments.steps, arguments.seed) + [
        row
        for labels in (4, 8, 60)
        for row in rows(work / "datalist.json", labels, work, arguments.steps, arguments.seed)
        if labels < 60 or row.name.startswith("supervised")
    ]
    folder = work / f"steps_{arguments.steps}_seed_{arguments.seed}"
    main_of(everything, arguments.rows, folder, lists.pool(split="test"), _LABELS)


if __name__ == "__main__":
    main()
