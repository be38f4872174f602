"""Dual-task consistency (Luo et al. 2021, DTC): one of paper 002's specialists.

A second head says how far each voxel is from the border of each organ. L = L_s + beta L_d + w(t) L_c: the masks that
the distances make and the probabilities must agree, on labelled and unlabelled volumes. Where unlabelled ones come with
pseudo labels, p(t) L_p is added (`pseudo_term`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from LiverMRISegLib.anatomy import IGNORE
from LiverMRISegLib.errors import UsageError
from LiverMRISegLib.io.dataclass_reader import Checked
from LiverMRISegLib.io.limits import Count, NotNegative
from LiverMRISegLib.training.losses import DeepSupervision, DiceCrossEntropy
from LiverMRISegLib.training.methods.method import SegmentationMethod, Setup
from LiverMRISegLib.training.methods.pseudo_term import PseudoTerm, PseudoTermConfig
from LiverMRISegLib.training.schedules import sigmoid_ramp

_HEADS = ("seg_outputs", "_network.decoder.seg_layers")  # the finest last: of STU-Net and of nnU-Net's networks
_STEEPNESS = 1500.0  # the authors' k: a distance of 0.003 is a mask of 0.01
_SMOOTH = 1e-5


@dataclass(frozen=True)
class DualTaskConfig(Checked):
    """The numbers of the authors' code (HiLab-git/DTC)."""

    supervised: NotNegative = 1.0
    """Weight of the labels' loss."""
    distance: NotNegative = 0.3
    """Weight of the squared error of the distances (beta), on labelled patches."""
    mask: NotNegative = 0.0
    """Weight of the Dice loss of the masks that the distances make, on labelled patches; SemiSAM-O1 (paper 002) has it
    instead of the distances' error."""
    weight: NotNegative = 1.0
    """Weight of the consistency of both tasks."""
    ramp_steps: Count = 6_000
    """Steps over which that weight rises (a sigmoid ramp)."""
    pseudo: PseudoTermConfig = field(default_factory=PseudoTermConfig)
    """How pseudo labels count that come with the unlabelled volumes (paper 002)."""


class WithDistances(torch.nn.Module):
    """A network, and a head that says distances in -1 to 1 [B, organs, Z, Y, X] from its finest features.

    Raises:
        UsageError: the network is neither a STU-Net nor one of nnU-Net's.
    """

    def __init__(self, network: torch.nn.Module) -> None:
        super().__init__()
        self.network = network
        finest = _finest_head(network)
        self.head = torch.nn.Conv3d(finest.in_channels, finest.out_channels - 1, 1)
        self._features = torch.empty(0)
        finest.register_forward_pre_hook(self._keep)

    def _keep(self, module: torch.nn.Module, inputs: tuple[torch.Tensor, ...]) -> None:
        self._features = inputs[0]

    def forward(self, images: torch.Tensor) -> tuple[Any, torch.Tensor]:
        """The logits of all scales, and the distances, of images [B, 1, Z, Y, X]."""
        outputs = self.network(images)
        return outputs, torch.tanh(self.head(self._features))


