"""Jobs in a row through a real worker process: results, failures, cancel, a scene that changes meanwhile."""

import os
import tempfile
from pathlib import Path

import pytest

pytest.importorskip("slicer")
from helpers.scene_tools import WaitingWorker, add_flat, add_random
from LiverMRISegLib.errors import LiverMRISegError
from LiverMRISegLib.inference.worker.protocol import FailedEvent
from LiverMRISegScene import jobs
from LiverMRISegScene.job_queue import JobQueue
from LiverMRISegScene.jobs import Job


@pytest.fixture
def worker():
    worker = WaitingWorker()
    yield worker
    worker.close()


class Record:
    def __init__(self):
        self.seen, self.ended = [], []

    def changed(self, job):
        self.seen.append((job.name, job.state, job.message, job.fraction))

    def finished(self, all_jobs):
        self.ended.append(list(all_jobs))


def run(scene, worker, rows):
    record = Record()
    queue = JobQueue(scene, worker, record.changed, record.finished)
    queue.start(rows)
    return queue, record


def test_one_failure_stays_its_own(scene, worker, tiny_package):
    rows = [
        Job("a", str(tiny_package), "cpu", node=add_random(scene, "a")),
        Job("flat", str(tiny_package), "cpu", node=add_flat(scene, "flat")),
        Job("b", str(tiny_package), "cpu", ["liver"], node=add_random(scene, "b")),
    ]
    queue, record = run(scene, worker, rows)
    assert [row.state for row in rows] == [jobs.DONE, jobs.FAILED, jobs.DONE]
    assert "nothing to segment" in rows[1].message
    assert list(rows[2].result.volumes_ml) == ["liver"]
    assert rows[0].result.node.GetScene() is scene
    assert record.ended == [rows]
    assert not queue.is_busy
    fractions = [fraction for name, state, _, fraction in record.seen if (name, state) == ("a", jobs.RUNNING)]
    assert fractions == sorted(fractions)
    assert fractions[-1] > 0.5


def test_no_temporary_file_is_left(scene, worker, tiny_package, tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    rows = [
        Job("a", str(tiny_package), "cpu", node=add_random(scene, "a")),
        Job("flat", str(tiny_package), "cpu", node=add_flat(scene, "flat")),
    ]
    run(scene, worker, rows)
    assert list(tmp_path.iterdir()) == []


def test_cancel_ends_the_running_job_and_drops_the_rest(scene, worker, tiny_package):
    # Many tiles: a volume of one could be done before the worker hears of it.
    nodes = add_random(scene, "a", size=(200, 180, 120)), add_random(scene, "b")
    rows = [Job(name, str(tiny_package), "cpu", node=node) for name, node in zip("ab", nodes, strict=True)]
    record = Record()
    queue = JobQueue(scene, worker, record.changed, record.finished)

    def changed(job):
        record.changed(job)
        if job.fraction > 0 and job.state == jobs.RUNNING and rows[1].state == jobs.WAITING:
            queue.cancel()

    queue._changed = changed
    queue.start(rows)
    assert [row.state for row in rows] == [jobs.CANCELLED, jobs.CANCELLED]
    assert scene.GetNumberOfNodesByClass("vtkMRMLSegmentationNode") == 0
    assert len(worker.requests) == 1
    assert not queue.is_busy
    again = Job("b", str(tiny_package), "cpu", node=rows[1].node)
    queue.start([again])
    assert again.state == jobs.DONE


def test_a_volume_that_was_removed_meanwhile(scene, worker, tiny_package):
    node = add_random(scene, "gone")
    row = Job("gone", str(tiny_package), "cpu", node=node)
    record = Record()

    def changed(job):
        record.changed(job)
        if job.fraction > 0 and node.GetScene() is not None:
            scene.RemoveNode(node)

    JobQueue(scene, worker, changed, record.finished).start([row])
    assert row.state == jobs.FAILED
    assert "removed from the scene" in row.message


def test_what_is_not_there_or_no_image_is_not_sent_to_the_worker(scene, worker, tiny_package):
    gone, labels = add_random(scene, "gone"), scene.AddNewNodeByClass("vtkMRMLLabelMapVolumeNode", "labels")
    scene.RemoveNode(gone)
    rows = [Job(node.GetName(), str(tiny_package), "cpu", node=node) for node in (gone, labels)]
    part = Path("part")
    rows.append(Job("part", str(tiny_package), "cpu", source=part, output=part, problem="part: has only a part"))
    run(scene, worker, rows)
    assert [row.message for row in rows] == [
        "gone: was removed from the scene before it was segmented", "labels: is a label map; choose an image",
        "part: has only a part",
    ]  # fmt: skip
    assert worker.requests == []


def test_an_error_that_nobody_expected_does_not_keep_the_queue_busy(scene, worker, tiny_package, monkeypatch):
    import slicer
    import vtk

    empty, image = scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "empty"), vtk.vtkImageData()
    image.SetDimensions(4, 4, 4)
    empty.SetAndObserveImageData(image)
    rows = [Job("empty", str(tiny_package), "cpu", node=empty)]
    run(scene, worker, rows)
    assert rows[0].message == "empty: has no voxels; load the volume again"

    def fail(*_args):
        raise RuntimeError("of VTK")

    monkeypatch.setattr(jobs, "prepared", fail)
    rows = [Job(name, str(tiny_package), "cpu", node=slicer.util.getNode("empty")) for name in "ab"]
    queue, record = run(scene, worker, rows)
    assert [row.message for row in rows] == ["unexpected RuntimeError: of VTK"] * 2
    assert (queue.is_busy, record.ended) == (False, [rows])
    said = []
    queue.ask(fail, said.append, said.append)
    assert (queue.is_busy, said) == (False, ["unexpected RuntimeError: of VTK"])


