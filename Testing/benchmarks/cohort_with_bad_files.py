"""300 small volumes, 30 of them damaged, in one call of `livermriseg segment`: masks, failures, and memory.

Run: `python Testing/benchmarks/cohort_with_bad_files.py`. The sound ones, all different, are NIfTI, NRRD, MetaImage and
DICOM; each mask is compared with one made alone, of the voxels in memory, which were never in a file. The damaged ones
are made by `Testing/fuzz`, in between the sound ones. The network is tiny, so that reading and writing are measured.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
import zlib
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np

from fuzz.targets import TARGETS
from helpers.dicom_series import write_dicom_series
from helpers.packages import random_weights, tiny_spec
from helpers.places import ROOT
from helpers.volumes import make_volume
from LiverMRISegLib import Segmenter
from LiverMRISegLib.errors import InputError
from LiverMRISegLib.io import read_labelmap, read_volume, write_volume
from LiverMRISegLib.models.package.model_package import save_package
from LiverMRISegLib.volume import Volume

SOUND, BAD = 270, 30
# Damaged volumes, and folders of DICOM files of which one is damaged.
KINDS = (
    "nii", "nii.gz", "nrrd", "nrrd gzip", "nrrd bzip2", "nrrd hex", "nrrd ascii", "mha", "mha zlib",
    "dicom series", "dicom implicit", "dicom rle", "dicom enhanced",
)  # fmt: skip
ENDINGS = ("nii.gz", "nrrd", "mha", "nii", "")


def make_bad(folder: Path, scratch: Path) -> None:
    """The first `BAD` damaged inputs, of all kinds in turn, that are refused."""
    made = number = 0
    while made < BAD:
        name = KINDS[made % len(KINDS)]
        (scratch / str(number)).mkdir()
        path = TARGETS[name].make(scratch / str(number), np.random.default_rng([zlib.crc32(name.encode()), number]))
        number += 1
        try:
            read_volume(path)
        except InputError:
            path.rename(folder / f"{made * SOUND // BAD:03d}_bad{'' if path.is_dir() else ''.join(path.suffixes)}")
            made += 1


def sound_volume(number: int) -> Volume:
    """Another one for each number, of whole numbers, which every format can have."""
    volume = make_volume(size=(40, 36, 24), seed=number)
    return Volume(volume.array.round().clip(0, 60_000).astype(np.uint16), volume.geometry)


def make_sound(folder: Path) -> None:
    """`SOUND` volumes, of all formats in turn."""
    for number in range(SOUND):
        ending = ENDINGS[number % len(ENDINGS)]
        if ending:
            write_volume(sound_volume(number), folder / f"{number:03d}.{ending}")
        else:
            write_dicom_series(folder / f"{number:03d}", sound_volume(number))


def same_masks(package: Path, results: Path) -> int:
    """How many masks of the cohort are those that the volumes, each alone, get."""
    found = 0
    for number in range(SOUND):
        alone = Segmenter.load(str(package), device="cpu").segment(sound_volume(number))
        path = results / f"{number:03d}_seg.nii.gz"
        mask = read_labelmap(path) if path.exists() else None
        found += (
            mask is not None
            and np.array_equal(mask.array, alone.labelmap)
            and mask.geometry.is_close(sound_volume(number).geometry, 1e-3)
        )
    return found


def resident_megabytes(process: int) -> float:
    """What the process has in memory now."""
    return int(Path(f"/proc/{process}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


def segment(root: Path) -> tuple[list[dict[str, object]], int, dict[int, float]]:
    """The results of the cohort, the exit status, and the memory (MB) after each number of masks."""
    call = [sys.executable, "-m", "LiverMRISegLib", "segment", root / "in", "-o", root / "out", "--json"]
    with (root / "results.json").open("w") as file:
        running = subprocess.Popen(
            [*map(str, call), "--model", str(root / "tiny"), "--device", "cpu"], stdout=file, cwd=ROOT
        )
    memory: dict[int, float] = {}
    while running.poll() is None:
        if (root / "out").is_dir():
            memory[len(list((root / "out").iterdir()))] = resident_megabytes(running.pid)
        time.sleep(0.05)
    return json.loads((root / "results.json").read_text()), running.returncode, memory


def main() -> None:
    """Make the cohort, segment it, print the counts and the memory after the 30th and the last case."""
    with tempfile.TemporaryDirectory() as place:
        root = Path(place)
        (root / "in").mkdir()
        spec = tiny_spec()
        save_package(spec, random_weights(spec), root / "tiny")
        make_bad(root / "in", root)
        make_sound(root / "in")
        results, status, memory = segment(root)
        states = [case["status"] for case in results]
        named = sum(Path(str(case["input"])).name in str(case["error"] or "") for case in results)
        print(f"{states.count('done')} done, {states.count('failed')} failed, {named} named; status {status}")
        print(f"{same_masks(root / 'tiny', root / 'out')} masks are those made one by one")
        early, late = memory[min(n for n in memory if n >= BAD)], memory[max(n for n in memory if n < SOUND)]
        print(f"memory after {BAD} results {early:.0f} MB, before the last {late:.0f} MB")
        print(f"RATIO memory of the last and the 30th case of a cohort: {late / early:.2f} (limit 1.05)")


if __name__ == "__main__":
    main()
