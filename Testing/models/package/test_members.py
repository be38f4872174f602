"""Packages of several networks: their tensors by member, the mean of their logits in either engine."""

from dataclasses import replace

import numpy as np
import pytest

from helpers.packages import random_weights, tiny_spec
from LiverMRISegLib.errors import ModelError
from LiverMRISegLib.inference.engines.openvino_engine import OpenVinoEngine
from LiverMRISegLib.models.package.model_package import ModelPackage, member_prefix, save_package
from LiverMRISegLib.models.package.specification import NetworkSpec
from LiverMRISegLib.training.packaging import branch_weights, write_package


@pytest.fixture
def members():
    return [random_weights(tiny_spec(), seed) for seed in (0, 1)]


def spec_of(count: int):
    spec = tiny_spec()
    return replace(spec, network=NetworkSpec(spec.network.name, spec.network.kwargs, count))


def test_each_member_has_its_own_tensors(members, tmp_path):
    package = ModelPackage.load(write_package(spec_of(2), members, tmp_path / "two"))
    package.verify()
    for number, weights in enumerate(members):
        assert package.member(number).keys() == weights.keys()
        assert all(np.array_equal(package.member(number)[n], weights[n]) for n in weights)


@pytest.mark.parametrize("engine", ["torch", "openvino"])
def test_the_logits_are_the_members_mean(members, tmp_path, engine):
    from LiverMRISegLib.inference.engines.torch_engine import TorchEngine

    def predicted(count, weights, name):
        package = ModelPackage.load(write_package(spec_of(count), weights, tmp_path / name))
        made = TorchEngine(package, "cpu") if engine == "torch" else OpenVinoEngine(package)
        return made.predict(np.random.default_rng(0).normal(size=(2, 1, 16, 24, 24)).astype(np.float32))

    single = [predicted(1, [weights], f"m{n}") for n, weights in enumerate(members)]
    assert np.allclose(predicted(2, members, "both"), np.mean(single, axis=0), atol=1e-4)


def test_a_missing_member_is_refused(members, tmp_path):
    weights = {member_prefix(0) + name: array for name, array in members[0].items()}
    with pytest.raises(ModelError, match=r"'members\.1\..*is missing"):
        save_package(spec_of(2), weights, tmp_path / "p")


@pytest.mark.parametrize("count", [0, -1, 101])
def test_absurd_numbers_of_members_are_refused(count):
    with pytest.raises(ModelError, match="between 1 and 100"):
        spec_of(count)


def test_a_package_of_the_same_run_is_replaced(members, tmp_path):
    write_package(spec_of(1), members[:1], tmp_path / "model")
    write_package(spec_of(1), members[1:], tmp_path / "model")
    name = next(iter(members[1]))
    assert np.array_equal(ModelPackage.load(tmp_path / "model").weights[name], members[1][name])
    assert [p.name for p in tmp_path.iterdir()] == ["model"]


def test_unknown_branches_are_named():
    with pytest.raises(ModelError, match="no branch 'third'; it has: first, second, mean"):
        branch_weights({"method": {"networks": {"first": {}, "second": {}}}}, "third")
