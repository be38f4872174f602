"""Fixtures that many tests share."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

from helpers.needs import lines_on_skipped
from helpers.packages import TINY_KWARGS, random_weights, tiny_spec
from LiverMRISegLib.anatomy import LEFT_KIDNEY, LIVER, LabelSet
from LiverMRISegLib.models.package.model_package import ModelPackage, save_package
from LiverMRISegLib.models.package.specification import (
    InferenceSpec,
    NetworkSpec,
    PreparationSpec,
    TrustSpec,
)

os.environ.setdefault("OMP_NUM_THREADS", "1")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Whole pipelines first: at the end one process would wait for them."""
    items.sort(key=lambda item: "_workflow" not in item.path.name)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """How many tests were skipped, and why: the reasons themselves, which pytest shows only when asked."""
    for line in lines_on_skipped(terminalreporter.stats.get("skipped", [])):
        terminalreporter.write_line(line)


@pytest.fixture(scope="session")
def tiny_package(tmp_path_factory) -> Path:
    """A package with random weights: its masks mean nothing, everything else is real."""
    spec = tiny_spec()
    return save_package(spec, random_weights(spec), tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture(scope="session")
def trusted_package(tmp_path_factory) -> Path:
    """As `tiny_package`, with weights for the trust score; every outline that is not perfect is flagged."""
    spec = replace(tiny_spec(), trust=TrustSpec(-0.5, {"expected dice": 1.0}, 0.99, "nothing"))
    return save_package(spec, random_weights(spec), tmp_path_factory.mktemp("models") / "trusted")


@pytest.fixture(scope="session")
def two_organ_package(tmp_path_factory) -> ModelPackage:
    """As `tiny_package`, of two organs and at 3 mm; tests put engines of known results in its network's place."""
    spec = replace(
        tiny_spec(),
        network=NetworkSpec("stunet", {**TINY_KWARGS, "out_channels": 3}),
        preparation=PreparationSpec((3.0, 3.0, 3.0), normalisation="z-score"),
        inference=InferenceSpec((12, 12, 12)),
        labels=LabelSet("two", {1: LIVER, 2: LEFT_KIDNEY}),
        postprocessing={},
    )
    return ModelPackage.load(save_package(spec, random_weights(spec), tmp_path_factory.mktemp("models") / "two"))


@pytest.fixture
def scene():
    """An empty MRML scene that is slicer.mrmlScene."""
    slicer = pytest.importorskip("slicer")
    made = slicer.vtkMRMLScene()
    slicer.mrmlScene = made
    yield made
    made.Clear(True)
