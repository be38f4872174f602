"""From a checkpoint of the any-sequence stage to the model package that inference loads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from LiverMRISegLib.anatomy import LabelSet, Organ, organ_named
from LiverMRISegLib.anatomy import Sequence as MrSequence
from LiverMRISegLib.errors import UsageError
from LiverMRISegLib.models.package.model_package import save_package
from LiverMRISegLib.models.package.specification import BODY, InferenceSpec, ModelSpec, NetworkSpec
from LiverMRISegLib.networks.factory import build_network
from LiverMRISegLib.training import checkpoints
from LiverMRISegLib.training.configuration import to_plain
from LiverMRISegLib.training.initial_weights import load_start, title_of
from LiverMRISegLib.training.packaging import branch_weights, organ_rules
from LiverMRISegLib.training.stages.any_sequence import AnySequenceConfig

_HEAD_BIAS = "seg_outputs.4.bias"
_BODY_MARGIN = 6.0  # mm: two voxels beyond the skin


def export(
    config: AnySequenceConfig,
    checkpoint: Path,
    path: Path,
    *,
    name: str = "liver-any-sequence",
    version: str = "1.0",
    organs: Sequence[str] | None = None,
    background_offset: float = 0.0,
    start_share: float = 0.0,
    body_tiles: bool = False,
    metrics: Sequence[Mapping[str, Any]] = (),
) -> Path:
    """Write the averaged network of `checkpoint` as a package, float16.

    Args:
        config: of the run.
        checkpoint: a file of the run's checkpoints folder.
        path: folder or .zip to write.
        name: of the model.
        version: of the model.
        organs: the trained organs that the package offers; the channels of the others become background.
        background_offset: taken off the background's logit. The labels that maximise the expected Dice take a
            voxel as organ from a probability of half the reachable Dice on (Lipton et al. 2014), not from 0.5:
            0.4 means from 0.4 on.
        start_share: the share of the start's weights in those that are written. The mean of a start and what was
            trained on from it often keeps the strengths of both (Wortsman et al. 2022, "Robust fine-tuning").
        body_tiles: compute only tiles where the body is: faster, what it changes stands in RESULTS.md.
        metrics: measured results, each with its data set and number of cases.

    Raises:
        UsageError: `start_share` lies outside [0, 1), or the run had no start.
        ModelError: the checkpoint cannot be read or is not one of this config, or the config's start is gone.
        OutputError: the package cannot be written.
    """
    state = checkpoints.load(checkpoint)
    (weights,) = branch_weights(state, "average")
    if start_share:
        weights = _mixed(weights, config, start_share)
    weights[_HEAD_BIAS][0] -= background_offset
    values = _offered(config.organs, organs or config.organs)
    spec = ModelSpec(
        name=name,
        version=version,
        task=f"{len(values)} organs in MRI of any sequence, trained on images made from label maps",
        modality="MR",
        sequences=tuple(s.value for s in MrSequence),
        labels=LabelSet(name, values),
        network=NetworkSpec(config.network, config.network_kwargs),
        preparation=config.preparation,
        inference=_inference(config, body_tiles=body_tiles),
        postprocessing=organ_rules([organ.name for organ in values.values()]),
        provenance=(
            {
                "stage": "any_sequence",
                "step": int(state["step"]),
                "background offset": background_offset,
                "share of the start": start_share,
                "config": _shared_config(config),
            },
        ),
        metrics=tuple(metrics),
        weights_license="research use only: the label maps and CT include BTCV data under its challenge's terms",
    )
    return save_package(spec, weights, path)


def _offered(trained: Sequence[str], wanted: Sequence[str]) -> dict[int, Organ]:
    offered = {organ_named(name) for name in wanted}
    organs = {value: organ_named(name) for value, name in enumerate(trained, start=1)}
    return {value: organ for value, organ in organs.items() if organ in offered}


def _mixed(weights: Mapping[str, np.ndarray], config: AnySequenceConfig, share: float) -> dict[str, np.ndarray]:
    if not (0 <= share < 1 and config.start):
        raise UsageError(f"a share of {share} of the start: it must lie in [0, 1), and the run must have a start")
    start = build_network(config.network, deep_supervision=True, **config.network_kwargs)
    load_start(start, config.start, config.organs)
    return {
        name: ((1 - share) * weights[name].astype(np.float32) + share * first.numpy()).astype(weights[name].dtype)
        for name, first in start.state_dict().items()
    }


def _inference(config: AnySequenceConfig, *, body_tiles: bool) -> InferenceSpec:
    whole = InferenceSpec(config.randomization.patch, image_refinement=True)
    return replace(whole, region=BODY, region_margin=_BODY_MARGIN) if body_tiles else whole


def _shared_config(config: AnySequenceConfig) -> dict[str, Any]:
    """The config without the folders of the machine it ran on, the start by its name and version."""
    plain: dict[str, Any] = to_plain(config)
    shared = {key: value for key, value in plain.items() if key not in ("data", "run_folder")}
    return {**shared, "start": title_of(config.start)}
