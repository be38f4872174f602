"""Folds as one package: every network is there, and inference gives the mean of them."""

from dataclasses import replace

import numpy as np
import pytest

from helpers.packages import random_weights, tiny_spec
from helpers.volumes import make_volume
from LiverMRISegLib.errors import UsageError
from LiverMRISegLib.inference.engines.select import load_engine
from LiverMRISegLib.inference.segmenter import Segmenter
from LiverMRISegLib.models.package.model_package import ModelPackage, save_package
from LiverMRISegLib.training.join_models import JoinModelsConfig, run


@pytest.fixture
def folds(tmp_path):
    made = []
    for number in range(3):
        spec = replace(tiny_spec(f"fold-{number}"), metrics=({"dsc": 0.9},), provenance=({"fold": number},))
        made.append(str(save_package(spec, random_weights(spec, number), tmp_path / f"fold_{number}")))
    return made


def test_an_ensemble_gives_the_mean_of_its_folds(folds, tmp_path):
    joined = ModelPackage.load(run(JoinModelsConfig(tuple(folds), tmp_path / "joined", name="all-folds")))
    spec = joined.spec
    assert (spec.name, spec.network.members, spec.metrics, spec.sequences) == ("all-folds", 3, (), ("T2WI",))
    assert [stage.get("fold") for stage in spec.provenance] == [None, 0, 1, 2]
    tile = np.random.default_rng(0).normal(size=(1, 1, 16, 24, 24)).astype(np.float32)
    singles = [load_engine(ModelPackage.load(fold), "cpu").predict(tile) for fold in folds]
    assert np.allclose(load_engine(joined, "cpu").predict(tile), np.mean(singles, axis=0), atol=2e-2)
    volume = make_volume()
    assert Segmenter.load(tmp_path / "joined", "cpu").segment(volume).labelmap.shape == volume.array.shape
    twice = ModelPackage.load(run(JoinModelsConfig((str(joined.path), folds[0]), tmp_path / "four")))
    assert twice.spec.network.members == 4
    assert np.array_equal(twice.member(3)["seg_outputs.0.weight"], twice.member(0)["seg_outputs.0.weight"])


def test_models_of_another_kind_are_named(folds, tmp_path):
    with pytest.raises(UsageError, match="at least two, not 1"):
        run(JoinModelsConfig((folds[0],), tmp_path / "joined"))
    spec = tiny_spec("other")
    other = replace(spec, preparation=replace(spec.preparation, spacing=(5.0, 5.0, 5.0)))
    save_package(other, random_weights(other), tmp_path / "other")
    with pytest.raises(UsageError, match=r"other: differs from .*fold_0 in preparation; join models of one config"):
        run(JoinModelsConfig((folds[0], str(tmp_path / "other")), tmp_path / "joined"))


def test_a_model_is_joined_once_and_never_replaced(folds, tmp_path):
    with pytest.raises(UsageError, match="the same one twice"):
        run(JoinModelsConfig((folds[0], folds[1], folds[0]), tmp_path / "joined"))
    with pytest.raises(UsageError, match="is one of the models to join"):
        run(JoinModelsConfig(tuple(folds), tmp_path / "fold_0"))
    assert ModelPackage.load(folds[0]).spec.name == "fold-0"
