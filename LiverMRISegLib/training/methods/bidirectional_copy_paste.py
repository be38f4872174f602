"""Bidirectional copy-paste (BCP: Bai et al. 2023) in 3D, for any patch size and number of classes.

First the network learns from labelled volumes pasted into each other. Then a student learns from labelled pasted
into unlabelled volumes and the other way round; its averaged copy labels the unlabelled parts.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, Literal

import torch

from LiverMRISegLib.errors import UsageError
from LiverMRISegLib.io.dataclass_reader import Checked
from LiverMRISegLib.io.limits import Limits, NotNegative
from LiverMRISegLib.training.methods.copy_paste import box_mask, largest_components, mix, mixture_loss
from LiverMRISegLib.training.methods.method import Setup, StudentAndTeacher


@dataclass(frozen=True)
class CopyPasteConfig(Checked):
    """The method's own settings."""

    pretraining: Annotated[float, Limits(least=0, below=1)] = 0.12
    """Share of the steps on labelled volumes alone; the authors' 2,000 of 17,000 are 0.12."""
    unlabelled_weight: NotNegative = 0.5
    """Weight of the region that has pseudo labels."""
    same_place: bool = True
    """Whether patches that are pasted into each other are cut at the same part of their volumes. The authors' patches
    nearly fill their volumes; smaller ones of abdomens would show a box of liver amid the pelvis."""
    view: Literal["weak", "strong"] = "weak"
    """Which view of the patches the student sees; the authors only move them (weak). The teacher sees the weak view."""


class BidirectionalCopyPaste(StudentAndTeacher):
    """For streams "labelled" and "unlabelled" of the same even size. Branches: "student" and "teacher".

    Args:
        network: gives the logits of one scale.
        copy_paste: the method's own settings.
        setup: optimizer, device, what to score on.
    """

    def __init__(
        self,
        network: torch.nn.Module,
        copy_paste: CopyPasteConfig,
        setup: Setup,
    ) -> None:
        super().__init__(network, setup, decay=0.99, warm_up=0.0)
        self.copy_paste = copy_paste
        self.first_step = round(copy_paste.pretraining * self.steps)

    def after_step(self, step: int) -> None:
        """At the end of pre-training the teacher begins as the student; from then on it follows."""
        if step == self.first_step:
            self.teacher.copy_from(self.module)
        elif step > self.first_step:
            self.teacher.update(self.module, step)

    def state_dict(self) -> dict[str, Any]:
        """As `SegmentationMethod.state_dict`, and when pre-training ends: that stays when `loop.steps` is changed."""
        return {**super().state_dict(), "first_step": self.first_step}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take back what `state_dict` gave."""
        self.first_step = state.get("first_step", self.first_step)
        super().load_state_dict({key: value for key, value in state.items() if key != "first_step"})

    def losses(self, batch: Any, step: int) -> dict[str, torch.Tensor]:
        """The loss of two mixtures per two labelled (and two unlabelled) patches."""
        mask = box_mask(batch["labelled"]["labels"].shape[1:], torch.Generator().manual_seed(batch["seed"]))
        mask = mask.to(self.fabric.device)
        images = _halves(self.to_device(batch["labelled"][self.copy_paste.view]))
        labels = _halves(self.to_device(batch["labelled"]["labels"]).long())
        if step < self.first_step:
            return self._pretraining(images, labels, mask)
        unlabelled = batch["unlabelled"]
        if len(unlabelled["weak"]) != len(batch["labelled"]["labels"]):
            raise UsageError("copy-paste pairs patches: labelled_batch and unlabelled_batch must be equal")
        pseudo = _halves(self._pseudo_labels(self.to_device(unlabelled["weak"])))
        seen = _halves(self.to_device(unlabelled[self.copy_paste.view]))
        return self._self_training(images, labels, seen, pseudo, mask)

    @torch.no_grad()
    def _pseudo_labels(self, images: torch.Tensor) -> torch.Tensor:
        with self.fabric.autocast():
            return largest_components(self.teacher.model(images).argmax(1))

    def _pretraining(
        self,
        images: tuple[torch.Tensor, torch.Tensor],
        labels: tuple[torch.Tensor, torch.Tensor],
        mask: torch.Tensor,
    ) -> dict[str, torch.Tensor]:
        logits, mixed = self.model(mix(images[0], images[1], mask)), mix(labels[0], labels[1], mask)
        return {"loss": mixture_loss(logits, mixed, mixed, torch.ones_like(mask), (1.0, 0.0))}

    def _self_training(
        self,
        images: tuple[torch.Tensor, torch.Tensor],
        labels: tuple[torch.Tensor, torch.Tensor],
        unlabelled: tuple[torch.Tensor, torch.Tensor],
        pseudo: tuple[torch.Tensor, torch.Tensor],
        mask: torch.Tensor,
    ) -> dict[str, torch.Tensor]:
        mixed = torch.cat([mix(images[0], unlabelled[0], mask), mix(unlabelled[1], images[1], mask)])
        inward, outward = _halves(self.model(mixed))
        weight = self.copy_paste.unlabelled_weight
        first = mixture_loss(inward, labels[0], pseudo[0], mask, (1.0, weight))
        second = mixture_loss(outward, pseudo[1], labels[1], mask, (weight, 1.0))
        return {"loss": first + second, "inward": first, "outward": second}


def _halves(batch: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    if len(batch) % 2:
        raise UsageError(f"copy-paste pairs patches: a batch of {len(batch)} cannot be halved")
    return batch[: len(batch) // 2], batch[len(batch) // 2 :]
