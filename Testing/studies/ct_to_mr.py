"""From labelled CT to T2 MR without MR labels: ct_to_mr.py [--data DIR] [--seed N] [--rows NAME ...].

30 CT (ct_multiorgan) with labels of four organs, 10 T2-SPIR volumes (mr_t2_liver_kidneys_spleen) of which training
sees the images alone. Every first stage trains two networks on four fifths of the CT each, the first of which is
tested; self-training labels the MR by both, keeps the 8 cases that they agree on best, and trains a new network.
All networks have the same size, patches and steps; the last weights count.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from LiverMRISegLib.anatomy import BTCV, CHAOS
from LiverMRISegLib.data.augmentation import AugmentationConfig
from LiverMRISegLib.data.case_selection import FoldConfig
from LiverMRISegLib.data.datalist import Datalist, Scan, write_datalist
from LiverMRISegLib.io.atomic import atomic_write_text
from LiverMRISegLib.io.tables import markdown_table
from LiverMRISegLib.models.package.specification import Space
from LiverMRISegLib.pseudo_labels import pseudo_label
from LiverMRISegLib.pseudo_labels.pseudo_label import PseudoLabelConfig
from LiverMRISegLib.synthesis.structure_map_sources import StructureMapSource
from LiverMRISegLib.training.loop import LoopConfig
from LiverMRISegLib.training.stages.data_config import DataConfig, SyntheticConfig
from LiverMRISegLib.training.stages.finetune import FinetuneConfig
from LiverMRISegLib.training.stages.finetune import run as run_finetune
from LiverMRISegLib.translation import slice_segmenter, train_translator, translate
from LiverMRISegLib.translation.cyclegan import CycleGanConfig
from LiverMRISegLib.translation.slice_segmenter import SliceSegmenterConfig
from LiverMRISegLib.translation.slices import DomainConfig
from LiverMRISegLib.translation.train_translator import TranslatorConfig
from LiverMRISegLib.translation.translate import TranslateConfig
from study import SCORES, check_rows, parser_of, run_folder_of, test

ORGANS = ("liver", "right kidney", "left kidney", "spleen")
_MR = ("01", "02", "03", "05", "08", "10", "13", "15", "19", "20")
_KEPT = 8
_SPACING = 4.0
_SLICE = (96, 96)
# Kept MR stand beside 30 CT: listed three times, they are near half of what is drawn.
_MR_SHARE = 3
_TEACHERS = ("CycleGAN", "domain randomisation")
TOGETHER = "CycleGAN and domain randomisation together"
_SOURCES = (
    StructureMapSource("ct_multiorgan/*_label.nii.gz", "BTCV", image_ending=".nii.gz", licence="BTCV, research use"),
)


@dataclass(frozen=True)
class Study:
    """Where things are, and how long trainings are."""

    data: Path
    work: Path
    steps: int
    translator_steps: int
    seed: int

    @property
    def folder(self) -> Path:
        """Trainings and translations of this number of steps and this seed."""
        return self.work / f"steps_{self.steps}_seed_{self.seed}"

    @property
    def ct(self) -> Path:
        """Datalist of the labelled CT."""
        return self.work / "ct.json"

    @property
    def mr(self) -> Path:
        """Datalist of the MR, without labels."""
        return self.work / "mr.json"

    def loop(self, steps: int, learning_rate: float, stage: int = 0, **more: Any) -> LoopConfig:
        """No validation: the last weights count. The stages of a seed begin with different weights."""
        every: dict[str, Any] = {"validate_every": steps, "checkpoint_every": 250, "log_every": 50, **more}
        return LoopConfig(steps=steps, learning_rate=learning_rate, seed=10 * self.seed + stage, **every)

    def tests(self) -> list[Scan]:
        """All MR with labels."""
        folder = self.data / "mr_t2_liver_kidneys_spleen"
        return [Scan(f"mr_{n}", "T2WI", folder / f"mr_{n}.nii.gz", folder / f"mr_{n}_label.nii.gz") for n in _MR]


def write_datalists(study: Study) -> None:
    """The two domains; no label map of MR is named."""
    study.work.mkdir(parents=True, exist_ok=True)
    folder = study.data / "ct_multiorgan"
    scans = [
        Scan(p.name[:5], "CT", p.with_name(p.name.replace("_label", "")), p)
        for p in sorted(folder.glob("*_label.nii.gz"))
    ]
    values = {value: organ.name for value, organ in BTCV.items()}
    write_datalist(Datalist("BTCV", "BTCV challenge terms; research use", values, scans), study.ct)
    images = [replace(scan, labels=None) for scan in study.tests()]
    write_datalist(Datalist("CHAOS T2-SPIR", "research use", {}, images), study.mr)


def translations(study: Study, name: str, gan: CycleGanConfig, space: Space = "intensity") -> Path:
    """Train a translator, translate all CT; the datalist of the translations."""
    folder = study.folder / "translators" / name.replace(" ", "_")
    source = DomainConfig((study.ct,), percentiles=(0.0, 100.0))  # the CT files are windowed already
    common: dict[str, Any] = {"cache": study.work / "cache", "spacing": (_SPACING,) * 3, "size": _SLICE, "space": space}
    segmenter = ""
    is_joint = gan.attend == "joint"  # then the translator trains its own segmenter
    if gan.local and not is_joint:
        segmenter = str(folder / "segmenter")
        loop = study.loop(600, 1e-3, validate_every=200)
        labelled = replace(source, labelled=True)
        slice_segmenter.run(SliceSegmenterConfig(Path(segmenter), labelled, ORGANS, batch=8, loop=loop, **common))
    more: dict[str, Any] = {"warmup": 0, "gradient_clip": 0.0, "schedule": "constant then linear"}
    loop = study.loop(study.translator_steps, 2e-4, validate_every=500, **more)
    train_translator.run(
        TranslatorConfig(
            folder / "run",
            replace(source, labelled=is_joint),
            DomainConfig((study.mr,)),
            segmenter=segmenter,
            organs=ORGANS if is_joint else (),
            segmenter_widths=(16, 16, 32, 64, 128, 16),
            batch=2,
            gan=gan,
            loop=loop,
            **common,
        )
    )
    output = folder / "volumes"
    translate.run(TranslateConfig(folder / "run", replace(source, labelled=True), "T2WI", output))
    return output / "datalist.json"


def data_of(study: Study, *datalists: Path, synthetic: int = 0, space: Space = "intensity") -> DataConfig:
    """Two patches a step, `synthetic` of them made from the CT's labels."""
    return DataConfig(
        datalists=datalists,
        organs=ORGANS,
        cache=study.work / "cache",
        spacing=(_SPACING,) * 3,
        normalisation="percentile-z-score",
        space=space,
        patch=(40, 56, 72),
        labelled_batch=2 - synthetic,
        augmentation=AugmentationConfig(),
        synthetic=SyntheticConfig(synthetic, study.data, _SOURCES),
        workers=0,
    )


