"""Many volumes in one run: which volumes, with which model, and the results as a table."""

from __future__ import annotations

import csv
import io
import itertools
import uuid
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

from LiverMRISegLib.commands.earlier_results import older_than_input
from LiverMRISegLib.commands.inputs import ALL
from LiverMRISegLib.commands.plan import plan_cases
from LiverMRISegLib.io.tables import csv_table
from LiverMRISegLib.sequence_names import guess_sequence
from LiverMRISegScene.jobs import DONE, EARLIER, Job
from LiverMRISegScene.model_choice import images_of, model_for
from LiverMRISegScene.volume_kind import VolumeKind, kind_of

RESULTS_FOLDER = "LiverMRISeg"
TABLE_FILE = "volumes.csv"
_ML, _TRUST = " mL", " trust"


def scene_jobs(nodes: Sequence[Any], model: str, *, is_study: bool = False) -> list[Job]:
    """A job for every volume node, with the model for its sequence, or `model` where there is none.

    Volumes of one patient of the subject hierarchy are a study, whose results are compared; with `is_study` all are.
    """
    listing = uuid.uuid4().hex
    jobs, used = [], Counter[str]()
    for node in nodes:
        name = node.GetName()
        patient = "all" if is_study else patient_of(node)
        used[name] += 1
        job = Job(name, model_for(kind_of(node), model), node=node)
        job.study = f"{listing} {patient}" if patient else None
        job.case = name if used[name] == 1 else f"{name} ({used[name]})"
        jobs.append(job)
    return jobs


def folder_jobs(folder: Path, model: str, **options: Any) -> list[Job]:
    """A job for every volume of a folder, of DICOM for every series; results go to its sub-folder "LiverMRISeg".

    Results that are already there count as done; their model is read from the table beside them, and one that is older
    than its input says so in its message. For a model that takes
    several images a case, there is a job for every case, with that model.

    Raises:
        ModelError: there is no such model.
        InputError: the folder contains no volume.
        OutputError: its sub-folder cannot be written.
    """
    images = len(images_of(model))
    # Models of several images a case take no series out of a folder.
    plan = plan_cases([folder], folder / RESULTS_FOLDER, "seg.nrrd", images, series=ALL if images == 1 else None)
    plan.prepare_output()
    earlier = read_saved_rows(folder / RESULTS_FOLDER / TABLE_FILE)
    jobs = []
    for case in plan.cases:
        chosen = model if images > 1 else model_for(VolumeKind("MR", guess_sequence(case.name)), model)
        job = Job(case.name, chosen, source=case.source, series=case.series, output=case.output, **options)
        job.problem = case.problem
        if case.output.exists():
            job.state, job.message = EARLIER, "; ".join(older_than_input(case))
            job.model = earlier.get(case.name, {}).get("model") or ""
        jobs.append(job)
    return jobs


def volumes_in_scene(scene: Any) -> list[Any]:
    """All scalar volumes with voxels, in the scene's order; what the selector lists: no label maps, no vectors."""
    nodes = [
        scene.GetNthNodeByClass(n, "vtkMRMLScalarVolumeNode")
        for n in range(scene.GetNumberOfNodesByClass("vtkMRMLScalarVolumeNode"))
    ]
    return [n for n in nodes if n.GetClassName() == "vtkMRMLScalarVolumeNode" and n.GetImageData() is not None]


def volumes_of_patient(scene: Any, node: Any) -> list[Any]:
    """The volumes of the patient of `node` in the subject hierarchy; without a patient, those in its folder."""
    import slicer

    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(scene)
    item = hierarchy.GetItemByDataNode(node) if hierarchy else 0
    if not item:
        return [node]
    patient = patient_of(node) or hierarchy.GetItemParent(item)
    if patient == hierarchy.GetSceneItemID():
        return [node]
    return [
        other for other in volumes_in_scene(scene) if _is_under(hierarchy, hierarchy.GetItemByDataNode(other), patient)
    ]


def patient_of(node: Any) -> int:
    """The item of a volume's patient in the subject hierarchy; 0 if there is none."""
    import slicer

    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(node.GetScene())
    item = hierarchy.GetItemByDataNode(node) if hierarchy else 0
    return int(hierarchy.GetItemAncestorAtLevel(item, "Patient")) if item else 0


Rows = Mapping[str, Mapping[str, str]]


def read_saved_rows(path: Path) -> Rows:
    """The rows of a table that `as_csv` made, by volume, even if a spreadsheet program has saved it again.

    Empty if there is no such table.
    """
    text = _text(path)
    delimiter = _delimiter(text)
    try:
        rows = list(csv.DictReader(io.StringIO(text), delimiter=delimiter)) if delimiter else []
    except csv.Error:  # damaged
        return {}
    return {row["volume"]: row for row in rows}


def set_aside_foreign_table(path: Path) -> None:
    """Rename a file that is not a table of ours, so that it is not overwritten by one."""
    if path.exists() and not _delimiter(_text(path)):
        names = (path.with_name(f"{path.stem}_before_{number}{path.suffix}") for number in itertools.count(1))
        path.replace(next(name for name in names if not name.exists()))


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError):
        return ""


def _delimiter(table: str) -> str:
    """The column separator, which spreadsheet programs may change; empty if it is not a table of ours."""
    head = table.partition("\n")[0].replace('"', "")
    return next((mark for mark in ",;\t" if head.startswith(f"volume{mark}")), "")


def as_csv(jobs: Sequence[Job], earlier: Rows = MappingProxyType({})) -> str:
    """One row a job: name, model, state, volume of every organ in mL, trust in every organ, flags.

    `earlier` are the rows of an earlier run's table, which are taken over for the jobs that it did.
    """
    rows = [_row(job, earlier.get(job.name)) for job in jobs]
    figures = dict.fromkeys(
        key for ending in (_ML, _TRUST) for row in rows for key, value in row.items() if key.endswith(ending) and value
    )
    names = ["volume", "model", "state", *figures, "flags", "message"]
    return csv_table(names, ([row.get(name, "") for name in names] for row in rows))


def _row(job: Job, earlier: Mapping[str, str] | None) -> dict[str, str]:
    if job.state == EARLIER and earlier is not None and earlier.get("state") == DONE:
        said = {"message": job.message} if job.message else {}
        return {key: value for key, value in {**earlier, **said}.items() if key and value}
    row = {"volume": job.title, "model": job.model, "state": job.state, "message": job.message}
    if job.result:
        row.update({f"{organ}{_ML}": f"{volume:.1f}" for organ, volume in job.result.volumes_ml.items()})
        row.update({f"{organ}{_TRUST}": f"{score:.2f}" for organ, score in job.result.trust.items()})
        row["flags"] = "; ".join([*job.result.flags, *job.disagreements])
    return row


def _is_under(hierarchy: Any, item: int, ancestor: int) -> bool:
    while item and item != hierarchy.GetSceneItemID():
        if item == ancestor:
            return True
        item = hierarchy.GetItemParent(item)
    return False
