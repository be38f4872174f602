"""What STU-Net's trainers fine-tuned in nnU-Net v1, in the terms of v2's plans.json and dataset.json.

v1 writes fold_0/model_final_checkpoint.model, a checkpoint, and beside it ....model.pkl, a pickle of the plans.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from LiverMRISegLib.errors import ModelError
from LiverMRISegLib.models.importers.plain_pickle import read_plain_pickle

CHECKPOINT = "model_final_checkpoint.model"
PLANS = "plans.pkl"
_SCHEMES = {"CT": "CTNormalization", "nonCT": "ZScoreNormalization", "noNorm": "NoNormalization"}
_ORDERS = {"GenericPreprocessor": 3, "GenericPreprocessor_linearResampling": 1}
_STAGE = 5  # of the trainer's arguments, in which each fold was trained


@dataclass(frozen=True)
class FirstVersion:
    """Of a fold's pickle: the trainer's name, and what v2 would say in plans.json and of its one configuration."""

    trainer: str
    plans: dict[str, Any]
    configuration: dict[str, Any]


def read_first_version(pickled: Path) -> FirstVersion:
    """Read `model_final_checkpoint.model.pkl`.

    Raises:
        ModelError: not such a file, an unsafe one, or a model that was prepared in a way that ours has not.
        LookupError, TypeError, ValueError: its content is not nnU-Net's.
    """
    document = read_plain_pickle(pickled)
    trainer, plans, arguments = str(document["name"]), document["plans"], document["init"]
    stages = plans["plans_per_stage"]
    stage = stages[arguments[_STAGE] if arguments[_STAGE] is not None else next(iter(stages))]
    images = range(int(plans["num_modalities"]))
    forward = plans.get("transpose_forward") or [0, 1, 2]
    like_second = {
        "image_reader_writer": "SimpleITKIO",
        "transpose_forward": forward,
        "transpose_backward": plans.get("transpose_backward") or [0, 1, 2],
        "foreground_intensity_properties_per_channel": _intensities(plans, images),
        "plans_name": "nnU-Net v1",
        "dataset_name": _task(plans),
    }
    configuration = {
        "patch_size": stage["patch_size"],
        "spacing": stage["current_spacing"],
        "normalization_schemes": [_scheme(plans, image) for image in images],
        "use_mask_for_norm": [bool(plans["use_mask_for_norm"][image]) for image in images],
        "resampling_fn_data_kwargs": {"order": _order(plans)},
        "pool_op_kernel_sizes": [[1, 1, 1], *stage["pool_op_kernel_sizes"]],  # v2 counts the first level too
    }
    if len(configuration["patch_size"]) != 3:
        raise ModelError("segments slice by slice (2d), which is not supported; import 3d_fullres")
    return FirstVersion(trainer, like_second, configuration)


def second_dataset(dataset: Mapping[str, Any]) -> dict[str, Any]:
    """v1's dataset.json, whose labels are "value": name, as v2 has it: name: value; v2's own as it is."""
    labels = dataset["labels"]
    if all(isinstance(value, int) for value in labels.values()):
        return dict(dataset)
    named = {str(name): int(value) for value, name in labels.items()}
    if len(named) < len(labels):
        raise ModelError("two of its labels have one name; give each a name of its own")
    return {**dataset, "labels": named}


def _scheme(plans: Mapping[str, Any], image: int) -> str:
    scheme, masked = plans["normalization_schemes"][image], plans["use_mask_for_norm"][image]
    if scheme not in _SCHEMES or (scheme == "CT" and masked):
        within = " inside the mask" if masked else ""
        raise ModelError(f"its images are normalised by {scheme}{within}; supported are {', '.join(_SCHEMES)}")
    return _SCHEMES[scheme]


def _order(plans: Mapping[str, Any]) -> int:
    name = plans.get("preprocessor_name") or "GenericPreprocessor"
    if name not in _ORDERS:
        raise ModelError(f"its images are prepared by {name}; supported are {', '.join(_ORDERS)}")
    return _ORDERS[name]


def _task(plans: Mapping[str, Any]) -> str:
    """The name of the task: of the folder that its preprocessed data was in."""
    return Path(str(plans.get("preprocessed_data_folder", ""))).name


def _intensities(plans: Mapping[str, Any], images: range) -> dict[str, Any]:
    found = plans["dataset_properties"].get("intensityproperties") or {}
    wanted = {"percentile_00_5": "percentile_00_5", "percentile_99_5": "percentile_99_5", "mean": "mean", "std": "sd"}
    return {
        str(image): {ours: float(found[image][theirs]) for ours, theirs in wanted.items()}
        for image in images
        if image in found
    }