def train(study: Study, name: str, data: DataConfig, stage: int = 0) -> Path:
    """Train a network from random weights; its package."""
    folder = run_folder_of(name, study.folder)
    config = FinetuneConfig(
        run_folder=folder,
        data=data,
        network="stunet-xxs",
        strides=((2, 2, 2), (2, 2, 2), (2, 2, 2), (1, 1, 1), (1, 1, 1)),
        loop=study.loop(study.steps, 3e-3, stage, gradient_clip=12.0),
        branch="last",
        name=name.replace(" ", "-").replace(",", ""),
    )
    if not (folder / "model").exists():
        run_finetune(config)
    return folder / "model"


def fold_of(data: DataConfig, number: int) -> DataConfig:
    """Four fifths of the CT; where they take part as synthetic images alone, the last fifth's are left out of those."""
    if data.labelled_batch:
        return replace(data, fold=FoldConfig(number, 5))
    left_out = tuple(f"ct_{body:02d}" for body in range(number, 30, 5))
    return replace(data, synthetic=replace(data.synthetic, validation_bodies=left_out, validation_images=1))


def first_stage(study: Study, name: str, data: DataConfig) -> tuple[Path, Path]:
    """The packages of two folds; the first is tested."""
    models = []
    for number in (0, 1):
        label = name if number == 0 else f"{name} fold {number}"
        models.append(train(study, label, fold_of(data, number), stage=number))
    return models[0], models[1]


def self_training(study: Study, name: str, data: DataConfig, models: tuple[Path, Path]) -> Path:
    """Pseudo labels by the two folds, the most consistent kept, a new network on both domains."""
    output = study.folder / "labels" / name.replace(" ", "_")
    names = tuple(str(model) for model in models)
    pseudo_label.run(PseudoLabelConfig(names, (study.mr,), keep=_KEPT, output=output, device="cpu"))
    lists = (*data.datalists, *[output / "datalist.json"] * _MR_SHARE)
    if data.synthetic.batch:  # the CT take part as synthetic images alone
        lists, data = (
            (output / "datalist.json",),
            replace(data, labelled_batch=1, synthetic=replace(data.synthetic, batch=1)),
        )
    return train(study, f"{name} + self-training", replace(data, datalists=lists), stage=2)


