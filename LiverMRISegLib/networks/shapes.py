"""The tensors of a network by name and shape, without building it: how a model package is checked without torch."""

from __future__ import annotations

from collections.abc import Iterator

Shape = tuple[int, ...]


def convolution(prefix: str, inputs: int, outputs: int, kernel: int) -> Iterator[tuple[str, Shape]]:
    """A convolution of cubes of `kernel` voxels, with its bias."""
    yield f"{prefix}.weight", (outputs, inputs, kernel, kernel, kernel)
    yield f"{prefix}.bias", (outputs,)
