"""CycleGAN: sizes of the papers, known losses of known generators, pool, exact resume, and a translation learnt."""

import sys
from pathlib import Path

import pytest
import torch
from lightning_fabric import Fabric

from helpers.places import ROOT
from helpers.tiny_data import on_two_processes
from LiverMRISegLib.errors import UsageError
from LiverMRISegLib.networks.resnet_generator import ResnetGenerator
from LiverMRISegLib.training import loop
from LiverMRISegLib.training.loop import LoopConfig
from LiverMRISegLib.translation.cyclegan import CycleGan, CycleGanConfig, new_critic
from LiverMRISegLib.translation.image_pool import ImagePool
from LiverMRISegLib.translation.organ_attention import foreground_attention, organ_preservation

TINY = {"width": 4, "blocks": 1, "critic_width": 4}


def parameters(module) -> int:
    return sum(p.numel() for p in module.parameters())


def test_sizes_are_the_originals():
    assert parameters(ResnetGenerator()) == 11_365_633
    critic = new_critic()
    assert parameters(critic) == 2_762_689
    assert critic(torch.zeros(1, 1, 256, 256))[-1].shape == (1, 1, 30, 30)
    assert ResnetGenerator(width=4, blocks=2)(torch.zeros(1, 1, 64, 48)).shape == (1, 1, 64, 48)


def batch(seed: int = 0, size: int = 32):
    torch.manual_seed(seed)
    return {
        "seed": seed,
        "source": {"image": torch.rand(2, 1, size, size) * 2 - 1},
        "target": {"image": torch.rand(2, 1, size, size) * 2 - 1},
    }


def made(segmenter=None, **changes) -> CycleGan:
    torch.manual_seed(0)
    return CycleGan(CycleGanConfig(**{**TINY, **changes}), Fabric(accelerator="cpu"), segmenter=segmenter)


def test_generators_that_change_nothing_cost_nothing():
    gan = made(identity=5.0)
    for name in gan.generators:
        gan.generators[name].body = torch.nn.Identity()
    terms = gan.losses(batch(), 0)
    assert terms["cycle"].item() == terms["identity"].item() == 0
    assert terms["loss"].item() == pytest.approx(terms["adversarial"].item())


def test_the_weights_of_the_terms():
    gan = made(identity=5.0, cycle=3.0)
    terms = gan.losses(batch(), 0)
    expected = terms["adversarial"] + 3 * terms["cycle"] + 5 * terms["identity"]
    assert terms["loss"].item() == pytest.approx(expected.item(), rel=1e-5)
    assert "identity" not in made().losses(batch(), 0)


class Background(torch.nn.Module):
    """A segmenter that is sure of background everywhere."""

    def forward(self, x):
        return torch.cat([torch.full_like(x, 40.0), torch.full_like(x, -40.0)], 1)


class Everything(torch.nn.Module):
    """A segmenter that is sure of an organ everywhere."""

    def forward(self, x):
        return torch.cat([torch.full_like(x, -40.0), torch.full_like(x, 40.0)], 1)


def test_real_slices_get_attention_only_if_asked_for():
    for attend in ("fake", "both"):
        gan = made(Everything(), local=1.0, attend=attend)
        gan.losses(batch(), 0)
        real, fake = gan._last["local"]
        assert torch.allclose(fake, gan._last["target"][1] + 1, atol=1e-4)
        assert torch.allclose(real, gan._last["target"][0] + (attend == "both"), atol=1e-4)
    with pytest.raises(UsageError, match="attend must be one of fake, both"):
        CycleGanConfig(attend="real")


def test_without_organs_the_local_critic_sees_the_translation_itself():
    gan = made(Background(), local=1.0)
    gan.losses(batch(), 0)
    assert torch.allclose(gan._last["local"][1], gan._last["target"][1])
    with pytest.raises(UsageError, match="needs a segmenter"):
        made(local=1.0)


def test_attention_is_one_minus_background():
    logits = torch.tensor([2.0, 0.0, 1.0]).view(1, 3, 1, 1)
    attention = foreground_attention(lambda x: logits, torch.zeros(1, 1, 1, 1))
    assert attention.item() == pytest.approx(1 - torch.softmax(logits, 1)[0, 0].item())


def test_organ_preservation_is_dice_of_what_is_there():
    labels = torch.tensor([[[1, 1, 0, 2]]])
    logits = torch.nn.functional.one_hot(torch.tensor([[[1, 0, 0, 2]]]), 4).movedim(-1, 1).float()
    assert organ_preservation(lambda x: logits, torch.zeros(1, 1, 1, 4), labels) == pytest.approx((2 / 3 + 1) / 2)


def test_the_critics_learn_in_their_own_step_alone():
    gan = made()
    before = {n: p.clone() for n, p in gan.critics.named_parameters()}
    generators = {n: p.clone() for n, p in gan.generators.named_parameters()}
    gan.losses(batch(), 0)["loss"].backward()
    assert all(p.grad is None for p in gan.critics.parameters())
    gan.after_step(1)
    assert all(torch.equal(p, generators[n]) for n, p in gan.generators.named_parameters())
    assert any(not torch.equal(p, before[n]) for n, p in gan.critics.named_parameters())


