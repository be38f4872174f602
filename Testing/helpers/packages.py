"""Tiny model packages with random weights."""

from __future__ import annotations

import hashlib
import json

import numpy as np
import pytest

from LiverMRISegLib.anatomy import CHAOS
from LiverMRISegLib.errors import ModelError
from LiverMRISegLib.models.package.model_package import ModelPackage, save_package
from LiverMRISegLib.models.package.specification import (
    InferenceSpec,
    ModelSpec,
    NetworkSpec,
    OrganRule,
    PreparationSpec,
)
from LiverMRISegLib.networks.registry import parameter_shapes

TINY_KWARGS = {
    "in_channels": 1,
    "out_channels": 5,
    "widths": [4, 4, 4, 4, 4, 4],
    "strides": [[2, 2, 2], [2, 2, 2], [1, 1, 1], [1, 1, 1], [1, 1, 1]],
}


def tiny_spec(name: str = "tiny") -> ModelSpec:
    return ModelSpec(
        name=name,
        version="1.0",
        task="four organs",
        modality="MR",
        sequences=("T2WI",),
        labels=CHAOS,
        network=NetworkSpec("stunet", TINY_KWARGS),
        preparation=PreparationSpec((6.0, 6.0, 6.0), normalisation="percentile-z-score"),
        inference=InferenceSpec((16, 24, 24)),
        postprocessing={"liver": OrganRule(keep_largest=True, plausible_ml=(500.0, 3000.0))},
        weights_license="Apache-2.0",
    )


def random_weights(spec: ModelSpec, seed: int = 0) -> dict[str, np.ndarray]:
    random = np.random.default_rng(seed)
    shapes = parameter_shapes(spec.network.name, spec.network.kwargs)
    return {name: random.normal(0, 0.3, shape).astype(np.float16) for name, shape in shapes.items()}


def refused(path, words, *, verify=False):
    """Assert that loading (or verifying) is refused in one line that names the package and contains `words`."""

    def use():
        package = ModelPackage.load(path)
        if verify:
            package.verify()

    with pytest.raises(ModelError, match=words) as error:
        use()
    assert str(path.name) in str(error.value)
    assert "\n" not in str(error.value)


def edited(folder, change):
    """Apply `change` to the model.json of a package."""
    file = folder / "model.json"
    document = json.loads(file.read_text())
    change(document)
    file.write_text(json.dumps(document))


def repacked(tmp_path, weights_bytes):
    """A package whose weights file is `weights_bytes`, with the right hash."""
    path = save_package((spec := tiny_spec()), random_weights(spec), tmp_path / "p")
    (path / "weights.safetensors").write_bytes(weights_bytes)
    digest = hashlib.sha256(weights_bytes).hexdigest()
    edited(path, lambda d: d["files"].update({"weights.safetensors": digest}))
    return path