class DualTask(SegmentationMethod):
    """For streams "labelled" and "unlabelled". Branch: "network", without the second head.

    Args:
        network: gives the logits of all scales.
        settings: weights.
        setup: optimizer, device, what to score on.
    """

    def __init__(self, network: torch.nn.Module, settings: DualTaskConfig, setup: Setup) -> None:
        super().__init__(WithDistances(network), setup)
        self.settings = settings
        self._loss = DeepSupervision(DiceCrossEntropy())
        self._pseudo = PseudoTerm(settings.pseudo, self.steps, self._loss)

    @property
    def branches(self) -> Mapping[str, torch.nn.Module]:
        """As `SegmentationMethod.branches`."""
        return {"network": self.module.get_submodule("network")}

    def losses(self, batch: Any, step: int) -> dict[str, torch.Tensor]:
        """The labels' losses of both heads, the consistency of all patches, and pseudo labels."""
        labelled, unlabelled = batch["labelled"], batch["unlabelled"]
        labels, settings = self.to_device(labelled["labels"]), self.settings
        count = len(labels)
        outputs, distances = self.model(self.to_device(torch.cat([labelled["strong"], unlabelled["strong"]])))
        masks = torch.sigmoid(-_STEEPNESS * distances.float())
        terms = {
            "supervised": settings.supervised * self._loss([scale[:count] for scale in outputs], labels),
            "distance": distance_loss(distances[:count].float(), labels) if settings.distance else masks.sum() * 0,
            "mask": mask_loss(masks[:count], labels) if settings.mask else masks.sum() * 0,
            "consistency": ((masks - outputs[0].float().softmax(1)[:, 1:]) ** 2).mean(),
            "pseudo": self._pseudo([scale[count:] for scale in outputs], unlabelled, step),
        }
        ramp = sigmoid_ramp(min(step, settings.ramp_steps), settings.ramp_steps)
        loss = terms["supervised"] + settings.distance * terms["distance"] + settings.mask * terms["mask"]
        return {"loss": loss + settings.weight * ramp * terms["consistency"] + terms["pseudo"], **terms}

    def state_dict(self) -> dict[str, Any]:
        """As `SegmentationMethod.state_dict`, and the second head."""
        return {**super().state_dict(), "head": self.module.get_submodule("head").state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take back what `state_dict` gave."""
        super().load_state_dict(state)
        self.module.get_submodule("head").load_state_dict(state["head"])


def signed_distances(labels: np.ndarray, organs: int) -> np.ndarray:
    """Of label maps [B, Z, Y, X] float32 [B, organs, Z, Y, X]: -1 deepest inside, 0 on its outermost voxels, 1 far.

    In voxels, both sides scaled by their largest distance. Of an organ that a patch lacks all is 1 (the authors' code
    has 0, which is the border); of one that fills it -1.
    """
    from scipy.ndimage import distance_transform_edt

    found = np.ones((len(labels), organs, *labels.shape[1:]), np.float32)
    for number, labelmap in enumerate(labels):
        for organ in range(organs):
            inside = labelmap == organ + 1
            if inside.all():
                found[number, organ] = -1
            elif inside.any():
                outer, inner = distance_transform_edt(~inside), distance_transform_edt(inside)
                found[number, organ] = np.where(inner == 1, 0, outer / outer.max() - inner / inner.max())
    return found


def distance_loss(distances: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """The mean squared error of `distances` [B, organs, Z, Y, X] where `labels` [B, Z, Y, X] are known."""
    truth = torch.from_numpy(signed_distances(labels.cpu().numpy(), distances.shape[1])).to(distances)
    known = (labels != IGNORE)[:, None].expand_as(distances)
    return ((distances - truth) ** 2)[known].sum() / known.sum().clamp_min(1)


def mask_loss(masks: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """1 - Dice of `masks` [B, organs, Z, Y, X], each organ over all patches, where `labels` [B, Z, Y, X] are known."""
    known = labels != IGNORE
    losses = []
    for organ in range(masks.shape[1]):
        found, truth = masks[:, organ][known], (labels == organ + 1)[known].float()
        both = 2 * (found * truth).sum() + _SMOOTH
        losses.append(1 - both / ((found**2).sum() + truth.sum() + _SMOOTH))
    return torch.stack(losses).mean()


def _finest_head(network: torch.nn.Module) -> torch.nn.Conv3d:
    for path in _HEADS:
        try:
            heads = network.get_submodule(path)
        except AttributeError:
            continue
        finest: torch.nn.Conv3d = heads[-1]  # type: ignore[index]
        return finest
    raise UsageError("dual-task consistency is for STU-Nets and nnU-Net's networks; choose another network")
