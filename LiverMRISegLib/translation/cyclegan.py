"""CycleGAN (Zhu et al. 2017) between CT and MR slices, with organ attention (paper 003) or in anatomy space (004).

The loop's optimizer changes the two generators; the critics take their own step after each of its steps.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, Literal

import numpy as np
import torch
import torch.nn.functional as F
from lightning_fabric import Fabric
from monai.losses import PatchAdversarialLoss
from monai.networks.nets import PatchDiscriminator
from torch.utils.tensorboard import SummaryWriter

from LiverMRISegLib.errors import UsageError
from LiverMRISegLib.io.dataclass_reader import Checked
from LiverMRISegLib.io.limits import Limits, NotNegative
from LiverMRISegLib.networks.resnet_generator import ResnetGenerator, small_weights
from LiverMRISegLib.translation.image_pool import ImagePool
from LiverMRISegLib.translation.organ_attention import foreground_attention, organ_preservation

_CRITERIA = {"least squares": "least_squares", "log": "bce"}


@dataclass(frozen=True)
class CycleGanConfig(Checked):
    """The original's numbers; the papers' texts give few."""

    width: Annotated[int, Limits(1, 1024)] = 64
    """Channels of the generators' first layer."""
    blocks: Annotated[int, Limits(1, 100)] = 9
    """Residual blocks of the generators."""
    critic_width: Annotated[int, Limits(1, 1024)] = 64
    """Channels of the critics' first layer."""
    adversarial: Literal["least squares", "log"] = "least squares"
    """Adversarial loss: least squares (the original's code) or log (as paper 003 writes it)."""
    cycle: NotNegative = 10.0
    """Weight of the cycle's term."""
    identity: NotNegative = 0.0
    """Weight of the identity term; 0 omits it (paper 003), 5 is the original's, and ours for paper 004."""
    local: NotNegative = 0.0
    """Weight of the critic that sees translations with the organs' attention added (paper 003, eq. 7); 0 omits it."""
    attend: Literal["fake", "both"] = "fake"
    """fake: attention is added to translations alone, as the equation says. both (ours): to real slices too. With fake,
    the generator learns to remove the attention again and paints organs black."""
    pool: Annotated[int, Limits(0, 100_000)] = 50
    """Earlier translations that the critics are shown again."""


def new_critic(width: int = 64) -> torch.nn.Module:
    """The 70 x 70 PatchGAN; of width 64 it has 2,762,689 parameters for one channel."""
    critic = PatchDiscriminator(2, width, in_channels=1, num_layers_d=3, norm=("INSTANCE", {}), bias=True)
    critic.apply(small_weights)
    return critic


