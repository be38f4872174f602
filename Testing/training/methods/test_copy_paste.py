"""Bidirectional copy-paste against values of the authors' functions and against plain numpy."""

import numpy as np
import pytest
import torch
from lightning_fabric import Fabric

from LiverMRISegLib.errors import UsageError
from LiverMRISegLib.models.package.specification import InferenceSpec
from LiverMRISegLib.training.ema import AveragedModel
from LiverMRISegLib.training.loop import _rate
from LiverMRISegLib.training.methods.bidirectional_copy_paste import BidirectionalCopyPaste, CopyPasteConfig
from LiverMRISegLib.training.methods.copy_paste import box_mask, largest_components, mix, mixture_loss
from LiverMRISegLib.training.methods.method import Setup
from LiverMRISegLib.training.optimizers import OptimizerConfig
from LiverMRISegLib.training.schedules import staircase
from LiverMRISegLib.training.stages.bidirectional_copy_paste import CopyPasteStageConfig
from LiverMRISegLib.training.validation import Validation


def reference_case():
    """The inputs of methods.md 12b."""
    j = torch.arange(2 * 2 * 216, dtype=torch.float64)
    logits = (2 * torch.sin(0.7 * j)).view(2, 2, 6, 6, 6).float()
    k = torch.arange(2 * 216)
    outside, inside = (k % 3 == 0).long().view(2, 6, 6, 6), (k % 5 < 2).long().view(2, 6, 6, 6)
    mask = torch.ones(2, 6, 6, 6)
    mask[:, 1:5, 0:4, 2:6] = 0
    return logits, outside, inside, mask


def test_the_losses_are_the_authors():
    logits, first, second, mask = reference_case()
    assert mixture_loss(logits, first, second, mask, (1.0, 0.5)).item() == pytest.approx(0.933144, abs=2e-6)
    assert mixture_loss(logits, second, first, mask, (0.5, 1.0)).item() == pytest.approx(0.931280, abs=2e-6)


def test_the_loss_against_numpy():
    logits, first, second, mask = reference_case()
    p = torch.softmax(logits, 1).numpy().astype(np.float64)
    total = 0.0
    for labels, region, weight in ((first, mask, 1.0), (second, 1 - mask, 0.5)):
        y, m = labels.numpy(), region.numpy()
        entropy = -np.log(np.take_along_axis(p, y[:, None], 1)[:, 0])
        dice = [
            (2 * (p[b, c] * (y[b] == c) * m[b]).sum() + 1e-5)
            / ((p[b, c] * m[b]).sum() + ((y[b] == c) * m[b]).sum() + 1e-5)
            for b in range(2)
            for c in range(2)
        ]
        total += weight * ((entropy * m).sum() / m.sum() + 1 - np.mean(dice))
    assert mixture_loss(logits, first, second, mask, (1.0, 0.5)).item() == pytest.approx(total / 2, rel=1e-5)


@pytest.mark.parametrize("shape", [(112, 112, 80), (6, 6, 6), (24, 32, 40)])
def test_the_box_is_two_thirds_of_every_side(shape):
    for seed in range(5):
        mask = box_mask(shape, torch.Generator().manual_seed(seed))
        for axis, n in enumerate(shape):
            inside = (mask == 0).any(dim=tuple(a for a in range(3) if a != axis))
            assert int(inside.sum()) == int(2 / 3 * n)
        assert (mask == 0).sum() == np.prod([int(2 / 3 * n) for n in shape])


def test_boxes_lie_anywhere():
    starts = {int((box_mask((6, 6, 6), torch.Generator().manual_seed(s)) == 0).nonzero()[0, 0]) for s in range(60)}
    assert starts == {0, 1, 2}


def test_largest_component_of_each_class():
    labels = torch.zeros(2, 8, 8, 8, dtype=torch.long)
    labels[0, 0:3, 0:3, 0:3] = 1
    labels[0, 6, 6, 6] = 1
    labels[0, 4, 0:3, 0] = 2
    labels[0, 7, 0, 0] = 2
    labels[1, 1, 1, 1] = labels[1, 2, 2, 2] = 1  # joined by a corner
    kept = largest_components(labels)
    assert int((kept[0] == 1).sum()) == 27
    assert int((kept[0] == 2).sum()) == 3
    assert int((kept[1] == 1).sum()) == 2


def test_three_averagings_leave_the_known_share():
    source = torch.nn.Linear(1, 1, bias=False)
    torch.nn.init.constant_(source.weight, 0.0)
    teacher = AveragedModel(source, decay=0.99, warm_up=0.0)
    torch.nn.init.constant_(source.weight, 1.0)
    for step in (1, 2, 3):
        teacher.update(source, step)
    assert teacher.model.weight.item() == pytest.approx(1 - 0.99**3, rel=1e-5)


