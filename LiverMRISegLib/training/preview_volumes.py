"""What a stage that makes a file for each volume will cost: some of its volumes are done and timed."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from LiverMRISegLib.training.room import check_room, peak_memory_gb, size_in_words, total_memory_gb

logger = logging.getLogger(__name__)
T = TypeVar("T")
_PREVIEWED = 3  # the first one is not counted: engines and caches are made then


@dataclass(frozen=True)
class VolumesCost:
    """Of a whole stage: volumes, seconds for each, disk and memory in GB."""

    volumes: int
    volume_seconds: float
    disk_gb: float
    memory_gb: float

    @property
    def hours(self) -> float:
        """For all volumes."""
        return self.volumes * self.volume_seconds / 3600

    def __str__(self) -> str:
        return (
            f"{self.volumes:,} volumes of {self.volume_seconds:.2f} s; {self.hours:.1f} hours; disk "
            f"{size_in_words(self.disk_gb)}; memory {size_in_words(self.memory_gb)}"
        )


def previewed_of(volumes: Sequence[T]) -> list[T]:
    """The volumes that a preview does: the first, and some spread evenly over the others."""
    count = min(_PREVIEWED, len(volumes))
    return [volumes[place * len(volumes) // count] for place in range(count)]


def timed(volumes: Iterable[T], seconds: list[float]) -> Iterator[T]:
    """The volumes; what is done with each of them is timed and put into `seconds`."""
    for volume in volumes:
        start = time.perf_counter()
        yield volume
        seconds.append(time.perf_counter() - start)


def say_cost(volumes: int, seconds: Sequence[float], folder: Path) -> VolumesCost:
    """Log what all `volumes` cost, of which some were done in `seconds`; what they left is in `folder`.

    Raises:
        UsageError: the memory of the computer, or the free space of the disk, is too small.
    """
    counted = seconds[1:] or seconds
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) / 1e9
    cost = VolumesCost(volumes, sum(counted) / len(counted), size * volumes / len(seconds), peak_memory_gb())
    logger.info("%s", cost)
    remedy = "leave out the largest volumes, or use a computer with more memory"
    check_room("a volume", cost.memory_gb, total_memory_gb(), cost.disk_gb, folder, remedy)
    return cost
