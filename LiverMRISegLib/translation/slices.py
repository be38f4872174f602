"""Slices of two domains for the translators: volumes in [-1, 1] on disk, and random slices of them by step."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated

import numpy as np
import torch

from LiverMRISegLib.data.batches import Sample
from LiverMRISegLib.data.case_cache import PreparedCase, PreparedCases, allow_open_files
from LiverMRISegLib.data.case_selection import PoolConfig, choose_scans
from LiverMRISegLib.errors import InputError, UsageError
from LiverMRISegLib.io.atomic_folder import atomic_folder
from LiverMRISegLib.io.dataclass_reader import Checked
from LiverMRISegLib.io.limits import Limits
from LiverMRISegLib.models.package.specification import SPACES, PreparationSpec
from LiverMRISegLib.preparation.anatomy_space import to_anatomy_space, to_unit_range

logger = logging.getLogger(__name__)
_ROUNDING = 1e-5
_Percentile = Annotated[float, Limits(0, 100)]


@dataclass(frozen=True)
class DomainConfig(Checked):
    """The volumes of one domain."""

    datalists: tuple[Path, ...] = ()
    """Datalists of the volumes."""
    pool: PoolConfig = field(default_factory=PoolConfig)
    """Which of their scans are used."""
    window: tuple[float, ...] = ()
    """Intensities that become -1 and 1 (CT: -600, 600); empty to take `percentiles`."""
    percentiles: tuple[_Percentile, _Percentile] = (1.0, 99.0)
    """Percentiles of each volume that become -1 and 1."""
    labelled: bool = False
    """Whether the label maps are read too."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.window and (len(self.window) != 2 or self.window[0] >= self.window[1]):
            raise UsageError(f"window must be empty or two rising intensities, not {list(self.window)}")
        if self.percentiles[0] >= self.percentiles[1]:
            raise UsageError(f"percentiles must rise, not {list(self.percentiles)}")

    def preparation(self, spacing: tuple[float, float, float], orientation: str | None) -> PreparationSpec:
        """On one grid for both domains; a window is applied here, percentiles by `in_range`."""
        if not self.window:
            return PreparationSpec(spacing, orientation, "z-score")
        low, high = self.window
        intensity = {"low": low, "high": high, "mean": (low + high) / 2, "std": (high - low) / 2}
        return PreparationSpec(spacing, orientation, "ct", intensity=intensity)

    def lacks_air(self, prepared: np.ndarray) -> bool:
        """Whether nothing in a prepared image is below 0, though the window is: it is hardly in Hounsfield units."""
        if not self.window or self.window[0] >= 0:
            return False
        low, high = self.window
        return float(prepared.min()) > -(low + high) / (high - low) - _ROUNDING

    def in_range(self, image: np.ndarray, space: str) -> np.ndarray:
        """A prepared image in [-1, 1], in intensity or anatomy space."""
        if space not in SPACES:
            raise UsageError(f"unknown space '{space}'; known are: {', '.join(SPACES)}")
        unit = image if self.window else to_unit_range(image, *self.percentiles)
        return np.asarray(unit, np.float32) if space == "intensity" else to_anatomy_space(unit, space)