class CycleGan:
    """The method of `loop.Method` for batches with "source" and "target" slices ("image" float32 [B, 1, Y, X]).

    Args:
        config: weights and widths.
        fabric: device and precision.
        shown: source slices [N, 1, Y, X] whose translations go to TensorBoard.
        segmenter: gives logits [B, C, Y, X] of source slices; needed where `config.local` is not 0, and frozen.
    """

    def __init__(
        self,
        config: CycleGanConfig,
        fabric: Fabric,
        shown: torch.Tensor | None = None,
        segmenter: torch.nn.Module | None = None,
    ) -> None:
        if config.local and segmenter is None:
            raise UsageError("organ attention needs a segmenter of the source slices; train one, or set local to 0")
        self.config, self.fabric, self.shown = config, fabric, shown
        names = ("to_target", "to_source")
        self.generators = torch.nn.ModuleDict({n: ResnetGenerator(1, config.width, config.blocks) for n in names})
        critics = ("target", "source", "local") if config.local else ("target", "source")
        self.critics = torch.nn.ModuleDict({n: new_critic(config.critic_width) for n in critics})
        self.segmenter = segmenter.to(fabric.device).eval().requires_grad_(False) if segmenter else None
        self.model, self.optimizer = fabric.setup(_Translators(self.generators), _adam(self.generators))
        self.judges, self.critic_optimizer = fabric.setup(_Critics(self.critics), _adam(self.critics))
        self.pools = {name: ImagePool(config.pool) for name in critics}
        self._adversarial = PatchAdversarialLoss(
            criterion=_CRITERIA[config.adversarial], no_activation_leastsq=True, reduction="mean"
        )
        self._last: dict[str, tuple[torch.Tensor, torch.Tensor]] = {}
        self._seed = 0

    def losses(self, batch: Any, step: int) -> dict[str, torch.Tensor]:
        """The generators' losses; what the critics will judge is kept for `after_step`."""
        source, target = (batch[domain]["image"].to(self.fabric.device) for domain in ("source", "target"))
        self._seed = int(batch["seed"])
        self.critics.requires_grad_(False)
        made = self.model(source, target, with_identity=self.config.identity > 0)
        terms = {
            "adversarial": self._fooled("target", made["fake_target"]) + self._fooled("source", made["fake_source"]),
            "cycle": F.l1_loss(made["cycled_source"], source) + F.l1_loss(made["cycled_target"], target),
        }
        self._last = {"target": (target, made["fake_target"]), "source": (source, made["fake_source"])}
        loss = terms["adversarial"] + self.config.cycle * terms["cycle"]
        if self.config.identity:
            terms["identity"] = F.l1_loss(made["same_source"], source) + F.l1_loss(made["same_target"], target)
            loss = loss + self.config.identity * terms["identity"]
        if self.segmenter is not None and self.config.local:
            attended = made["fake_target"] + foreground_attention(self.segmenter, source)
            terms["local"] = self._fooled("local", attended)
            real = target
            if self.config.attend == "both":
                real = target + foreground_attention(self.segmenter, made["fake_source"].detach())
            self._last["local"] = (real, attended)
            loss = loss + self.config.local * terms["local"]
        return {"loss": loss, **terms}

    def _fooled(self, name: str, fake: torch.Tensor) -> torch.Tensor:
        """How far the critic is from taking the translation for real."""
        with self.fabric.autocast():  # their weights stay, so there is nothing for the processes to exchange
            judged = self.critics[name](fake)[-1].float()
        loss: torch.Tensor = self._adversarial(judged, target_is_real=True, for_discriminator=False)
        return loss

    def after_step(self, step: int) -> None:
        """The critics' own step, at the generators' learning rate: half of real plus half of (pooled) translations."""
        self.critics.requires_grad_(True)
        for mine, theirs in zip(self.critic_optimizer.param_groups, self.optimizer.param_groups, strict=True):
            mine["lr"] = theirs["lr"]
        generator = torch.Generator().manual_seed(self._seed)
        self.critic_optimizer.zero_grad(set_to_none=True)
        total = torch.zeros((), device=self.fabric.device)
        shown = {name: (real, self.pools[name].exchange(fake, generator)) for name, (real, fake) in self._last.items()}
        for pair in self.judges(shown).values():
            for judged, is_real in zip(pair, (True, False), strict=True):
                total = total + 0.5 * self._adversarial(judged, target_is_real=is_real, for_discriminator=True)
        self.fabric.backward(total)
        self.critic_optimizer.step()

    @torch.no_grad()
    def validate(self, writer: SummaryWriter, step: int) -> dict[str, float]:
        """Pictures of source, translation, and back again; with a segmenter, how far its organs survived that."""
        scores = {}
        if self.shown is not None:
            slices = self.shown.to(self.fabric.device)
            fake = self.generators["to_target"](slices)
            back = self.generators["to_source"](fake)
            if self.segmenter is not None:
                before = self.segmenter(slices).argmax(1)
                scores["organ preservation"] = organ_preservation(self.segmenter, back, before)
            rows = torch.cat([slices, fake, back], dim=3).cpu().float()
            for number, row in enumerate(rows):
                writer.add_image(f"translation/{number}", np.clip((row.numpy() + 1) / 2, 0, 1), step)
        return scores

    def state_dict(self) -> dict[str, Any]:
        """Generators, critics, their optimizers and pools."""
        return {
            "networks": {name: network.state_dict() for name, network in self.generators.items()},
            "critics": self.critics.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "critic_optimizer": self.critic_optimizer.state_dict(),
            "pools": {name: [kept.cpu() for kept in pool.kept] for name, pool in self.pools.items()},
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take back what `state_dict` gave."""
        for name, network in self.generators.items():
            network.load_state_dict(state["networks"][name])
        self.critics.load_state_dict(state["critics"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.critic_optimizer.load_state_dict(state["critic_optimizer"])
        for name, kept in state["pools"].items():
            self.pools[name].kept = [slices.to(self.fabric.device) for slices in kept]


class _Translators(torch.nn.Module):
    """Both generators as one module: all translations that the losses need."""

    def __init__(self, generators: torch.nn.ModuleDict) -> None:
        super().__init__()
        self.generators = generators

    def forward(self, source: torch.Tensor, target: torch.Tensor, *, with_identity: bool) -> dict[str, torch.Tensor]:
        """Translations, and what comes back; with identity, slices through the generator into their own domain."""
        to_target, to_source = self.generators["to_target"], self.generators["to_source"]
        made = {"fake_target": to_target(source), "fake_source": to_source(target)}
        made["cycled_source"] = to_source(made["fake_target"])
        made["cycled_target"] = to_target(made["fake_source"])
        if with_identity:
            made |= {"same_source": to_source(source), "same_target": to_target(target)}
        return made


class _Critics(torch.nn.Module):
    """All critics as one module, and all they judge in one call: several processes exchange gradients once a call."""

    def __init__(self, critics: torch.nn.ModuleDict) -> None:
        super().__init__()
        self.critics = critics

    def forward(
        self, shown: dict[str, tuple[torch.Tensor, torch.Tensor]]
    ) -> dict[str, tuple[torch.Tensor, torch.Tensor]]:
        """Patch scores [B, 1, y, x] of real and translated slices, by the name of their critic."""
        return {n: (self.critics[n](real)[-1], self.critics[n](fake)[-1]) for n, (real, fake) in shown.items()}


def _adam(module: torch.nn.Module) -> torch.optim.Optimizer:
    """The loop sets the learning rate at every step."""
    return torch.optim.Adam(module.parameters(), betas=(0.5, 0.999))
