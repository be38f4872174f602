"""Mean teacher (Tarvainen and Valpola 2017) and its uncertainty-aware form (Yu et al. 2019): paper 002's specialists.

L = L_s + w(t) L_c: the student is taught by labels, and held to what an averaged copy of it says of the same unlabelled
volume under noise. The uncertainty-aware form asks a teacher with dropout several times and counts what it is sure of
(Yu et al. 2019, eq. 3 and 4). Where unlabelled volumes come with pseudo labels, p(t) L_p is added (`pseudo_term`).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Annotated, Any

import torch

from LiverMRISegLib.io.dataclass_reader import Checked
from LiverMRISegLib.io.limits import Count, Limits, NotNegative
from LiverMRISegLib.training.losses import DeepSupervision, DiceCrossEntropy
from LiverMRISegLib.training.methods.dropout import add_dropout
from LiverMRISegLib.training.methods.method import Setup, StudentAndTeacher
from LiverMRISegLib.training.methods.pseudo_term import PseudoTerm, PseudoTermConfig
from LiverMRISegLib.training.schedules import sigmoid_ramp

_LARGEST_NOISE = 0.2


@dataclass(frozen=True)
class MeanTeacherConfig(Checked):
    """The numbers of SSL4MIS, which paper 002 takes over."""

    weight: NotNegative = 0.1
    """Weight of the consistency."""
    ramp_steps: Count = 30_000
    """Steps over which that weight rises (a sigmoid ramp)."""
    noise: NotNegative = 0.1
    """Standard deviation of the noise that is added to the teacher's images, cut at 0.2."""
    decay: Annotated[float, Limits(least=0, below=1)] = 0.99
    """Decay of the teacher's average."""
    passes: Annotated[int, Limits(0, 1000)] = 0
    """Noisy passes of the teacher from which its uncertainty is taken (UA-MT has 8); 0 is the plain mean teacher."""
    dropout: Annotated[float, Limits(least=0, below=1)] = 0.3
    """Dropout of student and teacher where there are such passes; SSL4MIS's 3D U-Net has 0.3."""
    pseudo: PseudoTermConfig = field(default_factory=PseudoTermConfig)
    """How pseudo labels count that come with the unlabelled volumes (paper 002)."""


class MeanTeacher(StudentAndTeacher):
    """For streams "labelled" and "unlabelled". Branches: "student" and "teacher".

    Args:
        network: gives the logits of all scales.
        settings: weights.
        setup: optimizer, device, what to score on.
    """

    def __init__(
        self,
        network: torch.nn.Module,
        settings: MeanTeacherConfig,
        setup: Setup,
    ) -> None:
        if settings.passes and settings.dropout:
            add_dropout(network, settings.dropout)
        super().__init__(network, setup, settings.decay)
        self.settings = settings
        self._loss = DeepSupervision(DiceCrossEntropy())
        self._pseudo = PseudoTerm(settings.pseudo, self.steps, self._loss)

    def losses(self, batch: Any, step: int) -> dict[str, torch.Tensor]:
        """The supervised loss of the labelled patches, consistency and pseudo labels of the unlabelled ones."""
        labelled, unlabelled = batch["labelled"], batch["unlabelled"]
        count = len(labelled["labels"])
        images = self.to_device(torch.cat([labelled["strong"], unlabelled["strong"]]))
        outputs = self.model(images)
        supervised = 0.5 * self._loss([scale[:count] for scale in outputs], self.to_device(labelled["labels"]))
        consistency = self._consistency(outputs[0][count:], images[count:], int(batch["seed"]), step)
        ramp = sigmoid_ramp(min(step, self.settings.ramp_steps), self.settings.ramp_steps)
        pseudo = self._pseudo([scale[count:] for scale in outputs], unlabelled, step)
        loss = supervised + self.settings.weight * ramp * consistency + pseudo
        return {"loss": loss, "supervised": supervised, "consistency": consistency, "pseudo": pseudo}

    def _consistency(self, logits: torch.Tensor, images: torch.Tensor, seed: int, step: int) -> torch.Tensor:
        generator = torch.Generator().manual_seed(seed)
        said = [self._noisy_teacher(images, generator) for _ in range(1 + self.settings.passes)]
        squares = (logits.float().softmax(1) - said[0]) ** 2
        if not self.settings.passes:
            return squares.mean()
        share = 0.75 + 0.25 * sigmoid_ramp(step, self.steps)
        return certain_mean(squares, entropy(torch.stack(said[1:]).mean(0)), share)

    @torch.no_grad()
    def _noisy_teacher(self, images: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        """The teacher's probabilities [B, C, Z, Y, X] of images under noise."""
        self.teacher.model.train()  # validation leaves it without its dropout
        noise = torch.randn(images.shape, generator=generator).to(images) * self.settings.noise
        with self.fabric.autocast():
            outputs = self.teacher.model(images + noise.clamp(-_LARGEST_NOISE, _LARGEST_NOISE))
        probabilities: torch.Tensor = outputs[0].float().softmax(1)
        return probabilities


def entropy(probabilities: torch.Tensor) -> torch.Tensor:
    """-sum p ln p over the classes: [B, C, ...] to [B, ...]; ln C where all are equal."""
    return -(probabilities * probabilities.clamp_min(1e-6).log()).sum(1)


def certain_mean(squares: torch.Tensor, uncertainty: torch.Tensor, share: float) -> torch.Tensor:
    """Mean of `squares` [B, C, ...] over voxels whose `uncertainty` [B, ...] is below `share` of its maximum ln C."""
    classes = squares.shape[1]
    mask = (uncertainty < share * math.log(classes)).float()
    return (squares * mask[:, None]).sum() / (classes * mask.sum() + 1e-16)
