"""The authors' STU-Net checkpoints (105 classes of CT) as model packages.

A checkpoint is read once, by `foreign.read_foreign`.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from LiverMRISegLib.anatomy import STUNET_105
from LiverMRISegLib.errors import ModelError
from LiverMRISegLib.models.importers.foreign import read_foreign, tensors_of
from LiverMRISegLib.models.package.model_package import save_package
from LiverMRISegLib.models.package.specification import InferenceSpec, ModelSpec, NetworkSpec, PreparationSpec
from LiverMRISegLib.networks.sizes import STUNET_SIZES

RELEASED_STRIDES = [[2, 2, 2], [2, 2, 2], [2, 2, 2], [2, 2, 2], [1, 1, 2]]
_KEYS = {".model": "state_dict", ".pth": "network_weights"}
_FIRST, _LAST = "conv_blocks_context.0.0.conv1.weight", "seg_outputs.4.weight"
_RELEASED_CLASSES = 105


def import_stunet(source: Path, name: str, folder: Path) -> Path:
    """Convert an official `.model` or `.pth` file into the package `folder / name`.

    Raises:
        ModelError: it is not such a checkpoint, or it is not safe to read.
        OutputError: the package already exists or cannot be written.
    """
    state = read_checkpoint(Path(source))
    size = _size_of(state, source)
    classes = int(state[_LAST].shape[0])
    if classes != _RELEASED_CLASSES:
        raise ModelError(
            f"{source}: has {classes} classes, the released checkpoints have {_RELEASED_CLASSES}; "
            "of what STU-Net's trainers fine-tuned import the whole folder with 'models import nnunet'"
        )
    kwargs = {"in_channels": int(state[_FIRST].shape[1]), "out_channels": classes, "strides": RELEASED_STRIDES}
    spec = ModelSpec(
        name=name,
        version="1.0",
        task="organs of the abdomen among the 104 classes of TotalSegmentator's CT, for fine-tuning on MR",
        modality="CT",
        sequences=(),
        labels=STUNET_105,
        network=NetworkSpec(size, kwargs),
        preparation=PreparationSpec((1.5, 1.5, 1.5), None, "z-score", 3),
        inference=InferenceSpec((128, 128, 128), mirror_axes=(0, 1, 2)),
        provenance=({"stage": "import_stunet", "file": Path(source).name, "project": "uni-medical/STU-Net"},),
        weights_license="Apache-2.0 (uni-medical/STU-Net)",
    )
    return save_package(spec, state, folder / name, source=Path(source))


def read_checkpoint(source: Path) -> dict[str, np.ndarray]:
    """The tensors of a checkpoint by name, float32, without the prefix "module."; ModelError if it cannot be read."""
    if source.suffix not in _KEYS:
        raise ModelError(f"{source}: a STU-Net checkpoint ends with .model (nnU-Net v1) or .pth (v2)")
    document = read_foreign(source)
    weights = document.get(_KEYS[source.suffix]) if isinstance(document, Mapping) else None
    if not isinstance(weights, Mapping):
        raise ModelError(f"{source}: contains no '{_KEYS[source.suffix]}'; is it a STU-Net checkpoint?")
    return {key.removeprefix("module."): array for key, array in tensors_of(weights, source).items()}


def _size_of(state: Mapping[str, np.ndarray], source: Path) -> str:
    """The size of the network, from its widths; the package then checks every tensor."""
    firsts = [f"conv_blocks_context.{stage}.0.conv1.weight" for stage in range(6)]
    if any(name not in state or state[name].ndim != 5 for name in (*firsts, _LAST)):
        raise ModelError(f"{source}: contains no tensors of a STU-Net; is it a STU-Net checkpoint?")
    widths = tuple(int(state[name].shape[0]) for name in firsts)
    for name, size in STUNET_SIZES.items():
        if size.widths == widths:
            return name
    raise ModelError(
        f"{source}: the widths {widths} do not belong to a known STU-Net; known: {', '.join(STUNET_SIZES)}"
    )