def all_together(study: Study) -> Path:
    """What the two best teachers agree on, beside translated CT and images made from the CT's labels."""
    teachers = [run_folder_of(f"{name} + self-training", study.folder) / "model" for name in _TEACHERS]
    output = study.folder / "labels" / "all_together"
    names = tuple(str(model) for model in teachers)
    pseudo_label.run(PseudoLabelConfig(names, (study.mr,), keep=_KEPT, output=output, device="cpu"))
    translated = study.folder / "translators" / "CycleGAN" / "volumes" / "datalist.json"
    lists = (translated, *[output / "datalist.json"] * _MR_SHARE)
    return train(study, TOGETHER, data_of(study, *lists, synthetic=1), stage=3)


def make_rows(study: Study) -> dict[str, Callable[[], DataConfig]]:
    """What each first stage trains on; called only when it is wanted."""
    plain = CycleGanConfig(16, 6, 32)
    attention, anatomy = replace(plain, local=1.0), replace(plain, identity=5.0)
    authors = replace(plain, identity=5.0, local=0.5, attend="joint", fusion="concatenate", segmentation=5.0)

    def translated(name: str, gan: CycleGanConfig, space: Space = "intensity") -> DataConfig:
        return data_of(study, translations(study, name, gan, space), space=space)

    return {
        "CT only": lambda: data_of(study, study.ct),
        "CycleGAN": lambda: translated("CycleGAN", plain),
        "organ attention": lambda: translated("organ attention", attention),
        "organ attention on both": lambda: translated("organ attention on both", replace(attention, attend="both")),
        "organ attention as its authors run it": lambda: translated("organ attention as its authors run it", authors),
        "anatomy space": lambda: translated("anatomy space", anatomy, "anatomy"),
        "smooth anatomy space": lambda: translated("smooth anatomy space", anatomy, "smooth anatomy"),
        "Sobel CT straight to Sobel MR": lambda: data_of(study, study.ct, space="anatomy"),
        "anatomy space, equation 3 as written": lambda: translated(
            "anatomy space, equation 3 as written", replace(anatomy, identity_of="translations"), "anatomy"
        ),
        "domain randomisation": lambda: data_of(study, study.ct, synthetic=2),
    }


def keep_scores(study: Study, name: str, model: Path) -> None:
    """Test a package on all MR, unless that was done."""
    path = run_folder_of(name, study.folder) / SCORES
    if not path.exists():
        atomic_write_text(path, json.dumps(test(model, study.tests(), CHAOS), indent=1))


def table(study: Study, names: list[str]) -> str:
    """Dice and NSD x 100 per organ, mean (SD) over cases, and the mean over organs."""
    lines = []
    for name in names:
        path = run_folder_of(name, study.folder) / SCORES
        if path.exists():
            scores = json.loads(path.read_text())
            cells, means = [], []
            for organ in ORGANS:
                values = {
                    key: 100 * np.array([s[key] for s in scores if s["organ"] == organ]) for key in ("dsc", "nsd")
                }
                cells.append(" / ".join(f"{v.mean():.1f} ({v.std():.1f})" for v in values.values()))
                means.append([v.mean() for v in values.values()])
            dice, nsd = np.mean(means, axis=0)
            lines.append([name, *cells, f"{dice:.1f}", f"{nsd:.1f}"])
    return markdown_table(["row", *ORGANS, "mean Dice", "mean NSD"], lines)


def main() -> None:
    """Run the first stages asked for, each with its self-training, and show the table of all that are done."""
    parser = parser_of(__doc__, "runs/ct_to_mr", 800)
    parser.add_argument("--translator-steps", type=int, default=2000)
    arguments = parser.parse_args()
    study = Study(
        arguments.data.absolute(), arguments.work, arguments.steps, arguments.translator_steps, arguments.seed
    )
    write_datalists(study)
    rows = make_rows(study)
    check_rows(arguments.rows, [*rows, TOGETHER])
    names = []
    for name, make in rows.items():
        names += [name, f"{name} + self-training"] if name != "CT only" else [name]
        if arguments.rows and name not in arguments.rows:
            continue
        data = make()
        if name == "CT only":  # what the others are measured against; nobody would label MR with it
            keep_scores(study, name, train(study, name, replace(data, fold=FoldConfig(0, 5))))
            continue
        models = first_stage(study, name, data)
        keep_scores(study, name, models[0])
        keep_scores(study, f"{name} + self-training", self_training(study, name, data, models))
    if not arguments.rows or TOGETHER in arguments.rows:
        keep_scores(study, TOGETHER, all_together(study))
    print(table(study, [*names, TOGETHER]))


if __name__ == "__main__":
    main()
