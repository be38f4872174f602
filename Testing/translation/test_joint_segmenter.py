"""Organ attention as its authors run it: the segmenter learns translations beside the generators, and teaches them."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from lightning_fabric import Fabric

from helpers.places import ROOT
from helpers.translation_data import SLICE_LOOP, with_open_voxels, write_domain
from LiverMRISegLib.errors import UsageError
from LiverMRISegLib.training import loop
from LiverMRISegLib.training.configuration import read_config
from LiverMRISegLib.training.loop import LoopConfig
from LiverMRISegLib.training.schedules import SCHEDULES
from LiverMRISegLib.translation import train_translator
from LiverMRISegLib.translation.cyclegan import CycleGan, CycleGanConfig
from LiverMRISegLib.translation.organ_attention import foreground_attention, fused
from LiverMRISegLib.translation.slice_segmenter import slice_network
from LiverMRISegLib.translation.slices import DomainConfig, load_domain
from LiverMRISegLib.translation.train_translator import TranslatorConfig
from LiverMRISegLib.translation.translate import load_generator

CONFIG = CycleGanConfig(4, 1, 4, local=0.5, attend="joint", fusion="concatenate", segmentation=5.0)


def made(config: CycleGanConfig = CONFIG) -> CycleGan:
    torch.manual_seed(0)
    return CycleGan(config, Fabric(accelerator="cpu"), segmenter=slice_network(3, (4, 4, 4, 4, 4, 4)))


def batch(seed: int = 0):
    torch.manual_seed(seed)
    source = {"image": torch.rand(2, 1, 32, 32) * 2 - 1, "labels": torch.randint(0, 3, (2, 32, 32), dtype=torch.uint8)}
    return {"seed": seed, "source": source, "target": {"image": torch.rand(2, 1, 32, 32) * 2 - 1}}


def test_attention_is_added_multiplied_or_a_channel_of_its_own():
    slices, attention = torch.rand(2, 1, 4, 4), torch.rand(2, 1, 4, 4)
    assert torch.equal(fused(slices, attention, "add"), slices + attention)
    assert torch.equal(fused(slices, attention, "multiply"), slices * attention)
    assert torch.equal(fused(slices, attention, "concatenate"), torch.cat([slices, attention], 1))


def test_the_segmentation_loss_reaches_the_generator_and_leaves_the_segmenter():
    gan = made(replace(CONFIG, local=0.0, cycle=0.0))
    terms = gan.losses(batch(), 0)
    before = [p.clone() for p in gan.joint.network.parameters()]
    terms["segmentation"].backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in gan.generators["to_target"].body[1].parameters())
    assert all(p.grad is None for p in gan.joint.network.parameters())
    assert all(torch.equal(a, b) for a, b in zip(before, gan.joint.network.parameters(), strict=True))
    expected = terms["adversarial"] + 5 * terms["segmentation"]
    assert terms["loss"].item() == pytest.approx(expected.item(), rel=1e-5)


def test_the_local_critic_sees_translations_and_real_slices_with_their_own_attention(monkeypatch):
    gan = made()
    given = batch()
    gan.losses(given, 0)
    seen = {}
    forward = gan.judges.forward

    def looked_at(shown):
        seen.update(shown)
        return forward(shown)

    fake = gan._last["target"][1].detach()
    maps = {
        name: foreground_attention(gan.joint.network, x)
        for name, x in (("fake", fake), ("real", gan._last["target"][0]))
    }
    monkeypatch.setattr(gan, "judges", looked_at)
    gan.after_step(1)
    real, judged = seen["local"]
    assert torch.allclose(real, torch.cat([given["target"]["image"], maps["real"]], 1), atol=1e-6)
    assert torch.allclose(judged, torch.cat([fake, maps["fake"]], 1), atol=1e-6)


def test_the_segmenter_learns_the_translations():
    gan = made()
    given = batch()
    fake = gan.generators["to_target"](given["source"]["image"]).detach()
    labels = given["source"]["labels"]
    first = gan.joint.loss(fake, labels).item()
    for group in gan.optimizer.param_groups:
        group["lr"] = 1e-2
    generators = [p.clone() for p in gan.generators.parameters()]
    for step in range(8):
        gan.losses(given, step)
        gan.after_step(step + 1)
    assert all(torch.equal(a, b) for a, b in zip(generators, gan.generators.parameters(), strict=True))
    assert gan.joint.loss(fake, labels).item() < first - 0.05


def test_the_identity_term_of_paper_004_compares_translations_with_their_sources():
    given = batch()
    gan = made(CycleGanConfig(4, 1, 4, identity=2.0, identity_of="translations"))
    terms = gan.losses(given, 0)
    made_of = [gan._last[name][1] for name in ("target", "source")]
    originals = [given["source"]["image"], given["target"]["image"]]
    expected = sum((a - b).abs().mean().item() for a, b in zip(made_of, originals, strict=True))
    assert terms["identity"].item() == pytest.approx(expected, rel=1e-5)


def test_a_stopped_training_ends_at_the_same_weights(tmp_path, monkeypatch):
    def train(folder, gan):
        config = LoopConfig(
            steps=4, learning_rate=2e-3, warmup=0, log_every=1, validate_every=3, checkpoint_every=2,
            precision="32-true", accelerator="cpu",
        )  # fmt: skip
        return loop.train(gan, lambda start: (batch(s) for s in range(start, 4)), config, folder, gan.fabric)

    whole, stopped, again = made(), made(), made()
    train(tmp_path / "whole", whole)
    monkeypatch.setattr(CycleGan, "validate", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path / "stopped", stopped)
    monkeypatch.undo()
    train(tmp_path / "stopped", again)
    for first, second in ((whole.generators, again.generators), (whole.joint.network, again.joint.network)):
        assert all(torch.equal(a, b) for a, b in zip(first.parameters(), second.parameters(), strict=True))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"segmenter": "runs/slice_segmenter"}, "omit segmenter"),
        ({"organs": ()}, "needs organs, and source.labelled: true"),
        ({"source": DomainConfig()}, "needs organs, and source.labelled: true"),
        ({"size": (40, 40)}, "must have multiples of 16"),
    ],
)
def test_what_a_joint_segmenter_needs_is_said(changes, message):
    given = {"gan": CONFIG, "organs": ("liver",), "source": DomainConfig(labelled=True), "size": (32, 32)}
    with pytest.raises(UsageError, match=message):
        TranslatorConfig(**{**given, **changes})


def test_only_a_joint_segmenter_has_a_loss():
    with pytest.raises(UsageError, match=r"gan.segmentation needs gan.attend joint, not 'both'"):
        CycleGanConfig(local=1.0, attend="both", segmentation=5.0)


def test_the_preset_has_the_authors_values():
    preset = read_config(TranslatorConfig, ROOT / "scripts/train/configs/translator_organ_attention_joint.yaml")
    gan = preset.gan
    assert (gan.adversarial, gan.cycle, gan.identity, gan.local, gan.segmentation) == ("least squares", 10, 5, 0.5, 5)
    assert (gan.attend, gan.fusion, gan.pool, gan.width, gan.blocks) == ("joint", "concatenate", 50, 64, 9)
    assert (preset.loop.steps, preset.loop.learning_rate, preset.batch, preset.size) == (
        145 * 1200,
        1e-4,
        2,
        (288, 288),
    )
    falls = SCHEDULES[preset.loop.schedule]
    assert falls(130 * 1200, 145 * 1200) == 1
    assert falls(145 * 1200 - 1, 145 * 1200) < 0.001


@pytest.fixture(scope="module")
def domains(tmp_path_factory):
    folder = tmp_path_factory.mktemp("joint")
    return (
        folder,
        write_domain(folder / "ct", "ct", "CT", (-1000.0, 0.0, 80.0)),
        write_domain(folder / "mr", "mr", "T2WI", (5.0, 300.0, 120.0)),
    )


def config_of(domains) -> TranslatorConfig:
    folder, ct, mr = domains
    return TranslatorConfig(
        run_folder=folder / "run", source=DomainConfig((ct,), window=(-600.0, 600.0), labelled=True),
        target=DomainConfig((mr,)), most_targets=2, cache=folder / "cache", spacing=(6.0, 4.0, 4.0), size=(32, 32),
        organs=("liver",), segmenter_widths=(4, 4, 4, 4, 4, 4), gan=CONFIG, loop=SLICE_LOOP,
    )  # fmt: skip


def test_the_stage_trains_and_its_generator_loads(domains):
    config = config_of(domains)
    assert train_translator.run(config).step == 6
    lines = [json.loads(line) for line in (config.run_folder / "metrics.jsonl").read_text().splitlines()]
    assert {"local", "segmentation"} <= set(lines[0])
    assert any("validation/organ preservation" in line for line in lines)
    assert load_generator(config.run_folder, config)(torch.zeros(1, 1, 32, 32)).shape == (1, 1, 32, 32)


def test_open_voxels_are_refused(domains, tmp_path):
    config = config_of(domains)
    source = replace(config.source, datalists=(with_open_voxels(domains[1], tmp_path),))
    with pytest.raises(UsageError, match="without open voxels"):
        train_translator.run(replace(config, source=source, run_folder=tmp_path / "run"))


def test_a_domain_is_mapped_from_disk_and_may_be_a_random_few(domains):
    folder, _, mr = domains
    arguments = (DomainConfig((mr,)), folder / "cache", (), (6.0, 4.0, 4.0), "LPS")
    for space in ("intensity", "anatomy"):
        cases = load_domain(*arguments, space)
        assert len(cases) == 3
        assert all(isinstance(case.image, np.memmap) for case in cases)
        ends = [end for case in cases for end in (case.image.min(), case.image.max())]
        assert np.allclose(ends, [-1, 1] * 3)
    drawn = {seed: [case.name for case in load_domain(*arguments, "intensity", most=2, seed=seed)] for seed in range(6)}
    assert all(len(names) == 2 for names in drawn.values())
    assert len({tuple(names) for names in drawn.values()}) > 1
    assert drawn[0] == [case.name for case in load_domain(*arguments, "intensity", most=2, seed=0)]