class Recorder(torch.nn.Module):
    """A network that keeps what it is shown."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = torch.nn.Conv3d(1, 2, 1)
        self.seen: list[torch.Tensor] = []

    def forward(self, x):
        self.seen.append(x.detach().clone())
        return self.conv(x)


def made(**settings) -> BidirectionalCopyPaste:
    torch.manual_seed(0)
    validation = Validation([], ["liver"], InferenceSpec((6, 6, 6)))
    return BidirectionalCopyPaste(
        Recorder(),
        CopyPasteConfig(pretraining=0.5, **settings),
        Setup(OptimizerConfig(), validation, Fabric(accelerator="cpu"), "student", 10),
    )


def batch(unlabelled: int = 2):
    torch.manual_seed(1)
    views = {view: torch.randn(2, 1, 6, 6, 6) for view in ("weak", "strong")}
    return {
        "seed": 5,
        "labelled": {**views, "labels": torch.randint(0, 2, (2, 6, 6, 6))},
        "unlabelled": {view: torch.randn(unlabelled, 1, 6, 6, 6) for view in ("weak", "strong")},
    }


def test_what_the_student_sees_in_both_parts():
    method, data = made(), batch()
    mask = box_mask((6, 6, 6), torch.Generator().manual_seed(5))
    a, b = data["labelled"]["weak"]
    u, v = data["unlabelled"]["weak"]
    method.losses(data, 0)
    assert torch.equal(method.module.seen[-1], mix(a, b, mask)[None])
    method.losses(data, 5)
    assert torch.equal(method.module.seen[-1], torch.stack([mix(a, u, mask), mix(v, b, mask)]))
    strong = made(view="strong")
    strong.losses(data, 5)
    assert torch.equal(strong.teacher.model.seen[-1], data["unlabelled"]["weak"])
    assert torch.equal(
        strong.module.seen[-1][0], mix(data["labelled"]["strong"][0], data["unlabelled"]["strong"][0], mask)
    )


def test_the_teacher_begins_as_the_pretrained_student():
    method = made()
    torch.nn.init.constant_(method.module.conv.weight, 3.0)
    method.after_step(5)
    assert torch.equal(method.teacher.model.conv.weight, method.module.conv.weight)
    torch.nn.init.constant_(method.module.conv.weight, 4.0)
    method.after_step(6)
    assert method.teacher.model.conv.weight.mean().item() == pytest.approx(3.01, abs=1e-5)


def test_pretraining_knows_one_label_map(monkeypatch):
    """0.5 * (cross entropy + Dice) of the mixture against the mixed labels, as the authors (methods.md 4)."""
    method, data = made(), batch()
    mask = box_mask((6, 6, 6), torch.Generator().manual_seed(5))
    first, second = data["labelled"]["labels"]
    mixed = mix(first, second, mask)[None].long()
    found = method.losses(data, 0)["loss"]
    with torch.no_grad():
        logits = method.module(method.module.seen[-1]).float()
    entropy = torch.nn.functional.cross_entropy(logits, mixed)
    scores, truth = logits.softmax(1), torch.nn.functional.one_hot(mixed, 2).movedim(-1, 1).float()
    axes = (2, 3, 4)
    dice = (2 * (scores * truth).sum(axes) + 1e-5) / (scores.sum(axes) + truth.sum(axes) + 1e-5)
    assert found.item() == pytest.approx(0.5 * (entropy + 1 - dice.mean()).item(), rel=1e-5)


def test_pretraining_ends_where_it_would_have_when_a_run_is_shortened():
    shorter = made()
    shorter.first_step = 1
    shorter.load_state_dict(made().state_dict())
    assert shorter.first_step == 5


def test_batches_that_cannot_be_paired_are_refused():
    with pytest.raises(UsageError, match="must be equal"):
        made().losses(batch(unlabelled=4), 6)
    odd = batch()
    odd["labelled"] = {key: value[:1] for key, value in odd["labelled"].items()}
    with pytest.raises(UsageError, match="halved"):
        made().losses(odd, 0)


def test_the_optimiser_and_rate_are_the_authors():
    """Bai et al. 2023, LA_BCP_train.py: SGD 0.01, momentum 0.9, decay 1e-4; then x 0.1 every 2,500 steps."""
    config = CopyPasteStageConfig()
    built = config.optimizer.build([torch.nn.Parameter(torch.zeros(1))])
    group = built.param_groups[0]
    assert isinstance(built, torch.optim.SGD)
    assert (group["momentum"], group["weight_decay"], group["nesterov"]) == (0.9, 1e-4, False)
    assert config.loop.steps == 17_000
    assert round(config.copy_paste.pretraining * 17_000) == 2_040  # the authors' 2,000
    rates = [_rate(step, config.loop) for step in (0, 1_999, 2_000, 4_499, 4_500, 6_999, 7_000, 16_999)]
    assert rates == pytest.approx([1e-2] * 4 + [1e-3] * 2 + [1e-4, 1e-7])
    assert [staircase(step, 1_700) for step in (449, 450, 700)] == pytest.approx([1, 0.1, 0.01])
