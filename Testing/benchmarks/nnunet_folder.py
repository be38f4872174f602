"""Trained-model folders as nnU-Net v2 writes them, made without it: for tests and for benchmarks against it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from dynamic_network_architectures.architectures.unet import PlainConvUNet, ResidualEncoderUNet
from torch import nn

STRIDES = [[1, 1, 1], [1, 2, 2], [2, 2, 2]]
KERNELS = [[1, 3, 3], [3, 3, 3], [3, 3, 3]]
INTENSITY = {"mean": 180.0, "median": 170.0, "std": 90.0, "min": 0.0, "max": 900.0,
             "percentile_00_5": 20.0, "percentile_99_5": 420.0}  # fmt: skip
# Of a second image of a case.
SECOND_INTENSITY = {"mean": 320.0, "median": 300.0, "std": 140.0, "min": 0.0, "max": 1500.0,
                    "percentile_00_5": 35.0, "percentile_99_5": 760.0}  # fmt: skip
OPTIONS = {"is_seg": False, "order_z": 0, "force_separate_z": None}


@dataclass(frozen=True)
class Design:
    """A network of nnU-Net by the numbers of its plan, per stage, finest first."""

    kind: str
    features: Sequence[int]
    strides: Sequence[Sequence[int]] = field(default_factory=lambda: STRIDES)
    kernels: Sequence[Sequence[int]] = field(default_factory=lambda: KERNELS)
    residual_blocks: Sequence[int] = (1, 2, 2)

    @property
    def is_plain(self) -> bool:
        return self.kind == "PlainConvUNet"

    @property
    def blocks(self) -> list[int]:
        """Convolutions of a plain encoder's stages, residual blocks of the other's."""
        return [2] * len(self.features) if self.is_plain else list(self.residual_blocks)

    @property
    def in_decoder(self) -> list[int]:
        """Convolutions of the decoder's stages."""
        return [2 if self.is_plain else 1] * (len(self.features) - 1)

    def network(self, classes: int, seed: int = 0, channels: int = 1) -> nn.Module:
        """Of random weights, as nnU-Net builds it."""
        torch.manual_seed(seed)
        made = (PlainConvUNet if self.is_plain else ResidualEncoderUNet)(
            channels, len(self.features), list(self.features), nn.Conv3d, self.kernels, self.strides, self.blocks,
            classes, self.in_decoder, conv_bias=True, norm_op=nn.InstanceNorm3d,
            norm_op_kwargs={"eps": 1e-5, "affine": True}, nonlin=nn.LeakyReLU, nonlin_kwargs={"inplace": True},
            deep_supervision=False,
        )  # fmt: skip
        made.apply(made.initialize)
        return made

    def plan(self) -> dict[str, Any]:
        """The new way of plans.json to describe it."""
        return {
            "network_class_name": f"dynamic_network_architectures.architectures.unet.{self.kind}",
            "arch_kwargs": {
                "n_stages": len(self.features), "features_per_stage": list(self.features),
                "conv_op": "torch.nn.modules.conv.Conv3d", "kernel_sizes": self.kernels, "strides": self.strides,
                "n_conv_per_stage" if self.is_plain else "n_blocks_per_stage": self.blocks,
                "n_conv_per_stage_decoder": self.in_decoder, "conv_bias": True,
                "norm_op": "torch.nn.modules.instancenorm.InstanceNorm3d",
                "norm_op_kwargs": {"eps": 1e-05, "affine": True}, "dropout_op": None, "dropout_op_kwargs": None,
                "nonlin": "torch.nn.LeakyReLU", "nonlin_kwargs": {"inplace": True},
            },
            "_kw_requires_import": ["conv_op", "norm_op", "dropout_op", "nonlin"],
        }  # fmt: skip

    def old_plan(self) -> dict[str, Any]:
        """The same in the old way: keys of the configuration itself."""
        return {
            "UNet_class_name": self.kind, "UNet_base_num_features": self.features[0],
            "unet_max_num_features": max(self.features), "n_conv_per_stage_encoder": self.blocks,
            "n_conv_per_stage_decoder": self.in_decoder, "num_pool_per_axis": [1, 2, 2],
            "pool_op_kernel_sizes": self.strides, "conv_kernel_sizes": self.kernels,
        }  # fmt: skip


