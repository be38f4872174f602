"""The stage that joins folds into one package: inference then takes the mean of their logits, as nnU-Net does."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from LiverMRISegLib.errors import UsageError
from LiverMRISegLib.io.dataclass_reader import Checked
from LiverMRISegLib.models.catalog import load_model
from LiverMRISegLib.models.package.model_package import ModelPackage
from LiverMRISegLib.models.package.specification import MOST_MEMBERS, ModelSpec
from LiverMRISegLib.training.packaging import write_package

logger = logging.getLogger(__name__)
_COMMON = ("modality", "labels", "preparation", "inference", "postprocessing")


@dataclass(frozen=True)
class JoinModelsConfig(Checked):
    """Config of `scripts/train/join_models.py`."""

    models: tuple[str, ...] = ()
    """The models to join (names or paths), as the folds of a cross-validation: of one network, label set and
    preparation."""
    output: Path = Path("runs/ensemble/model")
    """Where the package is written; one that was written there before is replaced."""
    name: str = "ensemble"
    """Name of the model package."""
    version: str = "1.0"
    """Version of the model package."""


def run(config: JoinModelsConfig) -> Path:
    """Write the package of all networks.

    Raises:
        UsageError: fewer than two models, models that differ in more than their weights, or an output that is one of
            them.
        ModelError: there is no such model, or it is damaged.
        OutputError: it cannot be written.
    """
    if len(config.models) < 2:
        raise UsageError(f"models must name at least two, not {len(config.models)}; a single model needs no joining")
    packages = [load_model(name) for name in config.models]
    for package in packages:
        if package.path.resolve() == config.output.resolve():
            raise UsageError(f"output {config.output}: is one of the models to join; choose another folder")
    members: list[dict[str, np.ndarray]] = []
    for package, name in zip(packages, config.models, strict=True):
        _check_same(packages[0].spec, package.spec, config.models[0], name)
        members += [package.member(number) for number in range(package.spec.network.members)]
    if len({package.fingerprint for package in packages}) < len(packages):
        raise UsageError("models has the same one twice, which would count double; name each once")
    if len(members) > MOST_MEMBERS:
        raise UsageError(f"a package holds at most {MOST_MEMBERS} networks, not {len(members)}; join fewer models")
    path = write_package(_specification(config, packages, len(members)), members, config.output)
    logger.info("%s written, of %d networks", path, len(members))
    return path


def _check_same(first: ModelSpec, other: ModelSpec, first_name: str, name: str) -> None:
    differing = [part for part in _COMMON if getattr(first, part) != getattr(other, part)]
    if replace(first.network, members=1) != replace(other.network, members=1):
        differing.append("network")
    if differing:
        raise UsageError(
            f"{name}: differs from {first_name} in {', '.join(differing)}; join models of one config, such as folds"
        )


def _specification(config: JoinModelsConfig, packages: Sequence[ModelPackage], members: int) -> ModelSpec:
    specs = [package.spec for package in packages]
    joined = {
        "stage": "JoinModels",
        "models": [f"{package.spec.name} {package.spec.version}, {package.fingerprint}" for package in packages],
    }
    stages = _each_once([joined, *(stage for spec in specs for stage in spec.provenance)])
    return replace(
        specs[0],
        name=config.name,
        version=config.version,
        network=replace(specs[0].network, members=members),
        sequences=tuple(_each_once([name for spec in specs for name in spec.sequences])),
        trained_on=tuple(_each_once([name for spec in specs for name in spec.trained_on])),
        provenance=tuple(stages),
        metrics=(),  # those of single folds say nothing of all together, and so does their trust
        trust=None,
        weights_license="; ".join(_each_once([spec.weights_license for spec in specs])),
    )


def _each_once(values: Sequence[Any]) -> list[Any]:
    kept: list[Any] = []
    for value in values:
        if value not in kept:
            kept.append(value)
    return kept