_ON_TWO_PROCESSES = """
import sys
import torch
sys.path[:0] = sys.argv[1:]
from LiverMRISegLib.translation.cyclegan import CycleGan, CycleGanConfig
from LiverMRISegLib.training import loop
from LiverMRISegLib.training.fabric import make_fabric
from test_cyclegan import batch
def main():
    fabric = make_fabric(loop.LoopConfig(accelerator="cpu", precision="32-true"))
    torch.manual_seed(0)
    gan = CycleGan(CycleGanConfig(4, 1, 4, identity=5.0), fabric)
    for step in range(3):
        gan.optimizer.zero_grad()
        fabric.backward(gan.losses(batch(2 * step + fabric.global_rank), step)["loss"])
        gan.optimizer.step()
        gan.after_step(step + 1)
    sums = fabric.all_gather(sum(p.detach().sum() for m in (gan.critics, gan.generators) for p in m.parameters()))
    assert fabric.world_size == 2 and sums[0] == sums[1], sums
main()  # nothing holds the group at the exit, as in our scripts
"""


def test_two_processes_keep_the_same_weights(tmp_path):
    (tmp_path / "two.py").write_text(_ON_TWO_PROCESSES)
    paths = [str(ROOT), str(ROOT / "Testing"), str(Path(__file__).parent)]
    done = on_two_processes([sys.executable, str(tmp_path / "two.py"), *paths])
    assert done.returncode == 0, done.stderr


def test_the_pool_gives_back_earlier_slices():
    pool, generator = ImagePool(2), torch.Generator().manual_seed(0)
    first = torch.arange(2.0).view(2, 1, 1, 1)
    assert torch.equal(pool.exchange(first, generator), first)
    out = torch.cat([pool.exchange(torch.full((1, 1, 1, 1), float(v)), generator) for v in range(2, 40)]).flatten()
    earlier = (out != torch.arange(2.0, 40.0)).float().mean()
    assert 0.3 < earlier < 0.7
    assert len(out.unique()) == len(out), "an earlier slice is given back once, in exchange for a later one"
    assert len(pool.kept) == 2


def train(folder, steps: int, gan: CycleGan):
    config = LoopConfig(
        steps=steps, learning_rate=2e-3, warmup=0, log_every=1, validate_every=5, checkpoint_every=2,
        precision="32-true", accelerator="cpu",
    )  # fmt: skip
    return loop.train(gan, lambda start: (batch(s) for s in range(start, 6)), config, folder, gan.fabric)


def test_an_empty_pool_gives_every_slice_back():
    pool, slices = ImagePool(0), torch.rand(4, 1, 8, 8)
    for _ in range(3):
        assert torch.equal(pool.exchange(slices, torch.Generator().manual_seed(0)), slices)


def test_a_stopped_training_ends_at_the_same_weights(tmp_path, monkeypatch):
    whole = made(pool=2)
    train(tmp_path / "whole", 6, whole)
    stopped = made(pool=2)
    monkeypatch.setattr(CycleGan, "validate", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path / "stopped", 6, stopped)
    monkeypatch.undo()
    again = made(pool=2)
    train(tmp_path / "stopped", 6, again)
    assert all(
        torch.equal(a, b) for a, b in zip(whole.generators.parameters(), again.generators.parameters(), strict=True)
    )
    assert all(torch.equal(a, b) for a, b in zip(whole.critics.parameters(), again.critics.parameters(), strict=True))


@pytest.mark.parametrize("adversarial", ["least squares", "log"])
def test_inverted_contrast_is_learnt(tmp_path, adversarial):
    """Source: bright discs on dark; target: dark discs on bright. The translation must turn the contrast."""

    def discs(seed):
        generator = torch.Generator().manual_seed(seed)
        y, x = torch.meshgrid(torch.arange(32.0), torch.arange(32.0), indexing="ij")
        cy, cx = 8 + 16 * torch.rand(2, 2, generator=generator)
        inside = ((y - cy[:, None, None]) ** 2 + (x - cx[:, None, None]) ** 2 < 49).float()[:, None]
        return 1.6 * inside - 0.8

    torch.manual_seed(0)
    gan = CycleGan(CycleGanConfig(8, 2, 8, adversarial=adversarial, cycle=5.0), Fabric(accelerator="cpu"))
    config = LoopConfig(
        steps=150, learning_rate=1e-3, warmup=0, log_every=50, validate_every=1000, checkpoint_every=1000,
        precision="32-true", accelerator="cpu", gradient_clip=1e9,
    )  # fmt: skip
    batches = ({"seed": s, "source": {"image": discs(s)}, "target": {"image": -discs(10_000 + s)}} for s in range(150))
    loop.train(gan, lambda start: batches, config, tmp_path, gan.fabric)
    source = discs(99_999)
    with torch.no_grad():
        fake = gan.generators["to_target"](source)
    assert fake[source > 0].mean() < fake[source < 0].mean() - 0.5
