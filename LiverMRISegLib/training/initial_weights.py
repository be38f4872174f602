"""Where a network's first weights come from: a model package or one of the authors' STU-Net checkpoints."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping, Sequence
from dataclasses import fields
from pathlib import Path

import numpy as np
import torch

from LiverMRISegLib.anatomy import STUNET_105, LabelSet, structure_named
from LiverMRISegLib.errors import ModelError, UsageError
from LiverMRISegLib.io.hashing import hash_of
from LiverMRISegLib.models.catalog import load_model
from LiverMRISegLib.models.importers.import_stunet import read_checkpoint
from LiverMRISegLib.models.package.specification import NetworkSpec, PreparationSpec
from LiverMRISegLib.networks.stunet import STUNet

logger = logging.getLogger(__name__)
SAME_AS_START = "start"
_FAR_SMALLER = 8  # half of each side
_CHECKPOINT_ENDINGS = (".model", ".pth")
HEADS = ("seg_outputs.", "decoder.seg_layers.")


def load_start(network: torch.nn.Module, start: str, organs: Sequence[str] = ()) -> None:
    """Give `network` the weights of `start`, all but its heads, which keep their random values (methods.md 1.5).

    Args:
        network: of the same kind and size; strides may differ, weights do not depend on them. A STU-Net may have whole
            multiples of the start's widths, and begins by computing the same (`widened`).
        start: a model's name or path, or a `.model` / `.pth` file of STU-Net's authors.
        organs: if given, the heads are taken too, of background and these organs in this order; an organ that the
            start does not have keeps the random values of its row, and the log names it.

    Raises:
        ModelError: the file cannot be used, or its network is of another size.
        UsageError: the start has none of the organs.
    """
    weights, labels = _weights_of(start)
    own = network.state_dict()
    rows = _rows(labels, organs, start) if organs else {}
    taken, random, is_wider = {}, np.random.default_rng(0), False
    for name, tensor in own.items():
        source = weights.get(name)
        if name.startswith(HEADS) and (not rows or source is None):
            continue
        fitting = _fitting(tensor, source, rows if name.startswith(HEADS) else {}, random)
        if source is None or fitting is None:
            shape = "missing" if source is None else f"of shape {list(source.shape)}"
            raise ModelError(f"{start}: tensor '{name}' is {shape}, {list(tensor.shape)} is needed; same network size?")
        is_wider |= source.shape[1:2] != fitting.shape[1:2]
        taken[name] = torch.from_numpy(fitting)
    unused = [name for name in weights if name not in own and not name.startswith(HEADS)]
    if unused:
        raise ModelError(
            f"{start}: its network has '{unused[0]}', which this one lacks; same number of levels and blocks?"
        )
    if is_wider and not isinstance(network, STUNet):
        raise ModelError(f"{start}: its network is narrower, and only a STU-Net can begin from such a one")
    if is_wider:
        logger.info("%s is narrower: its channels are repeated", start)
    network.load_state_dict({**own, **taken})


def network_of(start: str) -> NetworkSpec:
    """The network of the package `start`, by name or path.

    Raises:
        ModelError: the package cannot be used.
        UsageError: `start` is empty or a checkpoint, which does not say what its network is.
    """
    if not start or Path(start).suffix in _CHECKPOINT_ENDINGS:
        raise UsageError(f"network '{SAME_AS_START}' needs a model package to start from, not '{start}'")
    return load_model(start).spec.network


def title_of(start: str) -> str:
    """What a package that began with `start` calls it: name and version, or the checkpoint's file name."""
    if not start:
        return "random weights"
    if Path(start).suffix in _CHECKPOINT_ENDINGS:
        return Path(start).name
    spec = load_model(start).spec
    return f"{spec.name} {spec.version}"


def content_of(start: str) -> str:
    """The hash of what `start` names now; empty for random weights."""
    if not start:
        return ""
    return hash_of(Path(start)) if Path(start).suffix in _CHECKPOINT_ENDINGS else load_model(start).fingerprint


def warn_of_other_images(start: str, preparation: PreparationSpec, patch: Sequence[int]) -> None:
    """Log a warning if `start` is a package whose weights have not seen such images: prepared otherwise, or far larger.

    Instance normalisation takes means over a feature map: in a patch of much fewer voxels these are others, so far that
    the shipped model finds nothing in 32 x 32 x 32 (patches of 64 x 64 x 64 lose it little).
    """
    if Path(start).suffix in _CHECKPOINT_ENDINGS:
        return
    spec = load_model(start).spec
    own = spec.preparation
    other = [f.name for f in fields(own) if getattr(own, f.name) != getattr(preparation, f.name)]
    if other:
        logger.warning("%s prepares images differently from this training (%s)", start, ", ".join(other))
    if math.prod(patch) * _FAR_SMALLER <= math.prod(spec.inference.patch):
        known, now = (" x ".join(map(str, sides)) for sides in (spec.inference.patch, patch))
        logger.warning("%s learnt from patches of %s voxels; in those of %s it may find nothing", start, known, now)


def licence_of(start: str) -> str:
    """Licence of the weights of `start`, for a package that began with them."""
    if Path(start).suffix in _CHECKPOINT_ENDINGS:
        return f"{Path(start).name}: as its authors say"
    return load_model(start).spec.weights_license


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


def _weights_of(start: str) -> tuple[Mapping[str, np.ndarray], LabelSet]:
    if Path(start).suffix in _CHECKPOINT_ENDINGS:
        return read_checkpoint(Path(start)), STUNET_105
    package = load_model(start)
    if package.spec.network.members > 1:
        raise ModelError(f"{start}: contains {package.spec.network.members} networks; start from a package of one")
    return package.weights, package.spec.labels


def _rows(labels: LabelSet, organs: Sequence[str], start: str) -> dict[int, int]:
    """Own row of a head -> the start's row, for background and the organs that the start has."""
    wanted = {value: structure_named(organ, value) for value, organ in enumerate(organs, start=1)}
    new = [organ.name for organ in wanted.values() if organ not in labels.organs]
    if len(new) == len(wanted):
        raise UsageError(f"{start} has none of: {', '.join(new)}; so its heads cannot be kept: omit keep_heads")
    if new:
        logger.info("%s has no %s: their heads begin at random", start, ", ".join(new))
    return {0: 0, **{row: labels.value_of(organ) for row, organ in wanted.items() if organ in labels.organs}}


def _fitting(
    own: torch.Tensor, source: np.ndarray | None, rows: Mapping[int, int], random: np.random.Generator
) -> np.ndarray | None:
    """`source` in the shape of `own`, of a head the `rows` alone; None where it does not fit."""
    if source is None:
        return None
    if not rows:
        return widened(np.asarray(source), own.shape, random)
    fitting = widened(np.asarray(source), (source.shape[0], *own.shape[1:]), random)
    if fitting is None:
        return None
    head = own.numpy(force=True).copy()
    head[list(rows)] = fitting[list(rows.values())]
    return head
