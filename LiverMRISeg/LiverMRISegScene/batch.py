"""Many volumes in one run: which ones, by which model, and their figures as a table."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from LiverMRISegLib.commands.plan import plan_cases
from LiverMRISegLib.sequence_names import guess_sequence
from LiverMRISegScene.jobs import EARLIER, Job
from LiverMRISegScene.model_choice import VolumeKind, images_of, kind_of, model_for

RESULTS_FOLDER = "LiverMRISeg"


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


def as_csv(jobs: Sequence[Job]) -> str:
    """Name, model, state, volume in mL of every organ, flags: one row a job."""
    organs = list(dict.fromkeys(o for job in jobs if job.result for o in job.result.volumes_ml))
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(["volume", "model", "state", *(f"{organ} mL" for organ in organs), "flags", "message"])
    for job in jobs:
        volumes = job.result.volumes_ml if job.result else {}
        flags = "; ".join(job.result.flags) if job.result else ""
        figures = [f"{volumes[organ]:.1f}" if organ in volumes else "" for organ in organs]
        writer.writerow([job.name, job.model, job.state, *figures, flags, job.message])
    return buffer.getvalue()


def _lies_under(hierarchy: Any, item: int, ancestor: int) -> bool:
    while item and item != hierarchy.GetSceneItemID():
        if item == ancestor:
            return True
        item = hierarchy.GetItemParent(item)
    return False
