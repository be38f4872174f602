"""Batches: a function of the step, shared by processes, even over the cases, centred on organs as often as asked."""

from collections import Counter

import numpy as np
import pytest
import torch

from LiverMRISegLib.data.augmentation import AugmentationConfig, Augmenter
from LiverMRISegLib.data.batches import CaseStream, JoinedStream, SharedPlaces, StepBatches, feed
from LiverMRISegLib.data.case_cache import PreparedCase
from LiverMRISegLib.errors import UsageError


def case(number: int, labelled: bool = True) -> PreparedCase:
    image = np.full((16, 16, 16), float(number), np.float32)
    labels = np.zeros((16, 16, 16), np.uint8)
    labels[1, 1, 1] = 1
    foreground = {1: np.array([[1, 1, 1]], np.int16)} if labelled else {}
    return PreparedCase(f"case {number}", image, labels if labelled else None, foreground)


def stream(cases: int, batch: int, *, labelled: bool = True, foreground: float = 0.33) -> CaseStream:
    still = AugmentationConfig(rotation_probability=0, scale_probability=0)
    return CaseStream([case(n, labelled) for n in range(cases)], Augmenter(still, (4, 4, 4)), batch, foreground)


def test_a_batch_is_a_function_of_its_step():
    def made():
        return StepBatches({"labelled": stream(5, 2), "unlabelled": stream(3, 4, labelled=False)}, 10, seed=3)

    one, other = made()[7], made()[7]
    assert one["seed"] == other["seed"] != made()[8]["seed"]
    assert torch.equal(one["labelled"]["strong"], other["labelled"]["strong"])
    assert one["labelled"]["weak"].shape == (2, 1, 4, 4, 4)
    assert one["labelled"]["labels"].shape == (2, 4, 4, 4)
    assert one["unlabelled"]["weak"].shape == (4, 1, 4, 4, 4)
    assert "labels" not in one["unlabelled"]


def test_every_case_comes_once_before_any_comes_again():
    batches = StepBatches({"labelled": stream(6, 2, foreground=0)}, 30, seed=0)
    seen = [int(v) for step in range(30) for v in batches[step]["labelled"]["weak"][:, 0, 0, 0, 0]]
    assert all(sorted(seen[i : i + 6]) == list(range(6)) for i in range(0, 60, 6))
    assert len({tuple(seen[i : i + 6]) for i in range(0, 60, 6)}) > 5


def test_processes_share_a_batch():
    streams = {"labelled": stream(5, 4)}
    whole = StepBatches(streams, 10, seed=1)[3]["labelled"]["strong"]
    parts = [StepBatches(streams, 10, 1, rank, 2)[3]["labelled"]["strong"] for rank in range(2)]
    assert torch.equal(whole[0::2], parts[0])
    assert torch.equal(whole[1::2], parts[1])
    with pytest.raises(UsageError, match="cannot be shared by 3"):
        StepBatches(streams, 10, 1, 0, 3)


@pytest.mark.parametrize(("batch", "share", "expected"), [(2, 0.33, 0.5), (3, 0.33, 1 / 3), (1, 0.33, 0.33), (4, 0, 0)])
def test_organs_are_in_the_middle_as_often_as_asked(batch, share, expected):
    batches = StepBatches({"labelled": stream(1, batch, foreground=share)}, 300, seed=0)
    centred = Counter(bool(p[2, 2, 2]) for step in range(300) for p in batches[step]["labelled"]["labels"])
    assert centred[True] / (300 * batch) == pytest.approx(expected, abs=0.08)


def test_joined_streams_stand_behind_each_other():
    first, second = stream(1, 1), CaseStream([case(9)], stream(1, 2).augmenter, 2)
    batch = StepBatches({"labelled": JoinedStream(first, second)}, 5, seed=0)[2]["labelled"]
    assert batch["weak"][:, 0, 0, 0, 0].tolist() == [0, 9, 9]


@pytest.mark.parametrize("workers", [0, 2])
def test_feeding_goes_on_from_any_step(workers):
    batches = StepBatches({"labelled": stream(5, 2)}, 6, seed=1)
    from_four = [b["labelled"]["strong"] for b in feed(batches, workers)(4)]
    assert len(from_four) == 2
    assert torch.equal(from_four[0], batches[4]["labelled"]["strong"])


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_patches_that_are_pasted_into_each_other_show_the_same_part(share):
    """BCP pairs k with k + batch / 2, labelled with unlabelled; volumes of other sizes are cut at the same share."""
    still = AugmentationConfig(rotation_probability=0, scale_probability=0)
    augmenter = Augmenter(still, (4, 4, 4))

    def grid(n: int, *, organ: bool) -> PreparedCase:
        where = np.broadcast_to(np.arange(n, dtype=np.float32)[:, None, None] / (n - 4), (n, n, n))
        foreground = {1: np.array([[n // 2, 2, 2]], np.int16)} if organ else {}
        return PreparedCase(str(n), np.array(where), np.zeros((n, n, n), np.uint8) if organ else None, foreground)

    labelled, bare = [grid(n, organ=True) for n in (16, 20, 28)], [grid(n, organ=False) for n in (12, 36)]
    places = SharedPlaces(labelled, 4, (4, 4, 4), share)
    streams = {
        "labelled": CaseStream(labelled, augmenter, 4, share, places),
        "unlabelled": CaseStream(bare, augmenter, 4, share, places),
    }
    batches = StepBatches(streams, 40, seed=0)
    starts = np.array(
        [[float(v) for name in streams for v in batches[step][name]["weak"][:, 0, 0, 0, 0]] for step in range(40)]
    )
    for first in (0, 1):
        same = starts[:, [first, first + 2, first + 4, first + 6]]
        assert np.ptp(same, axis=1).max() < 0.09  # a voxel of the smallest volume
    assert np.abs(starts[:, 0] - starts[:, 1]).max() > (0.3 if share == 0 else -1)
    middle = np.abs(starts - 0.5).max()
    assert (middle < 0.12) == (share == 1)


def test_a_loader_leaves_torchs_random_numbers_alone():
    """Dropout after a resume is that of the whole run: the loader of either begins at another step."""
    before = torch.get_rng_state()
    iter(feed(StepBatches({}, 4, 0), 0)(3))
    assert torch.equal(torch.get_rng_state(), before)
