"""From the networks of a checkpoint to the model package that inference loads."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from LiverMRISegLib.anatomy import ORGAN_NAMES
from LiverMRISegLib.errors import ModelError
from LiverMRISegLib.io.atomic_folder import atomic_folder
from LiverMRISegLib.models.package.model_package import joined_members, save_package
from LiverMRISegLib.models.package.specification import ModelSpec, OrganRule
from LiverMRISegLib.training.initial_weights import HEADS

MEAN = "mean"
# Volumes of adult organs outside which a person should look twice, in mL: wide on purpose.
_PLAUSIBLE_ML: Mapping[str, tuple[float, float]] = {
    "liver": (600.0, 3500.0),
    "right kidney": (60.0, 400.0),
    "left kidney": (60.0, 400.0),
    "spleen": (40.0, 1200.0),
    "pancreas": (20.0, 200.0),
    "gallbladder": (2.0, 150.0),
    "stomach": (30.0, 1200.0),
}


# Paper 003 drops small organs and uses boxes but gives no numbers; these are ours, wide on purpose.
_MINIMUM_ML: Mapping[str, float] = {"gallbladder": 1.0, "spleen": 10.0}
_NEAR: Mapping[str, tuple[str, float]] = {
    "gallbladder": ("liver", 10.0),
    "right adrenal gland": ("right kidney", 50.0),
    "left adrenal gland": ("left kidney", 50.0),
}


def organ_rules(organs: Sequence[str]) -> dict[str, OrganRule]:
    """The usual clean-up (paper 003): the largest component, no holes, nothing too small or far from where it belongs.

    Args:
        organs: names of all organs of the model; a rule that needs another organ is left out where that is missing.
    """
    # Of a structure that is not ours (lesions, say) nobody knows that it is one piece.
    return {organ: _usual_rule(organ, organs) for organ in organs if organ in ORGAN_NAMES}


def _usual_rule(organ: str, organs: Sequence[str]) -> OrganRule:
    near, distance = _NEAR.get(organ, ("", 0.0))
    near, distance = (near, distance) if near in organs else ("", 0.0)
    smallest, plausible = _MINIMUM_ML.get(organ, 0.0), _PLAUSIBLE_ML.get(organ)
    return OrganRule(True, True, smallest, near, distance, plausible)


def branch_weights(checkpoint: Mapping[str, Any], branch: str) -> list[dict[str, np.ndarray]]:
    """The tensors of one branch of a checkpoint, or of all where `branch` is MEAN; float16.

    Raises:
        ModelError: the checkpoint has no such branch.
    """
    networks = checkpoint["method"]["networks"]
    if branch != MEAN and branch not in networks:
        raise ModelError(f"the checkpoint has no branch '{branch}'; it has: {', '.join(networks)}, {MEAN}")
    chosen = networks.values() if branch == MEAN else [networks[branch]]
    return [{key: tensor.numpy().astype(np.float16) for key, tensor in network.items()} for network in chosen]


def mixed_weights(
    weights: Mapping[str, np.ndarray], initial: Mapping[str, np.ndarray], share: float
) -> dict[str, np.ndarray]:
    """(1 - share) of `weights` and `share` of the initial ones, in the type of `weights`."""
    return {
        name: ((1 - share) * array.astype(np.float32) + share * initial[name]).astype(array.dtype)
        for name, array in weights.items()
    }


def with_background_offset(weights: Mapping[str, np.ndarray], offset: float) -> dict[str, np.ndarray]:
    """The weights with `offset` taken off the bias of the background in the head of the finest level."""
    if not offset:
        return dict(weights)
    heads = [name for name in weights if name.startswith(HEADS) and name.endswith(".bias")]
    finest = max(heads, key=lambda name: int(name.split(".")[-2]))
    bias = weights[finest].copy()
    bias[0] -= offset
    return {**weights, finest: bias}


def write_package(spec: ModelSpec, members: Sequence[Mapping[str, np.ndarray]], path: Path) -> Path:
    """Write a package of one or several networks; a package that a run wrote there before is replaced.

    Raises:
        ModelError: the weights are not those of the spec's network.
        OutputError: it cannot be written.
    """
    with atomic_folder(path, "replace") as fresh:
        save_package(spec, joined_members(members), fresh)
    return path


def copy_package(source: Path, path: Path) -> None:
    """Copy a package; one that a run wrote there before is replaced. OutputError if it cannot be written."""
    with atomic_folder(path, "replace") as fresh:
        shutil.copytree(source, fresh, dirs_exist_ok=True)
