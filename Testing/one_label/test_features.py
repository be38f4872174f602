"""The features of SemiSAM-O1: of any orientation and of several levels."""

import numpy as np
import pytest

from LiverMRISegLib.errors import UsageError
from LiverMRISegLib.io import read_volume
from LiverMRISegLib.models.package.model_package import ModelPackage
from LiverMRISegLib.one_label.features import encode, load_encoder
from LiverMRISegLib.volume import reorient


def test_features_follow_the_orientation(data, tmp_path):
    _, model, _ = data
    encoder = load_encoder(ModelPackage.load(tmp_path / "encoder"), levels=(1,))
    volume = read_volume(tmp_path / "p1_T1WI.nii.gz")
    straight, turned = (encode(v, encoder) for v in (volume, reorient(volume, "RAS")))
    assert np.allclose(straight.array, turned.array, atol=1e-5)
    assert straight.array.shape[1:] == tuple(n // 2 for n in straight.prepared.image.shape)
    assert np.linalg.norm(straight.whole) == pytest.approx(1)
    assert model


def test_levels_lie_on_the_finest_ones_grid(data, tmp_path):
    package = ModelPackage.load(data[1])
    image = np.random.default_rng(0).normal(size=(8, 16, 16)).astype(np.float32)
    both, fine = (load_encoder(package, levels=levels)(image) for levels in ((1, 2), (1,)))
    assert both.shape[1:] == fine.shape[1:]
    assert np.allclose(both[: len(fine)], fine)
    assert np.allclose(np.linalg.norm(fine, axis=0), 1, atol=1e-5)
    assert len(both) > len(fine)
    assert np.allclose(load_encoder(package, "auto", (1,))(image), fine, atol=1e-2)  # "auto" may be a GPU
    for device, words in (("gpu", "unknown device 'gpu'"), ("cuda:99", "this torch sees")):
        with pytest.raises(UsageError, match=words):
            load_encoder(package, device)
    for wrong in ((), (9,), (-1,)):
        with pytest.raises(UsageError, match="levels must be"):
            load_encoder(package, levels=wrong)
