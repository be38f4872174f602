"""The whole command `livermriseg segment` on a 256 x 256 x 36 volume, cold, with its parts."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from LiverMRISegLib.anatomy import Sequence
from LiverMRISegLib.io import write_volume
from LiverMRISegLib.models.catalog import list_models
from LiverMRISegLib.phantom.study import make_study
from LiverMRISegLib.resources import DEFAULT_MODEL
from LiverMRISegLib.volume import Geometry, Volume, resample

REPEATS = 5
AIM_SECONDS = 2.0


def sample() -> Volume:
    """A phantom on a grid of 256 x 256 x 36 voxels of 1.5 x 1.5 x 6 mm."""
    scan = make_study([Sequence.T2WI], seed=0)[Sequence.T2WI].volume
    centre = np.array(scan.geometry.world_of([(n - 1) / 2 for n in scan.geometry.size]))
    spacing, size = (1.5, 1.5, 6.0), (256, 256, 36)
    origin = centre - (np.array(size) - 1) / 2 * np.array(spacing)
    x, y, z = map(float, origin)
    return resample(scan, Geometry(size, spacing, (x, y, z)))


def once(model: str, source: Path, output: Path) -> dict[str, float]:
    """Seconds of the parts of one run in a fresh process; "start-up and exit" is what no part accounts for."""
    segment = ["segment", str(source), "-o", str(output), "--model", model, "--json"]
    command = [sys.executable, "-m", "LiverMRISegLib", *segment]
    start = time.perf_counter()
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    total = time.perf_counter() - start
    parts = json.loads(done.stdout)[0]["provenance"]["seconds"]
    return {"total": total, **parts, "start-up and exit": total - sum(parts.values())}


def main() -> None:
    """Measure and print; the last line holds the ratio."""
    names = [DEFAULT_MODEL, *(e.name for e in list_models() if e.is_shipped and e.name != DEFAULT_MODEL)]
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "volume.nii.gz"
        write_volume(sample(), source)
        rounds = [{name: once(name, source, Path(folder) / "out.nii.gz") for name in names} for _ in range(REPEATS)]
    middle = {name: sorted((r[name] for r in rounds), key=lambda r: r["total"])[REPEATS // 2] for name in names}
    run = middle[DEFAULT_MODEL]
    for name in names[1:]:
        total = middle[name]["total"]
        print(f"RATIO segment_command: {name} {total:.2f} s, {total / run['total']:.2f} times as long as the default")
    for part in ("start-up and exit", "read", "load", "prepare", "network", "restore", "postprocess", "write"):
        print(f"{part:18s} {run[part]:6.3f} s")
    other = run["total"] - run["network"]
    print(f"{'total':18s} {run['total']:6.3f} s")
    print(
        f"RATIO segment_command: the network takes {run['network'] / run['total']:.0%} of {run['total']:.2f} s; "
        f"all the rest takes {other:.2f} s (aim: under {AIM_SECONDS} s)"
    )


if __name__ == "__main__":
    main()