def configuration(
    design: Design,
    spacing: Sequence[float],
    patch: Sequence[int],
    *,
    normalisation: str = "ZScoreNormalization",
    masked: bool = False,
    **changes: Any,
) -> dict[str, Any]:
    """A configuration of plans.json; `changes` replace or add keys."""
    resampling = {
        f"resampling_fn_{what}{end}": value
        for what, order in (("data", 3), ("seg", 1), ("probabilities", 1))
        for end, value in (
            ("", "resample_data_or_seg_to_shape"),
            ("_kwargs", {**OPTIONS, "is_seg": what == "seg", "order": order}),
        )
    }
    return {
        "data_identifier": "nnUNetPlans_3d_fullres", "preprocessor_name": "DefaultPreprocessor", "batch_size": 2,
        "patch_size": list(patch), "median_image_size_in_voxels": [40.0, 100.0, 100.0], "spacing": list(spacing),
        "normalization_schemes": [normalisation], "use_mask_for_norm": [masked], "batch_dice": False,
        "architecture": design.plan(), **resampling, **changes,
    }  # fmt: skip


def plans(configurations: Mapping[str, Any], transpose: Sequence[int] = (0, 1, 2), **changes: Any) -> dict[str, Any]:
    """A whole plans.json."""
    return {
        "dataset_name": "Dataset901_Made", "plans_name": "nnUNetPlans", "image_reader_writer": "SimpleITKIO",
        "original_median_spacing_after_transp": [5.0, 1.4, 1.4], "original_median_shape_after_transp": [40, 200, 200],
        "transpose_forward": list(transpose), "transpose_backward": np.argsort(transpose).tolist(),
        "configurations": dict(configurations), "experiment_planner_used": "ExperimentPlanner",
        "label_manager": "LabelManager",
        "foreground_intensity_properties_per_channel": {"0": INTENSITY, "1": SECOND_INTENSITY}, **changes,
    }  # fmt: skip


def dataset(labels: Mapping[str, Any], **changes: Any) -> dict[str, Any]:
    """dataset.json; `labels` without the background."""
    return {"channel_names": {"0": "MRI"}, "labels": {"background": 0, **labels}, "numTraining": 2,
            "file_ending": ".nii.gz", **changes}  # fmt: skip


def checkpoint(weights: Mapping[str, torch.Tensor], name: str = "3d_fullres", **changes: Any) -> dict[str, Any]:
    """What nnUNetTrainer.save_checkpoint stores; the optimizer's state left empty."""
    return {
        "network_weights": dict(weights), "optimizer_state": {"state": {}, "param_groups": [{"lr": 0.01}]},
        "grad_scaler_state": {"scale": 65536.0}, "_best_ema": np.float64(0.91), "current_epoch": 1000,
        "logging": {"mean_fg_dice": [np.float32(0.9), np.float64(0.91)], "dice_per_class_or_region": [[np.float64(1)]]},
        "init_args": {"plans": {}, "configuration": name, "fold": 0, "dataset_json": {},
                      "device": torch.device("cuda", 0)},
        "trainer_name": "nnUNetTrainer", "inference_allowed_mirroring_axes": (0, 1, 2), **changes,
    }  # fmt: skip


def write_folder(
    parent: Path,
    plan: Mapping[str, Any],
    data: Mapping[str, Any],
    folds: Mapping[str, Mapping[str, Any]],
    name: str = "nnUNetTrainer__nnUNetPlans__3d_fullres",
) -> Path:
    """The folder; `folds` maps "fold_0" to its checkpoint, ..."""
    folder = parent / name
    for fold, document in folds.items():
        (folder / fold).mkdir(parents=True, exist_ok=True)
        torch.save(document, folder / fold / "checkpoint_final.pth")
    (folder / "plans.json").write_text(json.dumps(plan))
    (folder / "dataset.json").write_text(json.dumps(data))
    return folder


def two_images(parent: Path, kind: str, labels: Sequence[str], **changes: Any) -> tuple[Path, nn.Module]:
    """A folder whose one model takes two images a case, "T1" (z-score where not 0) and "T2" (CT's way); its network.

    Its grid is 4 x 2 x 2 mm, its patch 8 x 16 x 16; `changes` replace or add keys of the configuration.
    """
    design = Design(kind, [4, 8, 8])
    schemes = {"normalization_schemes": ["ZScoreNormalization", "CTNormalization"], "use_mask_for_norm": [True, False]}
    plan = plans({"3d_fullres": configuration(design, [4.0, 2.0, 2.0], [8, 16, 16], **{**schemes, **changes})})
    data = dataset({name: value for value, name in enumerate(labels, start=1)}, channel_names={"0": "T1", "1": "T2"})
    made = design.network(len(labels) + 1, channels=2).eval()
    return write_folder(parent, plan, data, {"fold_0": checkpoint(made.state_dict())}), made