def test_a_temporary_file_that_cannot_be_deleted_does_not_end_the_run(
    scene, worker, tiny_package, tmp_path, monkeypatch
):
    """As on Windows while a virus scanner reads it."""

    def deny(*_args, **_options):
        raise PermissionError(13, "it is being used by another process")

    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    rows = [Job(name, str(tiny_package), "cpu", node=add_random(scene, name)) for name in "ab"]
    with monkeypatch.context() as patch:
        patch.setattr(os, "unlink", deny)
        queue, _record = run(scene, worker, rows)
    assert [row.state for row in rows] == [jobs.DONE, jobs.DONE]
    assert not queue.is_busy


def test_without_a_temporary_folder_nothing_hangs(scene, worker, tiny_package, tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "gone"))
    row = Job("a", str(tiny_package), "cpu", node=add_random(scene, "a"))
    queue, _record = run(scene, worker, [row])
    assert row.message.startswith("no temporary folder can be made (")
    told = []
    queue.ask(lambda folder: {}, told.append, told.append)
    assert told[0].startswith("no temporary folder can be made (")
    assert not queue.is_busy


def test_a_queue_that_is_abandoned_leaves_the_run_of_another_alone(scene, worker, tiny_package):
    """Two panels, or a panel and the console, have one worker."""
    row = Job("a", str(tiny_package), "cpu", node=add_random(scene, "a"))
    other = JobQueue(scene, worker, lambda job: None, lambda all_jobs: None)
    record = Record()
    queue = JobQueue(scene, worker, lambda job: other.abandon(), record.finished)
    queue.start([row])
    assert (row.state, record.ended) == (jobs.DONE, [[row]])
    other.abandon()
    assert worker._process is None  # nobody needs it now


def test_files_go_to_files(scene, worker, tiny_package, tmp_path):
    from helpers.volumes import make_volume
    from LiverMRISegLib.io import read_labelmap, write_volume

    write_volume(make_volume(size=(40, 36, 24)), tmp_path / "t1.nrrd")
    row = Job("t1", str(tiny_package), "cpu", source=tmp_path / "t1.nrrd", output=tmp_path / "t1_seg.seg.nrrd")
    run(scene, worker, [row])
    assert row.state == jobs.DONE
    assert read_labelmap(Path(row.output)).array.shape == (24, 36, 40)
    assert row.result.node is None


def test_only_one_run_at_a_time(scene, tiny_package):
    class Silent(WaitingWorker):
        def ask(self, request, on_event):
            self.on_event = on_event

    worker = Silent()
    queue = JobQueue(scene, worker, lambda job: None, lambda all_jobs: None)
    row = Job("a", str(tiny_package), "cpu", node=add_random(scene, "a"))
    queue.start([row])
    assert queue.is_busy
    with pytest.raises(LiverMRISegError, match="running"):
        queue.start([row])
    queue.abandon()
    assert not queue.is_busy
    worker.on_event(FailedEvent(LiverMRISegError("too late")))
    assert row.state == jobs.RUNNING
