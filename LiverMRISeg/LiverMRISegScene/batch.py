"""Many volumes in one run: which ones, by which model, and their figures as a table."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from LiverMRISegLib.commands.plan import plan_cases
from LiverMRISegLib.sequence_names import guess_sequence
from LiverMRISegScene.jobs import DONE, EARLIER, Job
from LiverMRISegScene.model_choice import VolumeKind, images_of, kind_of, model_for

RESULTS_FOLDER = "LiverMRISeg"
_ML = " mL"


def scene_jobs(nodes: Sequence[Any], model: str, **options: Any) -> list[Job]:
    """A job for every volume node, by the model meant for its sequence, `model` where none is."""
    return [Job(node.GetName(), model_for(kind_of(node), model), node=node, **options) for node in nodes]


def folder_jobs(folder: Path, model: str, **options: Any) -> list[Job]:
    """A job for every volume of a folder, into its sub-folder "LiverMRISeg"; what is there already counts as done.

    For a model of several images a case, a job for every case, by that model.

    Raises:
        ModelError: there is no such model.
        InputError: the folder holds no volume.
        OutputError: its sub-folder cannot be written.
    """
    images = len(images_of(model))
    plan = plan_cases([folder], folder / RESULTS_FOLDER, "seg.nrrd", images)
    plan.prepare_output()
    jobs = []
    for case in plan.cases:
        chosen = model if images > 1 else model_for(VolumeKind("MR", guess_sequence(case.name)), model)
        job = Job(case.name, chosen, source=case.source, output=case.output, **options)
        if case.output.exists():
            job.state, job.message = EARLIER, case.output.name
        jobs.append(job)
    return jobs


def volumes_in_scene(scene: Any) -> list[Any]:
    """All scalar volumes that are images, in the scene's order; label maps are not."""
    nodes = [
        scene.GetNthNodeByClass(n, "vtkMRMLScalarVolumeNode")
        for n in range(scene.GetNumberOfNodesByClass("vtkMRMLScalarVolumeNode"))
    ]
    return [n for n in nodes if not n.IsA("vtkMRMLLabelMapVolumeNode") and n.GetImageData() is not None]


def volumes_of_patient(scene: Any, node: Any) -> list[Any]:
    """The volumes that lie with `node` under the same patient of the subject hierarchy, else under the same folder."""
    import slicer

    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(scene)
    item = hierarchy.GetItemByDataNode(node) if hierarchy else 0
    if not item:
        return [node]
    patient = hierarchy.GetItemAncestorAtLevel(item, "Patient") or hierarchy.GetItemParent(item)
    if patient == hierarchy.GetSceneItemID():
        return [node]
    return [
        other
        for other in volumes_in_scene(scene)
        if _lies_under(hierarchy, hierarchy.GetItemByDataNode(other), patient)
    ]


def as_csv(jobs: Sequence[Job], before: str = "") -> str:
    """Name, model, state, volume in mL of every organ, flags: one row a job.

    What an earlier run found stands in `before`, its table: jobs that it did keep their rows.
    """
    earlier = {row["volume"]: row for row in csv.DictReader(io.StringIO(before)) if "volume" in row}
    rows = [_row(job, earlier.get(job.name)) for job in jobs]
    figures = dict.fromkeys(key for row in rows for key, value in row.items() if key.endswith(_ML) and value)
    buffer = io.StringIO()
    names = ["volume", "model", "state", *figures, "flags", "message"]
    writer = csv.DictWriter(buffer, names, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return buffer.getvalue()


def _row(job: Job, earlier: Mapping[str, str] | None) -> dict[str, str]:
    if job.state == EARLIER and earlier is not None and earlier["state"] == DONE:
        return {key: value for key, value in earlier.items() if key and value}
    row = {"volume": job.name, "model": job.model, "state": job.state, "message": job.message}
    if job.result:
        row.update({f"{organ}{_ML}": f"{volume:.1f}" for organ, volume in job.result.volumes_ml.items()})
        row["flags"] = "; ".join(job.result.flags)
    return row


def _lies_under(hierarchy: Any, item: int, ancestor: int) -> bool:
    while item and item != hierarchy.GetSceneItemID():
        if item == ancestor:
            return True
        item = hierarchy.GetItemParent(item)
    return False
