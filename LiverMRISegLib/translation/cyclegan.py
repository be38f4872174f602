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
from LiverMRISegLib.translation.joint_segmenter import JointSegmenter
from LiverMRISegLib.translation.organ_attention import FrozenAttention, Fusion, organ_preservation

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
    identity_of: Literal["own domain", "translations"] = "own domain"
    """own domain: a generator leaves slices of the domain that it makes as they are (the original). translations: they
    stay near what was translated, abs(G_t(x_s) - x_s) + abs(G_s(x_t) - x_t), as paper 004 writes it (eq. 3)."""
    local: NotNegative = 0.0
    """Weight of the critic that sees translations with the organs' attention added (paper 003, eq. 7); 0 omits it."""
    attend: Literal["fake", "both", "joint"] = "fake"
    """fake: attention of the CT is added to translations alone, as the equation says; the generator learns to remove it
    again and paints organs black. both (ours): to real slices too. joint (the authors' public code): the segmenter is
    trained beside the generators on their translations, and attends to these and to real slices."""
    fusion: Fusion = "add"
    """How the critic sees attention: added (eq. 6), multiplied, or as a second channel (the authors' public code)."""
    segmentation: NotNegative = 0.0
    """Weight of the segmenter's loss on translations, which flows back into the generator; needs attend: joint. The
    authors' public code has 5."""
    pool: Annotated[int, Limits(0, 100_000)] = 50
    """Earlier translations that the critics are shown again."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.segmentation and self.attend != "joint":
            raise UsageError(
                f"gan.segmentation needs gan.attend joint, not '{self.attend}': only that segmenter learns"
            )


def new_critic(width: int = 64, channels: int = 1) -> torch.nn.Module:
    """The 70 x 70 PatchGAN; of width 64 it has 2,762,689 parameters for one channel."""
    critic = PatchDiscriminator(2, width, in_channels=channels, num_layers_d=3, norm=("INSTANCE", {}), bias=True)
    critic.apply(small_weights)
    return critic


class CycleGan:
    """The method of `loop.Method` for batches with "source" and "target" slices ("image" float32 [B, 1, Y, X]).

    Args:
        config: weights and widths.
        fabric: device and precision.
        shown: source slices [N, 1, Y, X] whose translations go to TensorBoard.
        segmenter: gives logits [B, C, Y, X]; needed where `config.local` or `config.segmentation` is not 0. Of source
            slices and frozen, or, with `attend` "joint", of translations and trained here; then source batches need
            "labels" [B, Y, X].
        shown_labels: those of `shown`, [N, Y, X], for a joint segmenter.
    """

    def __init__(
        self,
        config: CycleGanConfig,
        fabric: Fabric,
        shown: torch.Tensor | None = None,
        segmenter: torch.nn.Module | None = None,
        shown_labels: torch.Tensor | None = None,
    ) -> None:
        if (config.local or config.segmentation) and segmenter is None:
            raise UsageError("organ attention needs a segmenter of the source slices; train one, or set local to 0")
        self.config, self.fabric, self.shown, self.shown_labels = config, fabric, shown, shown_labels
        names = ("to_target", "to_source")
        self.generators = torch.nn.ModuleDict({n: ResnetGenerator(1, config.width, config.blocks) for n in names})
        critics = ("target", "source", "local") if config.local else ("target", "source")
        channels = {"local": 2 if config.fusion == "concatenate" else 1}
        self.critics = torch.nn.ModuleDict({n: new_critic(config.critic_width, channels.get(n, 1)) for n in critics})
        self.segmenter = segmenter.to(fabric.device).eval().requires_grad_(False) if segmenter else None
        self.joint: JointSegmenter | None = None
        self.frozen: FrozenAttention | None = None
        if self.segmenter is not None and config.attend == "joint":
            self.joint = JointSegmenter(self.segmenter, _adam(self.segmenter), fabric, config.fusion)
        elif self.segmenter is not None:
            self.frozen = FrozenAttention(self.segmenter, config.fusion, on_real=config.attend == "both")
        self.model, self.optimizer = fabric.setup(_Translators(self.generators), _adam(self.generators))
        self.judges, self.critic_optimizer = fabric.setup(_Critics(self.critics), _adam(self.critics))
        self.pools = {name: ImagePool(config.pool) for name in critics}
        self._adversarial = PatchAdversarialLoss(
            criterion=_CRITERIA[config.adversarial], no_activation_leastsq=True, reduction="mean"
        )
        self._last: dict[str, tuple[torch.Tensor, torch.Tensor]] = {}
        self._labelled: tuple[torch.Tensor, torch.Tensor] | None = None
        self._seed = 0

    def losses(self, batch: Any, step: int) -> dict[str, torch.Tensor]:
        """The generators' losses; what the critics will judge is kept for `after_step`."""
        source, target = (batch[domain]["image"].to(self.fabric.device) for domain in ("source", "target"))
        self._seed = int(batch["seed"])
        self.critics.requires_grad_(False)
        made = self.model(source, target, with_identity=self._has_own_identity)
        terms = {
            "adversarial": self._fooled("target", made["fake_target"]) + self._fooled("source", made["fake_source"]),
            "cycle": F.l1_loss(made["cycled_source"], source) + F.l1_loss(made["cycled_target"], target),
        }
        self._last = {"target": (target, made["fake_target"]), "source": (source, made["fake_source"])}
        loss = terms["adversarial"] + self.config.cycle * terms["cycle"]
        if self.config.identity:
            same = ("same_source", "same_target") if self._has_own_identity else ("fake_target", "fake_source")
            terms["identity"] = F.l1_loss(made[same[0]], source) + F.l1_loss(made[same[1]], target)
            loss = loss + self.config.identity * terms["identity"]
        if self.config.local:
            terms["local"] = self._local(source, target, made)
            loss = loss + self.config.local * terms["local"]
        if self.joint is not None:
            labels = batch["source"]["labels"].to(self.fabric.device)
            self._labelled = (source, labels)
            if self.config.segmentation:
                terms["segmentation"] = self.joint.loss(made["fake_target"], labels)
                loss = loss + self.config.segmentation * terms["segmentation"]
        return {"loss": loss, **terms}

    @property
    def _has_own_identity(self) -> bool:
        return self.config.identity > 0 and self.config.identity_of == "own domain"

    def _local(self, source: torch.Tensor, target: torch.Tensor, made: dict[str, torch.Tensor]) -> torch.Tensor:
        """How far the local critic is from taking the attended translation for real; what it will judge is kept."""
        fake = made["fake_target"]
        if self.joint is not None:
            self._last["local"] = (target, fake)  # attended when they are judged, by the segmenter as it is then
            return self._fooled("local", self.joint.attended(fake))
        if self.frozen is None:
            return torch.zeros((), device=fake.device)
        self._last["local"] = self.frozen.pair(source, target, fake, made["fake_source"])
        return self._fooled("local", self._last["local"][1])

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
        if self.joint is not None and "local" in shown:
            with torch.no_grad():
                real, fake = (self.joint.attended(slices) for slices in shown["local"])
            shown["local"] = (real, fake)
        for pair in self.judges(shown).values():
            for judged, is_real in zip(pair, (True, False), strict=True):
                total = total + 0.5 * self._adversarial(judged, target_is_real=is_real, for_discriminator=True)
        self.fabric.backward(total)
        self.critic_optimizer.step()
        self._teach_segmenter()

    def _teach_segmenter(self) -> None:
        """A joint segmenter's step, on translations by the generators as they are now."""
        if self.joint is None or self._labelled is None:
            return
        source, labels = self._labelled
        with torch.no_grad(), self.fabric.autocast():
            fake = self.generators["to_target"](source)
        self.joint.learn(fake.float(), labels, self.optimizer.param_groups[0]["lr"])

    @torch.no_grad()
    def validate(self, writer: SummaryWriter, step: int) -> dict[str, float]:
        """Pictures of source, translation, and back again; with a segmenter, how far its organs survived that.

        A joint segmenter knows translations: its organs there are compared with the labels.
        """
        scores = {}
        if self.shown is not None:
            slices = self.shown.to(self.fabric.device)
            fake = self.generators["to_target"](slices)
            back = self.generators["to_source"](fake)
            if self.joint is not None and self.shown_labels is not None:
                truth = self.shown_labels.to(self.fabric.device)
                scores["organ preservation"] = organ_preservation(self.joint.network, fake, truth)
            elif self.segmenter is not None:
                before = self.segmenter(slices).argmax(1)
                scores["organ preservation"] = organ_preservation(self.segmenter, back, before)
            rows = torch.cat([slices, fake, back], dim=3).cpu().float()
            for number, row in enumerate(rows):
                writer.add_image(f"translation/{number}", np.clip((row.numpy() + 1) / 2, 0, 1), step)
        return scores

    def state_dict(self) -> dict[str, Any]:
        """Generators, critics, their optimizers and pools; of several processes the pools of the one that asks."""
        return {
            **({"joint": self.joint.state_dict()} if self.joint is not None else {}),
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
        if self.joint is not None:
            self.joint.load_state_dict(state["joint"])
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
