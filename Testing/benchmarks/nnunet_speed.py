"""nnU-Net v2's predictor and `livermriseg segment` on one file, one after the other: time and peak memory on this CPU.

    make bench-nnunet                                                   # once
    .venv/bin/python Testing/benchmarks/nnunet_speed.py                 # both networks, some minutes each
    .venv/bin/python Testing/benchmarks/nnunet_speed.py --small         # does it work? small networks and images

Both start as programs of their own and end with the mask on disk; no mirroring; weights are random. Memory is that of
all processes of a program together, pages that they share counted once.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import psutil

from common import machine
from LiverMRISegLib.inference.interpolation import resize_linear
from LiverMRISegLib.io import read_labelmap, write_volume
from LiverMRISegLib.models.import_nnunet import import_nnunet
from LiverMRISegLib.volume import Geometry, Volume
from nnunet_folder import Design, checkpoint, configuration, dataset, plans, write_folder

ROOT = Path(__file__).resolve().parents[2]
REFERENCE = ROOT / ".venv-nnunet" / "bin" / "python"
ORGANS = 13
_FEATURES, _TWO, _ONE = (32, 64, 128, 256, 320, 320), [2, 2, 2], [1, 1, 1]
_THREE = [3, 3, 3]
RESIDUAL = Design(
    "ResidualEncoderUNet", _FEATURES, [_ONE, [1, 2, 2], _TWO, _TWO, _TWO, [1, 2, 2]],
    [[1, 3, 3], *[_THREE] * 5], (1, 3, 4, 6, 6, 6),
)  # fmt: skip
PLAIN = Design("PlainConvUNet", _FEATURES, [_ONE, *[_TWO] * 5], [_THREE] * 6)


@dataclass(frozen=True)
class Run:
    """A network and an image [Z, Y, X] on the network's own grid."""

    name: str
    design: Design
    shape: tuple[int, int, int]
    spacing: tuple[float, float, float]
    patch: tuple[int, int, int]


RUNS = (
    Run("ResEncM, 80x256x320 at 3x1.2x1.2 mm", RESIDUAL, (80, 256, 320), (3.0, 1.2, 1.2), (48, 160, 224)),
    Run("plain, 128^3 patches, 192x192x192 at 1.5 mm", PLAIN, (192, 192, 192), (1.5, 1.5, 1.5), (128, 128, 128)),
)
SMALL = (
    Run("small res-enc", Design("ResidualEncoderUNet", (8, 16, 24)), (24, 64, 64), (3.0, 1.2, 1.2), (16, 48, 48)),
    Run("small plain", Design("PlainConvUNet", (8, 16, 24)), (48, 48, 48), (1.5, 1.5, 1.5), (32, 32, 32)),
)


def measured(command: list[object], environment: dict[str, str]) -> tuple[float, float, str]:
    """Seconds, peak GB and standard output of a program."""
    start, peak = time.perf_counter(), 0.0
    with (
        tempfile.TemporaryFile("w+") as output,
        subprocess.Popen([str(part) for part in command], stdout=output, env={**os.environ, **environment}) as program,
    ):
        while program.poll() is None:
            peak = max(peak, _memory_gb(program.pid))
            time.sleep(0.1)
        seconds = time.perf_counter() - start
        output.seek(0)
        if program.returncode:
            raise SystemExit(f"failed: {' '.join(str(part) for part in command)}")
        return seconds, peak, output.read()


def _memory_gb(number: int) -> float:
    """Of a process and all it started; what ends meanwhile counts as nothing."""
    total = 0
    try:
        root = psutil.Process(number)
        for process in (root, *root.children(recursive=True)):
            total += process.memory_full_info().pss
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        pass
    return total / 1e9


def ours(file: Path, package: Path, output: Path) -> tuple[float, float, float]:
    """Whole seconds, seconds of the network, peak GB."""
    command = [sys.executable, "-m", "LiverMRISegLib", "segment", file, "-o", output, "--model", package]
    seconds, peak, said = measured([*command, "--device", "cpu", "--json"], {"PYTHONPATH": str(ROOT)})
    return seconds, json.loads(said)[0]["provenance"]["seconds"]["network"], peak


def theirs(file: Path, model: Path, output: Path, folder: Path) -> tuple[float, float, float]:
    """As `ours`, of nnU-Net."""
    truncated = str(output).removesuffix(".nii.gz")
    job = {"model": str(model), "folds": [0], "mirror": False, "wide": False, "files": [str(file)]}
    (folder / "jobs.json").write_text(json.dumps([{**job, "outputs": [truncated]}]))
    script = Path(__file__).with_name("nnunet_reference.py")
    cores = str(len(os.sched_getaffinity(0)))
    seconds, peak, said = measured([REFERENCE, script, folder / "jobs.json"], {"nnUNet_def_n_proc": cores})
    return seconds, json.loads(said.splitlines()[-1])[0]["network"], peak


def compare(run: Run, folder: Path) -> None:
    """Print both programs' figures and their ratio."""
    organs = {f"organ {number}": number for number in range(1, ORGANS + 1)}
    plan = plans({"3d_fullres": configuration(run.design, run.spacing, run.patch)})
    document = checkpoint(run.design.network(ORGANS + 1).state_dict())
    model = write_folder(folder, plan, dataset(organs), {"fold_0": document})
    package = import_nnunet(model, "speed", folder / "models")
    coarse = np.random.default_rng(0).uniform(50, 900, (12, 14, 16)).astype(np.float32)
    file = folder / "image_0000.nii.gz"
    size, spacing = run.shape[::-1], run.spacing[::-1]
    write_volume(Volume(resize_linear(coarse, run.shape).astype(np.int16), Geometry(size, spacing)), file)
    outputs = folder / "ours.nii.gz", folder / "theirs.nii.gz"
    rows = {"nnU-Net 2.8.1": theirs(file, model, outputs[1], folder), "ours": ours(file, package, outputs[0])}
    for name, (seconds, network, peak) in rows.items():
        print(
            f"{run.name:44s} {name:14s} {seconds:8.1f} s   network {network:8.1f} s   peak {peak:6.2f} GB", flush=True
        )
    same = float((read_labelmap(outputs[0]).array == read_labelmap(outputs[1]).array).mean())
    other, own = rows["nnU-Net 2.8.1"], rows["ours"]
    print(
        f"RATIO nnunet_speed, {run.name}: whole {other[0] / own[0]:.1f} times faster, network "
        f"{other[1] / own[1]:.1f} times, memory {other[2] / own[2]:.1f} times less; {same:.3%} of the voxels equal",
        flush=True,
    )


def main() -> None:
    """Compare on both networks, one after the other."""
    if not REFERENCE.exists():
        raise SystemExit(f"{REFERENCE} is missing; run: make bench-nnunet")
    print(machine(), flush=True)
    for run in SMALL if "--small" in sys.argv else RUNS:
        with tempfile.TemporaryDirectory() as folder:
            compare(run, Path(folder))


if __name__ == "__main__":
    main()
