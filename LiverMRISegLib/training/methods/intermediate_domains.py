"""MiDSS (Ma et al. 2024) in 3D: labelled volumes of one domain, unlabelled ones of many, and mixtures between them.

A labelled patch takes on the style of an unlabelled one step by step (amplitude mixing), boxes are pasted both ways
(unified copy-paste), and the averaged teacher's labels count only where its views agree (symmetric guidance).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

import torch
import torch.nn.functional as F

from LiverMRISegLib.errors import UsageError
from LiverMRISegLib.io.dataclass_reader import Checked
from LiverMRISegLib.io.limits import Limits, Probability
from LiverMRISegLib.training.methods.amplitude_mixing import into_style
from LiverMRISegLib.training.methods.copy_paste import mix
from LiverMRISegLib.training.methods.method import Setup, StudentAndTeacher
from LiverMRISegLib.training.schedules import sigmoid_ramp

_PROPORTIONS = (0.3, 1 / 0.3)
# Boxes are drawn until one fits: of more than half of the volume hardly any does.
_BoxShare = Annotated[float, Limits(above=0, most=0.5)]


@dataclass(frozen=True)
class IntermediateDomainsConfig(Checked):
    """The numbers of the public code."""

    confidence: Probability = 0.95
    """Probability above which a pseudo label counts."""
    box: tuple[_BoxShare, _BoxShare] = (0.02, 0.4)
    """Least and largest share of the volume that is pasted, half of it at most."""
    frequencies: Annotated[float, Limits(above=0, most=0.5)] = 0.01
    """Share of the shortest side that is its lowest frequencies, whose amplitudes are mixed."""
    bug_compatible: bool = False
    """As in the public code, the mask does not apply to the Dice term of the background."""


class IntermediateDomains(StudentAndTeacher):
    """For streams "labelled" and "unlabelled" of the same size. Branches: "student" and "teacher".

    Args:
        network: gives the logits of one scale.
        domains: the method's own settings.
        setup: optimizer, device, what to score on.
    """

    def __init__(
        self,
        network: torch.nn.Module,
        domains: IntermediateDomainsConfig,
        setup: Setup,
    ) -> None:
        super().__init__(network, setup)
        self.domains = domains

    def losses(self, batch: Any, step: int) -> dict[str, torch.Tensor]:
        """L = L_sup + w (L_in + L_out + w L_sym), w a sigmoid ramp to 1."""
        generator = torch.Generator().manual_seed(batch["seed"])
        labelled, truth = self.to_device(batch["labelled"]["weak"]), self.to_device(batch["labelled"]["labels"]).long()
        weak, strong = (self.to_device(batch["unlabelled"][view]) for view in ("weak", "strong"))
        if len(weak) != len(labelled):
            raise UsageError("boxes are pasted both ways: labelled_batch and unlabelled_batch must be equal")
        boxes = torch.stack([unified_box(truth.shape[1:], self.domains.box, generator) for _ in truth])
        boxes = boxes.to(truth.device)
        guidance = self._guidance(labelled, weak, boxes)
        styled = self._styled(labelled, weak, step, generator)
        image_box = boxes[:, None]
        views = torch.cat([labelled, mix(styled, strong, image_box), mix(strong, styled, image_box), strong])
        supervised, inward, outward, direct = self.model(views).float().chunk(4)
        sure = guidance.sure
        terms = {
            "supervised": self._loss(supervised, truth, torch.ones_like(sure)),
            "inward": self._loss(inward, mix(truth, guidance.labels, boxes), mix(torch.ones_like(sure), sure, boxes)),
            "outward": self._loss(outward, mix(guidance.labels, truth, boxes), mix(sure, torch.ones_like(sure), boxes)),
            "symmetric": self._loss(direct, guidance.merged, guidance.agreed),
        }
        w = sigmoid_ramp(step, self.steps)
        loss = terms["supervised"] + w * (terms["inward"] + terms["outward"] + w * terms["symmetric"])
        return {"loss": loss, **terms}

    @torch.no_grad()
    def _guidance(self, labelled: torch.Tensor, weak: torch.Tensor, boxes: torch.Tensor) -> Guidance:
        image_box = boxes[:, None]
        views = torch.cat([weak, mix(weak, labelled, image_box), mix(labelled, weak, image_box)])
        with self.fabric.autocast():
            probabilities = self.teacher.model(views).float().softmax(1)
        alone, around, within = probabilities.chunk(3)
        return symmetric_guidance(alone, around, within, boxes, self.domains.confidence)

    def _styled(
        self, labelled: torch.Tensor, weak: torch.Tensor, step: int, generator: torch.Generator
    ) -> torch.Tensor:
        """The labelled patches in the style of the unlabelled, more and more of it as training goes on."""
        ratios = torch.rand(len(labelled), generator=generator) * (step / self.steps)
        pairs = zip(labelled.float(), weak.float(), ratios.tolist(), strict=True)
        return torch.stack([into_style(a, b, r, self.domains.frequencies) for a, b, r in pairs])

    def _loss(self, logits: torch.Tensor, labels: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        entropy = F.cross_entropy(logits, labels, reduction="none")
        dice = confident_dice(logits, labels, mask, bug_compatible=self.domains.bug_compatible)
        return (entropy * mask).mean() + dice


@dataclass(frozen=True)
class Guidance:
    """Of the unlabelled patches [B, Z, Y, X]: the teacher's labels and where they are `sure` (float 0 or 1), and the
    labels `merged` from the two mixtures and where all agree surely."""

    labels: torch.Tensor
    sure: torch.Tensor
    merged: torch.Tensor
    agreed: torch.Tensor


def symmetric_guidance(
    alone: torch.Tensor, around: torch.Tensor, within: torch.Tensor, boxes: torch.Tensor, confidence: float
) -> Guidance:
    """The teacher's labels from three views (SymGD).

    Args:
        alone: probabilities [B, C, Z, Y, X] of the unlabelled patch.
        around: of the unlabelled patch with the labelled one in the box.
        within: of the labelled patch with the unlabelled one in the box.
        boxes: [B, Z, Y, X], 1 outside the box and 0 inside.
        confidence: the least probability of a sure label.
    """
    best, labels = alone.max(1)
    sure = (best > confidence).float()
    (best_around, labels_around), (best_within, labels_within) = around.max(1), within.max(1)
    merged = mix(labels_around, labels_within, boxes)
    sure_merged = mix(best_around > confidence, best_within > confidence, boxes)
    agreed = sure_merged & (merged == labels) & (sure > 0)
    return Guidance(labels, sure, merged, agreed.float())


def unified_box(
    shape: torch.Size | tuple[int, ...], share: tuple[float, float], generator: torch.Generator
) -> torch.Tensor:
    """Ones [Z, Y, X] with zeros in a box of a random share of the volume and random proportions, inside the patch.

    As `obtain_cutmix_box` of the public code (Ma et al. 2024), with an axis more: the volume is drawn once; proportions
    to the last axis (uniform from 0.3 to 1 / 0.3) and the place are drawn until the box is inside.
    """
    low, high = _PROPORTIONS
    volume = share[0] + (share[1] - share[0]) * float(torch.rand(1, generator=generator))
    while True:
        *drawn, z, y, x = torch.rand(5, generator=generator).tolist()
        stretch = [*(low + (high - low) * d for d in drawn), 1.0]
        edge = (volume / (stretch[0] * stretch[1])) ** (1 / 3)
        size = [max(1, int(n * edge * s)) for n, s in zip(shape, stretch, strict=True)]
        starts = [int(n * place) for n, place in zip(shape, (z, y, x), strict=True)]
        if all(a + s <= n for a, s, n in zip(starts, size, shape, strict=True)):
            break
    box = torch.ones(*shape)
    box[tuple(slice(a, a + s) for a, s in zip(starts, size, strict=True))] = 0
    return box


def confident_dice(
    logits: torch.Tensor, labels: torch.Tensor, mask: torch.Tensor, *, bug_compatible: bool = False
) -> torch.Tensor:
    """Dice loss over the batch with squared denominators, only where `mask` [B, ...] is 1; mean over all classes.

    In the public code the background's mask is all ones by mistake; `bug_compatible` does so too.
    """
    scores = logits.float().softmax(1)
    truth = F.one_hot(labels.long(), logits.shape[1]).movedim(-1, 1).to(scores.dtype)
    masks = mask[:, None].to(scores.dtype).expand_as(scores)
    if bug_compatible:
        masks = torch.cat([torch.ones_like(masks[:, :1]), masks[:, 1:]], 1)
    axes = (0, *range(2, logits.dim()))
    common = (scores * truth * masks).sum(axes)
    total = ((scores**2 + truth**2) * masks).sum(axes)
    return 1 - ((2 * common + 1e-10) / (total + 1e-10)).mean()
