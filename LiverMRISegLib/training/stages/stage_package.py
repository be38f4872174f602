"""The model package of a stage: which weights, and what the package says of itself."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from LiverMRISegLib.anatomy import LabelSet, structure_named
from LiverMRISegLib.anatomy import Sequence as MrSequence
from LiverMRISegLib.data.case_selection import Pools
from LiverMRISegLib.errors import UsageError
from LiverMRISegLib.io.json_text import parse_json
from LiverMRISegLib.models.package.specification import InferenceSpec, ModelSpec
from LiverMRISegLib.training import checkpoints
from LiverMRISegLib.training.configuration import to_plain
from LiverMRISegLib.training.initial_weights import licence_of, load_start, title_of
from LiverMRISegLib.training.packaging import (
    branch_weights,
    mixed_weights,
    organ_rules,
    with_background_offset,
    write_package,
)
from LiverMRISegLib.training.stages.config import BEST, StageConfig

logger = logging.getLogger(__name__)
# Places on the machine that trained, and patients: not for others.
_PRIVATE = ("run_folder", "metrics", "start", "second_start", "data")
_PRIVATE_DATA = ("datalists", "labelled", "unlabelled", "cache", "workers")


def check_stage_package(config: StageConfig, pools: Pools) -> None:
    """Raise now what `write_stage_package` would raise only after the training, where the config alone decides it.

    Raises:
        UsageError: `config.metrics` cannot be read, or the network is not known.
        ModelError: the start is not there, or the package cannot be as the config asks.
    """
    _specification(config, pools, {"step": 0}, 1)


def write_stage_package(config: StageConfig, pools: Pools, *, is_validated: bool) -> None:
    """Write `config.run_folder`/model from the run's checkpoints; a package of an earlier start is replaced.

    Raises:
        UsageError: the run has no checkpoint, or `config.metrics` cannot be read.
        ModelError: the checkpoint has no such branch, or the start is gone.
        OutputError: it cannot be written.
    """
    folder = config.run_folder / "checkpoints"
    best = folder / checkpoints.BEST
    takes_best = config.checkpoint == BEST and is_validated and best.exists()
    if config.checkpoint == BEST and is_validated and not takes_best:
        logger.warning("no volume that was validated on shows an organ: the last weights are exported, not the best")
    state = checkpoints.load(best) if takes_best else checkpoints.load_newest(folder)
    if state is None:
        raise UsageError(f"{folder}: contains no checkpoint; loop.steps must be at least 1")
    members = _members(config, state)
    path = config.run_folder / "model"
    write_package(_specification(config, pools, state, len(members)), members, path)
    logger.info("%s written, from step %d; use it as --model %s", path, state["step"], path)


def _members(config: StageConfig, state: Mapping[str, Any]) -> list[dict[str, np.ndarray]]:
    members = branch_weights(state, config.branch)
    if config.start_share:
        members = [mixed_weights(members[0], _before_training(config, members[0]), config.start_share)]
    return [with_background_offset(weights, config.background_offset) for weights in members]


def _before_training(config: StageConfig, weights: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The start's weights; trained ones where it has none: a head's random first values are not worth mixing in."""
    network = config.new_network(config.loop.seed, deep_supervision=True)
    network.load_state_dict({name: torch.from_numpy(array) for name, array in weights.items()})
    start, keeps_heads = config.start_of_package
    load_start(network, start, config.data.organs if keeps_heads else ())
    return {name: tensor.numpy() for name, tensor in network.state_dict().items()}


def _specification(config: StageConfig, pools: Pools, state: Mapping[str, Any], members: int) -> ModelSpec:
    used = [*pools.labelled, *pools.unlabelled]
    trained = [structure_named(organ, value) for value, organ in enumerate(config.data.organs, start=1)]
    offered = [structure_named(organ).name for organ in config.offered or config.data.organs]
    values = {value: organ for value, organ in enumerate(trained, start=1) if organ.name in offered}
    names: Sequence[str] = [organ.name for organ in values.values()]
    offsets = {structure_named(organ).name: offset for organ, offset in config.outline_offsets.items()}
    unrefined = [structure_named(organ).name for organ in config.unrefined]
    trained_on = tuple(sorted({scan.sequence for _, scan in used}))
    meant = config.sequences or trained_on
    return ModelSpec(
        name=config.name,
        version=config.version,
        task=f"{', '.join(names)} in MRI"
        + ("" if used else " of any sequence, trained on images made from label maps"),
        modality="MR",
        sequences=meant if used or config.sequences else tuple(sequence.value for sequence in MrSequence),
        trained_on=trained_on if meant != trained_on else (),
        labels=LabelSet(config.name, values),
        network=config.network_spec(members),
        preparation=config.data.preparation,
        inference=InferenceSpec(
            config.data.patch,
            mirror_axes=config.data.augmentation.mirror_axes,
            resample=config.resample,
            image_refinement=config.image_refinement,
            outline_offsets={organ: offset for organ, offset in offsets.items() if organ in names},
            unrefined=tuple(organ for organ in unrefined if organ in names),
            region=config.region,
            region_margin=config.region_margin,
        ),
        postprocessing=organ_rules(names),
        provenance=(_provenance(config, pools, state),),
        metrics=_metrics(config.metrics),
        weights_license=_licences(config, pools),
    )


def _provenance(config: StageConfig, pools: Pools, state: Mapping[str, Any]) -> dict[str, Any]:
    """How the weights came about: the config without what is private, the start by its name and version."""
    used = [*pools.labelled, *pools.unlabelled]
    plain = to_plain(config)
    shared = {key: value for key, value in plain.items() if key not in _PRIVATE}
    shared["start"] = " and ".join(map(title_of, config.starts))
    shared["data"] = {key: value for key, value in plain["data"].items() if key not in _PRIVATE_DATA}
    if config.data.synthetic.batch:
        del shared["data"]["synthetic"]["folder"]
    else:
        del shared["data"]["synthetic"]
    return {
        "stage": type(config).__name__,
        "step": int(state["step"]),
        "data": sorted({f"{datalist.name} ({datalist.licence})" for datalist, _ in used}),
        "labelled scans": len(pools.labelled),
        "unlabelled scans": len(pools.unlabelled),
        "config": shared,
    }


def _metrics(path: str) -> tuple[Mapping[str, Any], ...]:
    if not path:
        return ()
    try:
        figures = parse_json(Path(path).read_bytes())
    except OSError as error:
        raise UsageError(f"metrics: {path}: cannot be read ({error.strerror})") from error
    except ValueError as error:
        raise UsageError(f"metrics: {path}: cannot be read ({error})") from error
    if not isinstance(figures, list) or not all(isinstance(figure, dict) for figure in figures):
        raise UsageError(f"metrics: {path}: a list of figures was expected, as evaluate_any_sequence.py writes it")
    return tuple(figures)


def _licences(config: StageConfig, pools: Pools) -> str:
    """Of everything that the weights were learnt from: the start, volumes, label maps; each once."""
    listed = sorted({datalist.licence for datalist, _ in [*pools.labelled, *pools.unlabelled]})
    synthetic = config.data.synthetic
    sources = [source.licence for source in synthetic.sources] if synthetic.batch else []
    # What a start was learnt from is joined already, and two starts often share it.
    starts = [licence for start in filter(None, config.starts) for licence in licence_of(start).split("; ")]
    joined = ""
    for licence in [*starts, *listed, *sources]:
        if licence not in joined:
            joined = f"{joined}; {licence}" if joined else licence
    return joined
