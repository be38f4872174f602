"""Plans from the data, against what nnU-Net's own planner gave for the same fingerprints, and a training by a plan."""

from dataclasses import replace

import numpy as np
import pytest

from helpers.tiny_data import write_config, write_data
from LiverMRISegLib.data.datalist import read_datalist, write_datalist
from LiverMRISegLib.errors import InputError, UsageError
from LiverMRISegLib.io import read_labelmap, read_volume, write_volume
from LiverMRISegLib.models.package.model_package import ModelPackage
from LiverMRISegLib.training.configuration import read_config
from LiverMRISegLib.training.plan_rules import make_plan
from LiverMRISegLib.training.plan_training import PlanTrainingConfig, fingerprint_of, orientation_of, run, summary
from LiverMRISegLib.training.stages import finetune
from LiverMRISegLib.training.stages.finetune import FinetuneConfig
from LiverMRISegLib.volume import Geometry, Volume, reorient

ISO, FLAT = (2, 2, 2), (1, 2, 2)
WIDE, THIN = (3, 3, 3), (1, 3, 3)
FLARE = ([[3, 1.3, 1.3]] * 5 + [[2.5, 0.8, 0.8]] * 3, [[72, 232, 292]] * 8)
THICK = ([[8, 1.2, 1.2], [6, 1.2, 1.2], [10, 1.4, 1.4], [7, 1.1, 1.1]],
         [[30, 320, 320], [40, 288, 320], [24, 256, 256], [32, 320, 260]])  # fmt: skip
CORONAL = ([[1.2, 5.5, 1.2]] * 6, [[300, 40, 320]] * 6)
SMALL = ([[4, 4, 6]] * 3, [[30, 26, 20]] * 3)


@pytest.mark.parametrize(
    ("data", "classes", "kind", "spacing", "patch", "strides", "kernels", "batch"),
    [
        # Paper 003's table: ResEncM, 48 x 160 x 224 at 3.0 x 1.3 x 1.3 mm, the first kernel 1 x 3 x 3.
        (FLARE, 14, "residual-encoder-unet", (3, 1.3, 1.3), (48, 160, 224),
         [(1, 1, 1), FLAT, ISO, ISO, ISO, FLAT], [THIN, *[WIDE] * 5], 2),
        (THICK, 2, "plain-unet", (6.3, 1.2, 1.2), (32, 224, 256),
         [(1, 1, 1), FLAT, FLAT, ISO, ISO, ISO], [THIN, THIN, *[WIDE] * 4], 2),
        (CORONAL, 4, "residual-encoder-unet", (5.5, 1.2, 1.2), (28, 224, 224),
         [(1, 1, 1), FLAT, FLAT, ISO, ISO, FLAT], [THIN, THIN, *[WIDE] * 4], 2),
        (SMALL, 3, "residual-encoder-unet", (6, 4, 4), (20, 32, 28), [(1, 1, 1), ISO, ISO], [WIDE] * 3, 3),
        (SMALL, 3, "plain-unet", (6, 4, 4), (20, 32, 28), [(1, 1, 1), ISO, ISO], [WIDE] * 3, 2),
    ],
)  # fmt: skip
def test_the_plan_is_nnunets(data, classes, kind, spacing, patch, strides, kernels, batch):
    """The figures are those of nnU-Net 2's ExperimentPlanner and nnUNetPlannerResEncM, run on these fingerprints."""
    plan = make_plan(*data, classes, kind=kind)
    assert plan.spacing == pytest.approx(spacing)
    assert (plan.topology.patch, plan.batch) == (patch, batch)
    assert (list(plan.topology.strides), list(plan.topology.kernels)) == (strides, kernels)
    assert plan.features == (32, 64, 128, 256, 320, 320)[: len(strides)]


def test_less_memory_takes_a_smaller_patch():
    patches = [make_plan(*FLARE, 14, memory_gb=gb).topology.patch for gb in (2, 8)]
    assert np.prod(patches[0]) < np.prod(patches[1]) / 3


def test_thick_slices_come_first_in_every_orientation():
    assert make_plan(*CORONAL, 4).axes == (1, 0, 2)
    assert (orientation_of((0, 1, 2)), orientation_of((1, 0, 2)), orientation_of((2, 0, 1))) == ("LPS", "LSP", "PSL")
    thick_along_y = Volume(np.zeros((30, 4, 32), np.float32), Geometry((32, 4, 30), (1.2, 5.5, 1.2)))
    assert reorient(thick_along_y, orientation_of((1, 0, 2))).array.shape == (4, 30, 32)


@pytest.fixture
def base(tmp_path):
    loop = "{steps: 2, log_every: 1, precision: 32-true, accelerator: cpu}"
    datalist = write_data(tmp_path)
    return write_config(tmp_path, datalist, loop=loop, run_folder=str(tmp_path / "run")), datalist


