"""A narrow network's weights in a wider one that computes the same (Net2Net: Chen, Goodfellow, Shlens, ICLR 2016).

So what a small network learnt cheaply is where a larger one begins.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def widened(weight: np.ndarray, shape: Sequence[int], random: np.random.Generator) -> np.ndarray | None:
    """`weight` repeated to `shape`, so that a network of wholly widened layers computes what it did before.

    Output channels are repeated. Where the layer before was repeated too, the copies of an input channel share its
    weight, each by a random part: equal parts would have equal gradients, and copies would stay copies.

    Args:
        weight: of a convolution [out, in, Z, Y, X] (not a transposed one), or a bias or scale [out].
        shape: as wanted; whole multiples of the channels.
        random: draws the parts.

    Returns:
        float32 of `shape`, or None where no repetition leads to it.
    """
    old, new = weight.shape, tuple(shape)
    if old == new:
        return weight.astype(np.float32)
    if len(old) != len(new) or old[2:] != new[2:] or any(n % o for o, n in zip(old[:2], new[:2], strict=True)):
        return None
    wide = np.repeat(weight.astype(np.float32), new[0] // old[0], axis=0)
    if len(new) == 1:
        return wide
    copies = new[1] // old[1]
    parts = random.dirichlet(np.ones(copies), size=(new[0], old[1])).astype(np.float32)
    parts = parts.reshape(new[0], new[1], *(1,) * (len(new) - 2))
    return np.repeat(wide, copies, axis=1) * parts
