"""`livermriseg segment` with a model of two images a case, as a real process: nnU-Net's names hold a case together."""

import json
import os
import re
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

import nnunet_folder as made
from helpers.places import ROOT
from helpers.volumes import make_volume
from LiverMRISegLib.errors import InputError
from LiverMRISegLib.inference.segmenter import Segmenter
from LiverMRISegLib.inference.worker.client import WorkerClient
from LiverMRISegLib.inference.worker.protocol import segment_request
from LiverMRISegLib.io import read_labelmap, read_volume, write_volume
from LiverMRISegLib.models.importers.import_nnunet import import_nnunet_model
from LiverMRISegLib.volume import reorient

# None in sys.modules is what an import that fails looks like.
WITHOUT_TORCH = (
    "import sys; sys.modules['torch'] = None\nfrom LiverMRISegLib.cli import main\nsys.exit(main(sys.argv[1:]))"
)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    source, _ = made.two_images(folder, "PlainConvUNet", ("liver", "spleen"))
    return import_nnunet_model(source, "two", folder)


def write_case(folder, name, turn="LPS", seed=0):
    folder.mkdir(exist_ok=True)
    paths = []
    for number in range(2):
        paths.append(folder / f"{name}_{number:04d}.nii.gz")
        write_volume(reorient(make_volume(seed=seed + number), turn), paths[-1])
    return paths


def segment(*arguments, model, start=("-m", "LiverMRISegLib")):
    words = ["segment", *map(str, arguments), "--model", str(model), "--device", "cpu"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    return subprocess.run([sys.executable, *start, *words], capture_output=True, text=True, env=environment)


def in_process(model, paths):
    first, second = map(read_volume, paths)
    return Segmenter.load(model, "cpu").segment(first, further=[second]).labelmap


def names(folder):
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("turn", ["LPS", "RAI", "SPL"])
def test_the_first_file_finds_the_second(turn, tmp_path, model):
    paths = write_case(tmp_path / "in", "a", turn)
    done = segment(paths[0], "-o", tmp_path / "a.nrrd", "--json", model=model)
    assert done.returncode == 0, done.stderr
    (document,) = json.loads(done.stdout)
    assert (document["input"], document["further inputs"]) == (str(paths[0]), [str(paths[1])])
    found = read_labelmap(tmp_path / "a.nrrd")
    assert found.geometry.is_close(read_volume(paths[0]).geometry)
    assert np.array_equal(found.array, in_process(model, paths))


def test_all_files_of_a_case_are_one_case(tmp_path, model):
    paths = write_case(tmp_path / "in", "a")
    done = segment(*paths, "-o", tmp_path / "a.nii.gz", model=model)
    assert done.returncode == 0, done.stderr
    done = segment(paths[1], "-o", tmp_path / "out", "--report", tmp_path / "r.html", model=model)
    assert done.returncode == 0, done.stderr
    assert names(tmp_path / "out") == ["a_seg.nii.gz"]
    assert "<h2>a</h2>" in (tmp_path / "r.html").read_text()
    first, second = (read_labelmap(tmp_path / name).array for name in ("a.nii.gz", "out/a_seg.nii.gz"))
    assert np.array_equal(first, second)


def test_a_folder_is_a_cohort_and_cases_that_lack_an_image_fail_alone(tmp_path, model):
    folder = tmp_path / "in"
    whole = write_case(folder, "whole")
    write_case(folder, "less")[1].unlink()
    write_case(folder, "later", seed=5)
    moved = write_case(folder, "moved")[1]
    image = make_volume(seed=1)
    write_volume(replace(image, geometry=replace(image.geometry, spacing=(2.0, 2.5, 4.5))), moved)
    write_volume(make_volume(), folder / "plain.nii.gz")
    done = segment(folder, "-o", tmp_path / "out", model=model)
    assert done.returncode == 5
    assert names(tmp_path / "out") == ["later_seg.nii.gz", "whole_seg.nii.gz"]
    errors = [line for line in done.stderr.splitlines() if "error" in line]
    for line, words in zip(errors, [
        r"less_0001\.nii\.gz: no such file, it would be the image 'T2'; .*CASE_0000 T1, CASE_0001 T2",
        r"moved_0001\.nii\.gz: is on another grid than moved_0000\.nii\.gz",
        r"plain\.nii\.gz: the model takes 2 images a case",
    ], strict=True):  # fmt: skip
        assert re.search(words, line)
    assert np.array_equal(read_labelmap(tmp_path / "out/whole_seg.nii.gz").array, in_process(model, whole))


def test_errors_of_one_case(tmp_path, model):
    first, second = write_case(tmp_path / "in", "a")
    overwriting = segment(first, "-o", second, model=model)
    assert overwriting.returncode == 2
    assert "would overwrite the input" in overwriting.stderr
    first.unlink()
    missing = segment(second, "-o", tmp_path / "o.nii.gz", model=model)
    assert missing.returncode == 3
    assert "it would be the image 'T1'" in missing.stderr
    assert names(tmp_path) == ["in"]


def test_without_torch(tmp_path, model):
    pytest.importorskip("openvino")
    paths = write_case(tmp_path / "in", "a")
    done = segment(paths[0], "-o", tmp_path / "a.nrrd", model=model, start=("-c", WITHOUT_TORCH))
    assert done.returncode == 0, done.stderr
    assert np.array_equal(read_labelmap(tmp_path / "a.nrrd").array, in_process(model, paths))


def test_the_worker_finds_the_others_too(tmp_path, model):
    paths = write_case(tmp_path / "in", "a")
    with WorkerClient() as client:
        client.call(segment_request(paths[0], tmp_path / "a.nrrd", model=str(model), device="cpu"))
        paths[1].unlink()
        with pytest.raises(InputError, match="it would be the image 'T2'"):
            client.call(segment_request(paths[0], tmp_path / "b.nrrd"))
    write_case(tmp_path / "in", "a")
    assert np.array_equal(read_labelmap(tmp_path / "a.nrrd").array, in_process(model, paths))


def test_such_a_model_is_tuned_on_whole_cases(model, tmp_path, capsys):
    from LiverMRISegLib import cli

    files = write_case(tmp_path / "cases", "case")
    assert cli.main(["models", "tune", str(model), str(files[1])]) == 0
    assert "fastest allowed" in capsys.readouterr().out
