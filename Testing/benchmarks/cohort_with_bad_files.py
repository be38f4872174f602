"""300 small volumes, 30 of them damaged, in one call of `livermriseg segment`: what fails, and whether memory grows.

Run: `python Testing/benchmarks/cohort_with_bad_files.py`. The damaged ones are made by `Testing/fuzz`, in between the
sound ones. The network is tiny, so that reading and writing are what is measured.
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
from helpers.packages import random_weights, tiny_spec
from helpers.places import ROOT
from helpers.volumes import make_volume
from LiverMRISegLib.errors import InputError
from LiverMRISegLib.io import read_volume, write_volume
from LiverMRISegLib.models.package.model_package import save_package

SOUND, BAD = 270, 30
KINDS = ("nii", "nii.gz", "nrrd", "nrrd gzip", "nrrd bzip2", "nrrd hex", "nrrd ascii", "mha", "mha zlib")


def make_bad(folder: Path, scratch: Path) -> None:
    """The first `BAD` damaged files, of all kinds in turn, that are refused."""
    made = number = 0
    while made < BAD:
        name = KINDS[number % len(KINDS)]
        (scratch / str(number)).mkdir()
        path = TARGETS[name].make(scratch / str(number), np.random.default_rng([zlib.crc32(name.encode()), number]))
        number += 1
        try:
            read_volume(path)
        except InputError:
            path.rename(folder / f"{made * SOUND // BAD:03d}_bad{''.join(path.suffixes)}")
            made += 1


def resident_megabytes(process: int) -> float:
    """What the process has in memory now."""
    return int(Path(f"/proc/{process}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


def main() -> None:
    """Make the cohort, segment it, print the counts and the memory after the 30th and the last case."""
    with tempfile.TemporaryDirectory() as place:
        root = Path(place)
        (root / "in").mkdir()
        spec = tiny_spec()
        save_package(spec, random_weights(spec), root / "tiny")
        make_bad(root / "in", root)
        for number in range(SOUND):
            ending = ("nii.gz", "nrrd", "mha")[number % 3]
            write_volume(make_volume(size=(40, 36, 24), seed=number % 5), root / f"in/{number:03d}.{ending}")
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
        results = json.loads((root / "results.json").read_text())
    states = [case["status"] for case in results]
    named = sum(Path(case["input"]).name in (case["error"] or "") for case in results)
    early, late = memory[min(n for n in memory if n >= BAD)], memory[max(n for n in memory if n < SOUND)]
    print(f"{states.count('done')} done, {states.count('failed')} failed, {named} named; status {running.returncode}")
    print(f"memory after {BAD} results {early:.0f} MB, before the last {late:.0f} MB")


if __name__ == "__main__":
    main()
