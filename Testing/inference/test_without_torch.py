"""On a computer without torch `livermriseg segment` runs our networks and nnU-Net's, by OpenVINO, in a real process."""

import subprocess
import sys
from dataclasses import replace

import pytest

from helpers.packages import random_weights, tiny_spec
from helpers.volumes import make_volume
from LiverMRISegLib.io import read_labelmap, write_volume
from LiverMRISegLib.models.package.model_package import save_package
from LiverMRISegLib.models.package.specification import NetworkSpec

pytest.importorskip("openvino")
# None in sys.modules is what an import that fails looks like.
WITHOUT = (
    "import sys; sys.modules.update(dict.fromkeys(['torch', 'monai', 'lightning_fabric', "
    "'dynamic_network_architectures'])); from LiverMRISegLib.cli import main; sys.exit(main(sys.argv[1:]))"
)
NNUNET = {"in_channels": 1, "features": [4, 8], "blocks": [1, 2], "strides": [[1, 1, 1], [2, 2, 2]]}


def segment(*words) -> subprocess.CompletedProcess:
    command = [sys.executable, "-c", WITHOUT, "segment", *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True)


@pytest.mark.parametrize("kind", ["stunet", "plain-unet", "residual-encoder-unet"])
def test_a_volume_is_segmented(kind, tmp_path):
    spec = tiny_spec()
    if kind != "stunet":
        classes = spec.network.kwargs["out_channels"]
        spec = replace(spec, network=NetworkSpec(kind, {**NNUNET, "out_channels": classes}))
    save_package(spec, random_weights(spec), tmp_path / "model")
    write_volume(make_volume(), tmp_path / "image.nii.gz")
    done = segment(tmp_path / "image.nii.gz", "-o", tmp_path / "out.nii.gz", "--model", tmp_path / "model")
    assert done.returncode == 0, done.stderr
    assert read_labelmap(tmp_path / "out.nii.gz").array.shape == make_volume().array.shape


def test_a_device_that_needs_torch_is_refused_in_words(tmp_path):
    write_volume(make_volume(), tmp_path / "image.nii.gz")
    done = segment(tmp_path / "image.nii.gz", "-o", tmp_path / "out.nii.gz", "--device", "cuda")
    assert done.returncode != 0
    assert "needs torch" in done.stderr
    assert not (tmp_path / "out.nii.gz").exists()
