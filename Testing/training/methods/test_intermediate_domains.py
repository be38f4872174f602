"""MiDSS against values of the authors' functions and hand-made views."""

import pytest
import torch

from LiverMRISegLib.errors import UsageError
from LiverMRISegLib.training.methods.amplitude_mixing import into_style, mix_amplitude
from LiverMRISegLib.training.methods.intermediate_domains import (
    IntermediateDomainsConfig,
    confident_dice,
    symmetric_guidance,
    unified_box,
)


def reference_images():
    i = torch.arange(64 * 64)
    return (37 * i % 251).float().view(1, 64, 64), (11 * i % 199).float().view(1, 64, 64)


def test_amplitude_mixing_is_the_authors():
    source, target = reference_images()
    mixed = mix_amplitude(source, target, 0.5, 0.05)
    assert mixed.mean().item() == pytest.approx(111.94397, abs=1e-3)
    assert mixed.std(unbiased=False).item() == pytest.approx(72.16861, abs=1e-3)
    assert mixed[0, 0, :3].tolist() == pytest.approx([-10.7325, 26.2884, 63.1669], abs=2e-3)


@pytest.mark.parametrize("shape", [(1, 64, 64), (1, 12, 15, 16), (2, 9, 9, 9)])
def test_no_mixing_returns_the_image(shape):
    torch.manual_seed(0)
    source, target = torch.randn(shape), torch.randn(shape)
    assert torch.allclose(mix_amplitude(source, target, 0.0, 0.1), source, atol=1e-5)


def test_full_mixing_takes_all_amplitudes_and_keeps_the_phase():
    torch.manual_seed(0)
    source, target = torch.randn(1, 9, 9, 9), torch.randn(1, 9, 9, 9)
    mixed = torch.fft.fftn(mix_amplitude(source, target, 1.0, 0.5), dim=(1, 2, 3))
    assert torch.allclose(mixed.abs(), torch.fft.fftn(target, dim=(1, 2, 3)).abs(), atol=1e-4)
    turn = mixed / torch.fft.fftn(source, dim=(1, 2, 3))
    assert torch.allclose(turn.imag, torch.zeros_like(turn.imag), atol=1e-4)


@pytest.mark.parametrize("shape", [(1, 16, 16, 16), (1, 24, 32, 40)])
def test_style_comes_from_the_target_on_small_patches_too(shape):
    torch.manual_seed(0)
    source, shaded = torch.randn(shape), torch.randn(shape) + torch.linspace(-5, 5, shape[-1])
    plain, styled = into_style(source, torch.randn(shape), 0.7), into_style(source, shaded, 0.7)
    assert (plain - styled).abs().max() > 0.2


def test_style_keeps_the_scale_of_the_source():
    torch.manual_seed(0)
    source, target = torch.randn(1, 24, 24, 24), torch.randn(1, 24, 24, 24) * 300 + 1000
    assert torch.allclose(into_style(source, target, 0.0), source, atol=1e-4)
    styled = into_style(source, target, 1.0)
    assert styled.std().item() == pytest.approx(1, abs=0.1)
    part = into_style(source[:, :12], target[:, :12], 0.0)
    assert torch.allclose(part, source[:, :12], atol=1e-4)  # no patch is normalised by itself


def test_confident_dice_is_the_authors_with_and_without_the_bug():
    j = torch.arange(2 * 2 * 216, dtype=torch.float64)
    logits = (2 * torch.sin(0.7 * j)).view(2, 2, 6, 6, 6).float()[..., 0]
    k = torch.arange(2 * 216)
    labels = (k % 3 == 0).long().view(2, 6, 6, 6)[..., 0]
    mask = (k % 4 != 0).float().view(2, 6, 6, 6)[..., 0]
    assert confident_dice(logits, labels, mask, bug_compatible=True).item() == pytest.approx(0.606308, abs=2e-6)
    assert confident_dice(logits, labels, torch.ones_like(mask)).item() == pytest.approx(0.605460, abs=2e-6)
    mixed = (torch.arange(72) % 3 == 0).long().view(2, 6, 6)
    right, wrong = (confident_dice(logits, mixed, mask, bug_compatible=bug).item() for bug in (False, True))
    assert right != pytest.approx(wrong, abs=1e-4)
    changed = logits + 5 * (1 - mask)[:, None] * torch.tensor([1.0, -1.0]).view(1, 2, 1, 1)
    assert confident_dice(changed, mixed, mask).item() == pytest.approx(right, abs=1e-6)


def one_hot(labels, sure=0.99):
    labels = torch.tensor(labels).view(1, 1, 1, -1)
    return torch.stack([torch.where(labels == c, sure, 1 - sure) for c in (0, 1)], 1)


def test_guidance_counts_only_where_sure_views_agree():
    boxes = torch.tensor([1.0, 1, 1, 0, 0, 0]).view(1, 1, 1, -1)  # the first three voxels lie outside the box
    alone, around, within = [0, 1, 1, 0, 1, 1], [0, 1, 0, 9, 9, 9], [9, 9, 9, 0, 0, 1]
    views = [one_hot(v) for v in (alone, around, within)]
    guidance = symmetric_guidance(*views, boxes, 0.95)
    assert guidance.merged.flatten().tolist() == [0, 1, 0, 0, 0, 1]
    assert guidance.agreed.flatten().tolist() == [1, 1, 0, 1, 0, 1]
    unsure = symmetric_guidance(one_hot(alone, 0.9), *views[1:], boxes, 0.95)
    assert unsure.sure.sum() == unsure.agreed.sum() == 0


@pytest.mark.parametrize("shape", [(24, 32, 40), (16, 64, 64), (8, 8, 8)])
def test_boxes_keep_their_share_of_the_volume(shape):
    shares = []
    for seed in range(100):
        box = unified_box(shape, (0.02, 0.4), torch.Generator().manual_seed(seed))
        shares.append(1 - box.mean().item())
    assert 0 < min(shares) < 0.1
    assert 0.3 < max(shares) < 0.5


def test_boxes_that_hardly_fit_are_refused():
    """They are drawn until one fits: for one of nine tenths of the volume that is never."""
    largest = IntermediateDomainsConfig(box=(0.5, 0.5)).box
    boxes = [unified_box((16, 16, 16), largest, torch.Generator().manual_seed(seed)) for seed in range(5)]
    assert all(0.3 < 1 - box.mean() <= 0.5 for box in boxes)
    with pytest.raises(UsageError, match=r"box.*0\.9"):
        IntermediateDomainsConfig(box=(0.02, 0.9))


def test_the_size_of_a_box_is_drawn_once_and_its_proportions_are_uniform():
    """As `obtain_cutmix_box` of the authors: what does not fit is placed and shaped again, not made smaller."""
    boxes = [unified_box((40, 40, 40), (0.3, 0.3), torch.Generator().manual_seed(s)) == 0 for s in range(150)]
    shares = [box.float().mean().item() for box in boxes]
    assert min(shares) > 0.25
    assert max(shares) < 0.301
    small = [unified_box((60, 60, 60), (0.01, 0.01), torch.Generator().manual_seed(s)) == 0 for s in range(300)]
    ratios = torch.tensor([box.any(2).any(1).sum() / box.any(0).any(0).sum() for box in small])
    # Uniform between 0.3 and 3.33: three quarters are above 1; of log-uniform ones half.
    assert 0.65 < (ratios > 1).float().mean().item() < 0.9
