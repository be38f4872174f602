"""The image encoder of a SAM-Med3D checkpoint (`sam_med3d_turbo.pth`) as a package, for features (paper 002)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from LiverMRISegLib.anatomy import LabelSet
from LiverMRISegLib.errors import ModelError
from LiverMRISegLib.models.importers.foreign import read_foreign, tensors_of
from LiverMRISegLib.models.package.model_package import save_package
from LiverMRISegLib.models.package.specification import (
    ANY_MODALITY,
    InferenceSpec,
    ModelSpec,
    NetworkSpec,
    PreparationSpec,
)
from LiverMRISegLib.networks.sizes import SAM_MED3D

_KEY, _PREFIX = "model_state_dict", "image_encoder."
_CHANNELS = 384


def import_sam_med3d(source: Path, name: str, folder: Path) -> Path:
    """Convert a checkpoint into the package `folder / name`; prompt encoder and mask decoder are left out.

    The preparation is that of the authors' inference: axes to the right, front and head, 1.5 mm, mean and deviation of
    voxels above 0 (TorchIO's ZNormalization with a mask, which normalises the voxels outside the mask too).

    Raises:
        ModelError: it is not such a checkpoint, or it is not safe to read.
        OutputError: the package already exists or cannot be written.
    """
    document = read_foreign(Path(source))
    state = document.get(_KEY) if isinstance(document, Mapping) else None
    if not isinstance(state, Mapping):
        raise ModelError(f"{source}: contains no '{_KEY}'; is it a SAM-Med3D checkpoint?")
    named = {name: tensor for name, tensor in state.items() if str(name).startswith(_PREFIX)}
    encoder = {name.removeprefix(_PREFIX): array for name, array in tensors_of(named, Path(source)).items()}
    if not encoder:
        raise ModelError(f"{source}: contains no tensors of an image encoder; is it a SAM-Med3D checkpoint?")
    spec = ModelSpec(
        name=name,
        version="1.0",
        task="features for one-label training; segments nothing by itself",
        modality=ANY_MODALITY,
        sequences=(),
        labels=LabelSet("none", {}),
        network=NetworkSpec(SAM_MED3D, {"in_channels": 1, "out_channels": _CHANNELS}),
        preparation=PreparationSpec((1.5, 1.5, 1.5), "RAS", "z-score-positive"),
        inference=InferenceSpec((128, 128, 128)),
        provenance=({"stage": "import_sam_med3d", "file": Path(source).name, "project": "uni-medical/SAM-Med3D"},),
        weights_license="Apache-2.0 (uni-medical/SAM-Med3D)",
    )
    return save_package(spec, encoder, folder / name, source=Path(source))
