"""One label: SemiSAM-O1 beside its peers: one_label.py heart|liver [--data DIR] [--rows NAME ...].

heart: la_00 labelled, la_01 to la_59 unlabelled, la_60 to la_79 tested. liver: mr_01 labelled, the other nine
unlabelled in training and tested. Rows share network, steps (of each round), patches and augmentation; the last weights
count.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import heart_labels
import liver_labels
from LiverMRISegLib.anatomy import CHAOS, LEFT_ATRIUM, LabelSet
from LiverMRISegLib.data.case_selection import PoolConfig
from LiverMRISegLib.data.datalist import Datalist, Scan, write_datalist
from LiverMRISegLib.one_label.first_labels import FirstLabelsConfig
from LiverMRISegLib.one_label.refine import RefineConfig
from LiverMRISegLib.one_label.rounds import OneLabelConfig
from LiverMRISegLib.training.methods.cross_pseudo_supervision import CrossPseudoConfig
from LiverMRISegLib.training.optimizers import OptimizerConfig
from one_label_rounds import OneLabelRow, first_table, rounds_table, run_rounds
from study import Row, check_rows, cross_pseudo, mean_teacher, parser_of, run_folder_of, run_row, supervised, table


@dataclass(frozen=True)
class Study:
    """What is learned from which patient's labels, and who is tested."""

    name: str
    template: str
    lists: Datalist
    tests: list[Scan]
    labels: LabelSet
    common: dict[str, Any]


def heart(data: Path, work: Path, steps: int, seed: int) -> Study:
    """One of 60 labelled, 20 others tested."""
    lists = heart_labels.datalist(data)
    common = heart_labels.common(work / "datalist.json", ("la_00",), work, steps, seed)
    labels = LabelSet.of("left atrium", [LEFT_ATRIUM])
    return Study("heart", "la_00", lists, lists.pool(split="test"), labels, common)


def liver(data: Path, work: Path, steps: int, seed: int) -> Study:
    """One of ten labelled, the others tested."""
    lists = liver_labels.datalist(data)
    common = liver_labels.common(work / "datalist.json", ("mr_01",), work, steps, seed)
    return Study("liver", "mr_01", lists, [s for s in lists.scans if s.patient != "mr_01"], CHAOS, common)


STUDIES = {"heart": heart, "liver": liver}


def everything_labelled(study: Study) -> list[tuple[Row, Sequence[Scan]]]:
    """What full supervision reaches. Of the liver's ten volumes each third of the nine is tested by the other seven."""
    if study.name == "heart":
        data = replace(study.common["data"], labelled=PoolConfig())
        return [(supervised("supervised on all 60", study.common, data=data), study.tests)]
    found: list[tuple[Row, Sequence[Scan]]] = []
    for fold in range(3):
        tests = study.tests[fold::3]
        patients = tuple(s.patient for s in study.lists.scans if s not in tests)
        data = replace(study.common["data"], labelled=PoolConfig(patients=patients))
        found.append((supervised(f"supervised on 7 others, fold {fold}", study.common, data=data), tests))
    return found


def peers(study: Study) -> list[Row]:
    """One label, with and without unlabelled volumes."""
    return [
        supervised("supervised", study.common),
        mean_teacher("mean teacher", study.common),
        mean_teacher("uncertainty-aware mean teacher", study.common, passes=8),
        cross_pseudo("CPS dice", study.common, CrossPseudoConfig("dice")),
    ]


def one_label(study: Study, folder: Path) -> list[OneLabelRow]:
    """SemiSAM-O1 with its encoders, refinements and specialists."""
    data = study.common["data"]

    def row(name: str, first: dict[str, Any] | None = None, **changes: Any) -> OneLabelRow:
        run_folder = run_folder_of(name, folder)
        labels = FirstLabelsConfig(
            datalists=data.datalists, template=study.template, organs=data.organs, cache=data.cache,
            output=run_folder / "round_0" / "labels", **(first or {}),
        )  # fmt: skip
        common = {**study.common, "data": replace(data, datalists=(labels.output / "datalist.json",))}
        settings = {"optimizer": OptimizerConfig(), "tolerance": 0.0, **common}
        return OneLabelRow(name, labels, OneLabelConfig(**{**settings, "run_folder": run_folder, **changes}))

    own = str(run_folder_of("supervised", folder) / "model")
    paper = {"levels": (3,), "calibrate": False, "certainty": 0.0, "smooth": False}
    closed = {"certainty": 0.0}
    case, voxel = RefineConfig("case"), RefineConfig("voxel")
    return [
        row("O1 paper, case", paper, refinement=case),
        row("O1 paper, voxel", paper, refinement=voxel),
        row("O1 case", closed, refinement=case),
        row("O1 open"),
        row("O1 open, case", refinement=case),
        row("O1 open, case registered", refinement=replace(case, register=True)),
        row("O1 open, voxel", refinement=voxel),
        row("O1 open, features of one label", {"encoder": own}),
        row("O1 open, UA-MT", specialist="uncertainty-aware mean teacher"),
        row("O1 open, CPS", specialist="cross pseudo supervision"),
    ]


def encoders(study: Study, folder: Path) -> dict[str, FirstLabelsConfig]:
    """First labels by name: single levels of the shipped model as in the paper, all joined, another encoder."""
    data = study.common["data"]
    plain = {"calibrate": False, "certainty": 0.0}
    own = str(run_folder_of("supervised", folder) / "model")
    found: dict[str, dict[str, Any]] = {
        **{f"level {level}, as the paper": {**plain, "levels": (level,), "smooth": False} for level in (1, 2, 3, 4)},
        "levels 1 to 4 joined": plain,
        "levels 1 to 4 joined, calibrated": {"certainty": 0.0},
        "levels 1 to 4 joined, calibrated, open": {},
        "the same of a network supervised on the one label": {"encoder": own},
    }
    shared = {"datalists": data.datalists, "template": study.template, "organs": data.organs, "cache": data.cache}
    work = folder.parent / "first_labels"
    return {
        name: FirstLabelsConfig(**{**shared, "output": run_folder_of(name, work), **settings})
        for name, settings in found.items()
    }


def main() -> None:
    """Run the rows asked for and show the tables of all that are done."""
    parser = parser_of(__doc__, "runs/one_label", 1000)
    parser.add_argument("study", choices=STUDIES)
    parser.add_argument("--first", action="store_true", help="only make first labels, in several ways")
    arguments = parser.parse_args()
    work: Path = arguments.work / arguments.study
    work.mkdir(parents=True, exist_ok=True)
    study = STUDIES[arguments.study](arguments.data, work, arguments.steps, arguments.seed)
    write_datalist(study.lists, work / "datalist.json")
    folder = work / f"steps_{arguments.steps}_seed_{arguments.seed}"
    if arguments.first:
        print(first_table(encoders(study, folder), study.lists))
        return
    rows: list[tuple[Row, Sequence[Scan]]] = [(row, study.tests) for row in peers(study)]
    rows += everything_labelled(study)
    rounds = one_label(study, folder)
    check_rows(arguments.rows, [row.name for row, _ in rows] + [row.name for row in rounds])
    for row, tests in rows:
        if not arguments.rows or row.name in arguments.rows:
            run_row(row, folder, tests, study.labels)
    for one in rounds:
        if not arguments.rows or one.name in arguments.rows:
            run_rounds(one, study.lists, study.tests, study.labels)
    print(table([row for row, _ in rows], folder))
    print(rounds_table(rounds))


if __name__ == "__main__":
    main()
