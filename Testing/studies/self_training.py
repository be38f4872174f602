"""The default model taught by its own sure labels of a cohort: self_training.py [--data DIR] [--rows NAME ...].

The ten T2 volumes are the cohort; their manual labels only test. The model labels each at several gammas and leaves
open what it is not sure of (configs/self_training.yaml and workflows/self_training.yaml); a control trains as long on
synthetic images alone. Every volume is seen in training, without its labels, and tested.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from liver_labels import datalist
from LiverMRISegLib.anatomy import CHAOS
from LiverMRISegLib.data.datalist import write_datalist
from LiverMRISegLib.pseudo_labels import pseudo_label
from LiverMRISegLib.pseudo_labels.pseudo_label import PseudoLabelConfig
from LiverMRISegLib.resources import DEFAULT_MODEL
from LiverMRISegLib.training.configuration import read_config
from LiverMRISegLib.training.stages.finetune import FinetuneConfig
from LiverMRISegLib.training.stages.finetune import run as run_finetune
from study import Row, main_of, parser_of

_CONFIG = Path(__file__).resolve().parents[2] / "scripts/train/configs/self_training.yaml"
_GAMMAS, _CERTAINTY = (0.6, 1.0, 1.6), 0.8


def rows(config: FinetuneConfig, labels: Path) -> list[Row]:
    """The model as it is, synthetic images alone, and its own labels beside them."""
    taught = replace(config.data, datalists=(labels,))
    alone = replace(config.data, datalists=(), labelled_batch=0, synthetic=replace(config.data.synthetic, batch=2))
    return [
        Row("the default model as it is", lambda _: None, config, DEFAULT_MODEL),
        Row("synthetic images alone", run_finetune, replace(config, data=alone)),
        Row("self-training", run_finetune, replace(config, data=taught)),
    ]


def main() -> None:
    """Label the cohort, run the rows asked for, show the table of all that are done."""
    arguments = parser_of(__doc__, "runs/self_training", 240).parse_args()
    work: Path = arguments.work
    work.mkdir(parents=True, exist_ok=True)
    cohort = datalist(arguments.data)
    write_datalist(replace(cohort, scans=[replace(s, labels=None) for s in cohort.scans]), work / "cohort.json")
    pseudo_label.run(
        PseudoLabelConfig(
            models=(DEFAULT_MODEL,),
            datalists=(work / "cohort.json",),
            gammas=_GAMMAS,
            certainty=_CERTAINTY,
            keep=len(cohort.scans),
            output=work / "labels",
            device="cpu",
        )
    )
    config = read_config(FinetuneConfig, _CONFIG)
    data = replace(config.data, cache=work / "cache", synthetic=replace(config.data.synthetic, folder=arguments.data))
    loop = replace(config.loop, steps=arguments.steps, seed=arguments.seed)
    config = replace(config, data=data, loop=loop)
    folder = work / f"steps_{arguments.steps}_seed_{arguments.seed}"
    everything = rows(config, work / "labels" / "datalist.json")
    main_of(everything, arguments.rows, folder, cohort.scans, CHAOS, lambda score: str(score["organ"]))


if __name__ == "__main__":
    main()