def load_domain(
    domain: DomainConfig,
    cache: Path,
    organs: Sequence[str],
    spacing: tuple[float, float, float],
    orientation: str | None,
    space: str,
    *,
    most: int = 0,
    seed: int = 0,
) -> list[PreparedCase]:
    """The volumes of a domain in [-1, 1], mapped from `cache`: only the slices that are asked for are read.

    Args:
        domain: which volumes, and their intensities.
        cache: folder of prepared volumes.
        organs: whose labels are read, where the domain is labelled.
        spacing: in mm, [Z, Y, X].
        orientation: as a code, or None to keep that of the files.
        space: one of `specification.SPACES`.
        most: how many volumes at most, drawn at random by `seed`; 0 takes all.
        seed: of that draw.

    Raises:
        InputError, UsageError: volumes that cannot be used, or none at all.
        OutputError: the cache cannot be written, e.g. because the disk is full.
    """
    scans = choose_scans(domain.datalists, domain.pool, needs_labels=domain.labelled)
    if 0 < most < len(scans):
        chosen = np.random.default_rng(seed).choice(len(scans), most, replace=False)
        scans = [scans[int(number)] for number in sorted(chosen)]
    cases = PreparedCases(cache, domain.preparation(spacing, orientation), organs).load_all(
        scans, labelled=domain.labelled
    )
    odd = [case.name for case in cases if domain.lacks_air(case.image[case.image.shape[0] // 2])]
    if odd:
        warn_of_units(odd, domain)
    allow_open_files(len(cases))
    return [replace(case, image=_mapped(case, domain, space, cache)) for case in cases]


def warn_of_units(names: Sequence[str], domain: DomainConfig) -> None:
    """Say that these volumes are hardly in the units of the window."""
    logger.warning(
        "nothing is below 0 in %s, though window begins at %g; in Hounsfield units air and fat are: see what was added "
        "(mostly 1024), or give the window of these intensities",
        ", ".join(names), domain.window[0],
    )  # fmt: skip


def _mapped(case: PreparedCase, domain: DomainConfig, space: str, cache: Path) -> np.ndarray:
    """The case's image in [-1, 1], made once and kept beside the prepared cases."""
    if domain.window and space == "intensity":
        return case.image  # the window was applied when it was prepared
    facts = json.dumps([case.key, [] if domain.window else domain.percentiles, space])
    folder = cache / f"slices_{hashlib.sha256(facts.encode()).hexdigest()[:32]}"
    if not folder.is_dir():
        with atomic_folder(folder, "keep") as temporary:
            np.save(temporary / "image.npy", domain.in_range(np.asarray(case.image), space))
    try:
        mapped: np.ndarray = np.load(folder / "image.npy", mmap_mode="r")
    except (OSError, ValueError, EOFError) as error:
        raise InputError(f"{folder}: the cache is damaged ({error}); remove this folder") from error
    return mapped


def bytes_of(cases: Sequence[PreparedCase]) -> int:
    """What images and labels of prepared cases take on disk."""
    arrays = [array for case in cases for array in (case.image, case.labels) if array is not None]
    return sum(array.nbytes for array in arrays)


@dataclass(frozen=True)
class SliceStream:
    """Axial slices of random volumes, cropped or padded (with -1) to `size` [Y, X].

    Samples hold "image" float32 [1, Y, X] and, of volumes with labels, "labels" uint8 [Y, X].
    """

    cases: Sequence[PreparedCase]
    size: tuple[int, int]
    batch: int

    @property
    def inputs(self) -> list[str]:
        """As in `Stream.inputs`."""
        return [case.key for case in self.cases]

    def sample(self, index: int, seed: Sequence[int]) -> Sample:
        """As in `Stream.sample`."""
        random = np.random.default_rng(seed)
        case = self.cases[int(random.integers(len(self.cases)))]
        z = int(random.integers(case.image.shape[0]))
        shares = random.random(2).tolist()
        sample = {"image": torch.from_numpy(fitted(np.asarray(case.image[z]), self.size, shares, -1.0))[None]}
        if case.labels is not None:
            sample["labels"] = torch.from_numpy(fitted(np.asarray(case.labels[z]), self.size, shares, 0))
        return sample


def fitted(plane: np.ndarray, size: tuple[int, int], shares: Sequence[float], fill: float) -> np.ndarray:
    """`plane` [Y, X] padded evenly where it is smaller than `size`, and cropped at a share of the room where larger."""
    missing = [max(0, s - n) for s, n in zip(size, plane.shape, strict=True)]
    padded = np.pad(plane, [(m // 2, m - m // 2) for m in missing], constant_values=fill)
    starts = [round(share * (n - s)) for share, n, s in zip(shares, padded.shape, size, strict=True)]
    cut = padded[starts[0] : starts[0] + size[0], starts[1] : starts[1] + size[1]]
    return np.ascontiguousarray(cut)
