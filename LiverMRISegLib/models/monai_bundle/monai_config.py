"""The inference workflow and the metadata of a MONAI bundle, made from a model package.

Bundle: https://docs.monai.io/en/stable/mb_specification.html. MONAI's arrays are [C, Z, Y, X] here: `Orientationd`
gets the package's orientation in reverse order.
"""

from __future__ import annotations

from typing import Any

from LiverMRISegLib.errors import ModelError
from LiverMRISegLib.models.package.specification import ABDOMEN, OWN, ModelSpec, PreparationSpec

NETWORK = "models/model.ts"
_SCHEMA = "https://github.com/Project-MONAI/MONAI-extra-test-data/releases/download/0.8.1/meta_schema_20240725.json"
_IMAGE, _PRED = "image", "pred"
TRANSFORMS = "scripts/transforms.py"
_OWN = TRANSFORMS.removesuffix(".py").replace("/", ".")


def check_exportable(spec: ModelSpec) -> None:
    """Check that MONAI's transforms can prepare the model's images; ModelError if not."""
    preparation = spec.preparation
    reasons = (
        (not spec.labels, "it segments nothing"),
        (preparation.scheme != OWN, f"its images are prepared with the scheme '{preparation.scheme}'"),
        (preparation.space != "intensity", f"its images are in {preparation.space} space"),
        (preparation.normalisation == "z-score-positive", f"its normalisation is '{preparation.normalisation}'"),
        (preparation.orientation is None, "it takes images in the files' own orientation"),
    )
    for refused, reason in reasons:
        if refused:
            raise ModelError(f"model {spec.name} cannot become a MONAI bundle: {reason}; use it with livermriseg")


def left_out(spec: ModelSpec) -> list[str]:
    """What this library does and the bundle does not, one sentence each."""
    rules = [rule for rule in spec.postprocessing.values() if rule.near or rule.minimum_ml > 0]
    parts = (
        (
            spec.preparation.antialias,
            "Images finer than the network's grid are smoothed with a Gaussian, not averaged.",
        ),
        (spec.preparation.image_order == 3, "Images are interpolated linearly, not by cubic splines."),
        (spec.inference.image_refinement, "Outlines are not refined by edges of the image."),
        (True, "Tiles lie where MONAI lays them; livermriseg spaces them evenly, as nnU-Net does."),
        (bool(spec.inference.region), "All tiles are computed, not only those inside the body."),
        (spec.inference.region == ABDOMEN, "In long fields of view the abdomen is not looked at a second time."),
        (bool(rules), "Organs that are too small or in the wrong place are not removed."),
        (True, "There are no flags, and volumes are not reported."),
        (True, "The mask of a single slice has two axes."),
    )
    return [sentence for applies, sentence in parts if applies]


def inference_config(spec: ModelSpec) -> dict[str, Any]:
    """configs/inference.json: `python -m monai.bundle run` with it segments every NIfTI file of `dataset_dir`."""
    return {
        "imports": ["$import os", "$import numpy", "$import torch", f"$from {_OWN} import nifti_files"],
        "bundle_root": ".",
        "dataset_dir": "$os.path.join(@bundle_root, 'images')",
        "output_dir": "$os.path.join(@bundle_root, 'eval')",
        "datalist": "$nifti_files(@dataset_dir)",
        "device": "$torch.device('cuda:0' if torch.cuda.is_available() else 'cpu')",
        "network_def": f"$torch.jit.load(os.path.join(@bundle_root, '{NETWORK}'), map_location=@device)",
        "preprocessing": {"_target_": "Compose", "transforms": _preprocessing(spec)},
        "dataset": {
            "_target_": "Dataset",
            "data": f"$[{{'{_IMAGE}': file}} for file in @datalist]",
            "transform": "@preprocessing",
        },
        "dataloader": {"_target_": "DataLoader", "dataset": "@dataset", "batch_size": 1, "num_workers": 0},
        "inferer": {
            "_target_": "SlidingWindowInferer",
            "roi_size": list(spec.inference.patch),
            "sw_batch_size": 1,
            "overlap": spec.inference.overlap,
            "mode": "gaussian",
            "sigma_scale": 0.125,
        },
        "postprocessing": {"_target_": "Compose", "transforms": _postprocessing(spec)},
        "evaluator": {
            "_target_": "SupervisedEvaluator",
            "device": "@device",
            "val_data_loader": "@dataloader",
            "network": "@network_def",
            "inferer": "@inferer",
            "postprocessing": "@postprocessing",
            **_precision(spec.inference.precision),
        },
        "run": ["$@evaluator.run()"],
    }


def _precision(precision: str) -> dict[str, Any]:
    """As in `TorchEngine`: 16 bits on NVIDIA GPUs only, and not where the package asks for 32."""
    if precision == "float32":
        return {"amp": False}
    bfloat = {"amp_kwargs": {"dtype": "$torch.bfloat16"}} if precision == "bfloat16" else {}
    return {"amp": "$@device.type == 'cuda'", **bfloat}