def test_a_training_takes_the_plan_for_its_config(base, tmp_path):
    """The base's own keys stay where the plan has none; the package prepares as the plan says."""
    config, datalist = base
    settings = PlanTrainingConfig(str(config), (datalist,), organs=("liver", "spleen"), output=tmp_path / "plan.yaml")
    plan = run(settings)
    assert "8 x 4 x 4 mm" in summary(settings, plan)
    planned = read_config(FinetuneConfig, tmp_path / "plan.yaml")
    assert (planned.loop.steps, planned.data.cache) == (2, tmp_path / "cache")
    assert (planned.network, planned.data.spacing, planned.data.patch) == ("plain-unet", (8, 4, 4), plan.topology.patch)
    assert (planned.data.normalisation, planned.data.image_order) == ("z-score", 3)
    finetune.run(planned)
    spec = ModelPackage.load(tmp_path / "run/model").spec
    assert spec.network.kwargs["kernels"] == [list(kernel) for kernel in plan.topology.kernels]
    assert (spec.preparation.spacing, spec.preparation.image_order) == ((8, 4, 4), 3)


def test_ct_normalisation_is_of_the_organs_voxels(base, tmp_path):
    config, datalist = base
    settings = PlanTrainingConfig(
        str(config), (datalist,), organs=("liver",), normalisation="ct", network="stunet", output=tmp_path / "plan.yaml"
    )
    run(settings)
    planned = read_config(FinetuneConfig, tmp_path / "plan.yaml")
    assert (planned.network, len(planned.strides), planned.kernels) == ("stunet", 5, ())
    liver = np.concatenate([
        read_volume(scan.image).array[read_labelmap(scan.labels).array == 1]
        for scan in read_datalist(datalist).pool(labelled=True)
    ])  # fmt: skip
    low, high, mean, deviation = planned.data.intensity
    assert (low, high) == pytest.approx(np.percentile(liver, (0.5, 99.5)), rel=0.02)
    assert (mean, deviation) == pytest.approx((liver.mean(), liver.std()), rel=0.02)
    assert planned.data.preparation.intensity == {"low": low, "high": high, "mean": mean, "std": deviation}
    with pytest.raises(UsageError, match="need each other"):
        replace(planned.data, intensity=())


def test_voxels_to_ignore_are_no_organs(base, tmp_path):
    """Half of the air of every case, whose label is not known, is none of the liver's intensities."""
    _, datalist = base
    plain, open_air = read_datalist(datalist), []
    for number, scan in enumerate(plain.pool(labelled=True)):
        labels = read_labelmap(scan.labels)
        labels.array[: len(labels.array) // 2][labels.array[: len(labels.array) // 2] == 0] = 9
        write_volume(labels, tmp_path / f"{number}.nii.gz")
        open_air.append(replace(scan, labels=tmp_path / f"{number}.nii.gz"))
    scans = [(plain, scan) for scan in plain.pool(labelled=True)]
    ignoring = replace(plain, scans=open_air, ignore=9)
    expected = fingerprint_of(scans, ("liver",)).intensities
    found = fingerprint_of([(ignoring, scan) for scan in open_air], ("liver",)).intensities
    assert np.array_equal(found, expected)


@pytest.mark.parametrize("has_unlabelled", [True, False])
def test_batches_stay_the_methods_own_where_it_takes_unlabelled_volumes(base, tmp_path, has_unlabelled):
    """Copy-paste pairs them, and would stop after its pre-training where one of the two had changed."""
    config, datalist = base
    text = config.read_text().replace(
        "labelled_batch: 2, unlabelled_batch: 2", "labelled_batch: 6, unlabelled_batch: 6"
    )
    config.write_text(text if has_unlabelled else text.replace(", unlabelled_batch: 6", ""))
    plan = run(PlanTrainingConfig(str(config), (datalist,), output=tmp_path / "plan.yaml"))
    data = read_config(FinetuneConfig, tmp_path / "plan.yaml").data
    assert data.labelled_batch == (6 if has_unlabelled else plan.batch)
    assert plan.batch != 6


def test_organs_that_no_label_map_shows(base, tmp_path):
    config, datalist = base
    empty = [replace(scan, labels=scan.labels and tmp_path / "empty.nii.gz") for scan in read_datalist(datalist).scans]
    first = read_labelmap(read_datalist(datalist).scans[0].labels)
    write_volume(replace(first, array=np.zeros_like(first.array)), tmp_path / "empty.nii.gz")
    write_datalist(replace(read_datalist(datalist), scans=empty), tmp_path / "empty.json")
    with pytest.raises(UsageError, match="none of the 2 label maps shows liver"):
        run(PlanTrainingConfig(str(config), (tmp_path / "empty.json",), output=tmp_path / "plan.yaml"))
    with pytest.raises(UsageError, match="no such file; name a config"):
        run(PlanTrainingConfig("absent.yaml", (datalist,)))


def test_every_volume_that_cannot_be_read_is_named(tmp_path):
    datalist = write_data(tmp_path)
    for name in ("p0_GED4", "p1_GED4"):
        path = tmp_path / f"{name}.nii.gz"
        path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(InputError, match=r"2 of 2 volumes cannot be used; .*:\n  .*p0_GED4.*\n  .*p1_GED4"):
        run(PlanTrainingConfig(datalists=(datalist,), organs=("liver",), output=tmp_path / "plan.yaml"))
