"""The network that an nnU-Net v2 plan describes, in the old and the new format of plans.json."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from LiverMRISegLib.errors import ModelError
from LiverMRISegLib.networks.sizes import PLAIN, RESIDUAL_ENCODER

# By class: our name, the plan's key for the numbers of convolutions or blocks, and the convolutions per decoder stage.
_KINDS = {
    "PlainConvUNet": (PLAIN, "n_conv_per_stage", 2),
    "ResidualEncoderUNet": (RESIDUAL_ENCODER, "n_blocks_per_stage", 1),
}
_STUNET_TRAINER = "STUNetTrainer"
_STUNET_WORDS = {"small": "stunet-s", "base": "stunet-b", "large": "stunet-l", "huge": "stunet-h"}
_OPERATIONS = {"conv_op": "Conv3d", "norm_op": "InstanceNorm3d", "nonlin": "LeakyReLU"}
_SETTINGS = {"conv_bias": True, "norm_op_kwargs": {"eps": 1e-5, "affine": True}, "nonlin_kwargs": {"inplace": True}}
# No effect on the result: dropout only acts in training, deep supervision only adds outputs.
_IGNORED = {"n_stages", "dropout_op", "dropout_op_kwargs", "deep_supervision"}


def network_of_configuration(configuration: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """Name and kwargs of `build_network`, without the channels, for a configuration of plans.json.

    Raises:
        ModelError: another network than those two, or one of them with operations that ours has not.
        KeyError, TypeError, ValueError: it is not a configuration of nnU-Net.
    """
    given = configuration.get("architecture")
    class_name, kwargs = (given["network_class_name"], given["arch_kwargs"]) if given else _old_format(configuration)
    kind = str(class_name).rpartition(".")[2]
    if kind not in _KINDS:
        raise ModelError(f"its network is {class_name}; known are {' and '.join(_KINDS)} of nnU-Net")
    name, blocks, in_decoder = _KINDS[kind]
    _check_operations(kwargs, {blocks, "n_conv_per_stage_decoder", "features_per_stage", "strides", "kernel_sizes"})
    features = [int(width) for width in kwargs["features_per_stage"]]
    stages = len(features)
    if _each(kwargs["n_conv_per_stage_decoder"], stages - 1) != [in_decoder] * (stages - 1):
        raise ModelError(f"its decoder is not that of nnU-Net's {kind}, with {in_decoder} convolution(s) a stage")
    return name, {
        "features": features,
        "strides": [_triple(stride) for stride in kwargs["strides"]],
        "blocks": _each(kwargs[blocks], stages),
        "kernels": [_triple(kernel) for kernel in kwargs["kernel_sizes"]],
    }


def is_stunet(trainer: str) -> bool:
    """Whether a trainer of nnU-Net v2 is one of STU-Net's, which ignore the plan's network but for its strides."""
    return trainer.startswith(_STUNET_TRAINER)


def stunet_of_configuration(configuration: Mapping[str, Any], trainer: str) -> tuple[str, dict[str, Any]]:
    """As `network_of_configuration`, for a model that one of STU-Net's trainers made (fine-tuning, "_ft", included).

    Its size is in the trainer's name, "base" where there is none. Of the plan's strides the first is left out; five are
    taken, or filled up with ones.

    Raises:
        ModelError: a size that is not known.
        KeyError, TypeError, ValueError: it is not a configuration of nnU-Net.
    """
    words = [word for word in trainer.removeprefix(_STUNET_TRAINER).split("_") if word]
    name = _STUNET_WORDS.get(words[0] if words else "base")
    if name is None:
        raise ModelError(f"its trainer is {trainer}; known sizes are {', '.join(_STUNET_WORDS)}")
    given = configuration.get("architecture")
    strides = given["arch_kwargs"]["strides"] if given else configuration["pool_op_kernel_sizes"]
    filled = [*(_triple(stride) for stride in strides[1:]), *([[1, 1, 1]] * 5)]
    return name, {"strides": filled[:5]}


def _old_format(configuration: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """As older plans say it: widths by rule, the operations always the same."""
    class_name = configuration["UNet_class_name"]
    blocks = list(configuration["n_conv_per_stage_encoder"])
    base, most = int(configuration["UNet_base_num_features"]), int(configuration["unet_max_num_features"])
    return class_name, {
        "features_per_stage": [min(base * 2**stage, most) for stage in range(len(blocks))],
        "strides": configuration["pool_op_kernel_sizes"],
        "kernel_sizes": configuration["conv_kernel_sizes"],
        "n_conv_per_stage_decoder": configuration["n_conv_per_stage_decoder"],
        **({_KINDS[class_name][1]: blocks} if class_name in _KINDS else {}),
        **_OPERATIONS,
        **_SETTINGS,
    }


def _check_operations(kwargs: Mapping[str, Any], shape: set[str]) -> None:
    for key, value in kwargs.items():
        if key in _OPERATIONS:
            fits = str(value).rpartition(".")[2] == _OPERATIONS[key]
        elif key in _SETTINGS:
            fits = value == _SETTINGS[key]
        else:
            fits = key in shape | _IGNORED or value is None
        if not fits:
            raise ModelError(f"its network has {key} {value!r}, which is not supported")


def _each(value: Any, stages: int) -> list[int]:
    """One number for every stage, where a plan gives only one for all."""
    return [int(value)] * stages if isinstance(value, int) else [int(number) for number in value]


def _triple(value: Any) -> list[int]:
    return [int(value)] * 3 if isinstance(value, int) else [int(number) for number in value]