def _preprocessing(spec: ModelSpec) -> list[dict[str, Any]]:
    preparation = spec.preparation
    return [
        {"_target_": "LoadImaged", "keys": _IMAGE, "ensure_channel_first": True},
        {"_target_": "EnsureTyped", "keys": _IMAGE, "dtype": "$torch.float32"},
        {
            "_target_": "Orientationd",
            "keys": _IMAGE,
            "axcodes": (preparation.orientation or "")[::-1],
            "labels": [["L", "R"], ["P", "A"], ["I", "S"]],
        },
        {
            "_target_": f"{_OWN}.ResizeToSpacingd",
            "keys": _IMAGE,
            "spacing": list(preparation.spacing),
            "smooth": preparation.antialias,
        },
        *_normalisation(preparation),
        {"_target_": f"{_OWN}.PadWithAird", "keys": _IMAGE, "size": list(spec.inference.patch)},
    ]


def _normalisation(preparation: PreparationSpec) -> list[dict[str, Any]]:
    """As in `preparation.normalisation.normalise`."""
    intensity = preparation.intensity
    z_score = {"_target_": "NormalizeIntensityd", "keys": _IMAGE}
    if preparation.normalisation == "none":
        return []
    if preparation.normalisation == "unit-range":
        return [{"_target_": "ScaleIntensityd", "keys": _IMAGE, "minv": 0.0, "maxv": 1.0}]
    if preparation.normalisation == "z-score-nonzero":
        return [{**z_score, "nonzero": True}]
    if preparation.normalisation == "percentile-z-score":
        return [{"_target_": f"{_OWN}.ClipBrightd", "keys": _IMAGE}, z_score]
    if preparation.normalisation == "ct":
        low, high = intensity["low"], intensity["high"]
        return [
            {
                "_target_": "ScaleIntensityRanged",
                "keys": _IMAGE,
                "a_min": low,
                "a_max": high,
                "b_min": low,
                "b_max": high,
                "clip": True,
            },
            {**z_score, "subtrahend": intensity["mean"], "divisor": intensity["std"]},
        ]
    return [z_score]


def _postprocessing(spec: ModelSpec) -> list[dict[str, Any]]:
    steps: list[dict[str, Any]] = [
        {
            "_target_": "Invertd",
            "keys": _PRED,
            "transform": "@preprocessing",
            "orig_keys": _IMAGE,
            "nearest_interp": spec.inference.resample == "labels",
        },
        {"_target_": "AsDiscreted", "keys": _PRED, "argmax": True},
    ]
    unnamed = sorted(set(range(1, int(spec.network.kwargs["out_channels"]))) - set(spec.labels))
    if unnamed:
        steps.append({
            "_target_": "MapLabelValued", "keys": _PRED, "orig_labels": unnamed, "target_labels": [0] * len(unnamed),
        })  # fmt: skip
    rules = {value: spec.rule_for(organ.name) for value, organ in spec.labels.items()}
    largest = [value for value, rule in rules.items() if rule.keep_largest]
    if largest:
        steps.append({
            "_target_": "KeepLargestConnectedComponentd",
            "keys": _PRED, "applied_labels": largest, "is_onehot": False, "connectivity": 1,
        })  # fmt: skip
    filled = [value for value, rule in rules.items() if rule.fill_holes]
    if filled:
        steps.append({"_target_": f"{_OWN}.FillBackgroundHolesd", "keys": _PRED, "labels": filled})
    steps.append({
        "_target_": "SaveImaged", "keys": _PRED, "output_dir": "@output_dir", "output_postfix": "seg",
        "output_dtype": "$numpy.uint8", "resample": False, "separate_folder": False,
    })  # fmt: skip
    return steps


def metadata(spec: ModelSpec, versions: dict[str, str]) -> dict[str, Any]:
    """configs/metadata.json; `versions` of everything the bundle needs, by names on PyPI."""
    names = {"0": "background", **{str(value): organ.name for value, organ in sorted(spec.labels.items())}}
    patch, classes = list(spec.inference.patch), int(spec.network.kwargs["out_channels"])
    tensor = {"type": "image", "num_channels": 1, "spatial_shape": patch, "dtype": "float32", "is_patch_data": True}
    others = {name: version for name, version in versions.items() if name not in ("monai", "torch", "numpy")}
    return {
        "schema": _SCHEMA,
        "version": spec.version,
        "changelog": {spec.version: "exported by livermriseg"},
        "monai_version": versions["monai"],
        "pytorch_version": versions["torch"],
        "numpy_version": versions["numpy"],
        "required_packages_version": others,
        "supported_apps": {},
        "name": spec.name,
        "task": spec.task,
        "description": f"{spec.task}. {spec.intended_use}",
        "authors": "LiverMRISeg",
        "copyright": f"weights: {spec.weights_license}",
        "data_type": "nifti",
        "image_classes": f"{spec.modality}, one channel",
        "label_classes": ", ".join(f"{value} {name}" for value, name in names.items()),
        "pred_classes": f"{classes} channels of logits, before postprocessing",
        "eval_metrics": {"measured": [dict(metric) for metric in spec.metrics]},
        "intended_use": spec.intended_use,
        "references": [],
        "network_data_format": {
            "inputs": {
                _IMAGE: {**tensor, "format": "magnitude", "modality": spec.modality, "value_range": [],
                         "channel_def": {"0": "image"}},
            },
            "outputs": {
                _PRED: {**tensor, "format": "segmentation", "num_channels": classes, "value_range": [],
                        "channel_def": names},
            },
        },
    }  # fmt: skip
