"""Tiny model packages with random weights."""

from __future__ import annotations

import numpy as np

from LiverMRISegLib.anatomy import CHAOS
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
