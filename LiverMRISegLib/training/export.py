"""From a checkpoint of the any-sequence stage to the model package that inference loads."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from LiverMRISegLib.anatomy import LabelSet, organ_named
from LiverMRISegLib.anatomy import Sequence as MrSequence
from LiverMRISegLib.errors import ModelError
from LiverMRISegLib.models.package import save_package
from LiverMRISegLib.models.specification import BODY, InferenceSpec, ModelSpec, NetworkSpec
from LiverMRISegLib.training import checkpoints
from LiverMRISegLib.training.any_sequence import AnySequenceConfig
from LiverMRISegLib.training.configuration import to_plain
from LiverMRISegLib.training.packaging import branch_weights, organ_rules
from LiverMRISegLib.training.starts import title_of

_SCORE = "validation/score"
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
    reachable: Mapping[str, float] | None = None,
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
        reachable: the Dice of organs on images that were not trained on, e.g. `validated_dice`. Each of these organs
            gets its `dice_offset`.
        body_tiles: compute only tiles where the body is: faster, what it changes stands in RESULTS.md.
        metrics: measured results, each with its data set and number of cases.

    Raises:
        ModelError: the checkpoint cannot be read or is not one of this config, or the config's start is gone.
        OutputError: the package cannot be written.
    """
    state = checkpoints.load(checkpoint)
    (weights,) = branch_weights(state, "average")
    offsets = {organ: round(dice_offset(dice), 3) for organ, dice in (reachable or {}).items()}
    for value, organ in enumerate(config.organs, start=1):
        weights[_HEAD_BIAS][value] += offsets.get(organ, 0.0)
    offered = {organ_named(o) for o in (organs or config.organs)}
    values = {value: organ_named(o) for value, o in enumerate(config.organs, start=1) if organ_named(o) in offered}
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
                "offsets": offsets,
                "config": _shared_config(config),
            },
        ),
        metrics=tuple(metrics),
        weights_license="research use only: the label maps and CT include BTCV data under its challenge's terms",
    )
    return save_package(spec, weights, path)


def dice_offset(reachable: float) -> float:
    """What is added to an organ's logit so that it is taken from a probability of half its reachable Dice on.

    Of all thresholds that one maximises the expected Dice, not 0.5 (Lipton et al. 2014): an organ that is hard to tell
    would else come out too small.
    """
    return math.log((2 - reachable) / reachable)


def validated_dice(run: Path, step: int) -> dict[str, float]:
    """The Dice by organ that the training in folder `run` had on its validation images at `step`.

    Raises:
        ModelError: it was not validated there, or an organ was never found.
    """
    metrics = run / "metrics.jsonl"
    lines = metrics.read_text(encoding="utf-8").splitlines() if metrics.exists() else []
    found = [line for line in map(json.loads, lines) if line["step"] == step and _SCORE in line]
    if not found:
        raise ModelError(f"{metrics}: holds no validation at step {step}; export the last step of a finished run")
    prefix = _SCORE.removesuffix("score")
    scores = {name.removeprefix(prefix): value for name, value in found[-1].items() if name.startswith(prefix)}
    del scores["score"]
    missed = [name for name, value in scores.items() if not value > 0]  # also those that no image held
    if missed:
        names = ", ".join(missed)
        raise ModelError(f"{metrics}: {names} not found at step {step}; train on, or export without offsets")
    return scores


def _inference(config: AnySequenceConfig, *, body_tiles: bool) -> InferenceSpec:
    whole = InferenceSpec(config.randomization.patch, image_refinement=True)
    return replace(whole, region=BODY, region_margin=_BODY_MARGIN) if body_tiles else whole


def _shared_config(config: AnySequenceConfig) -> dict[str, Any]:
    """The config without the folders of the machine it ran on, the start by its name and version."""
    plain: dict[str, Any] = to_plain(config)
    shared = {key: value for key, value in plain.items() if key not in ("data", "run_folder")}
    return {**shared, "start": title_of(config.start)}
