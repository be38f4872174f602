"""nnU-Net v2's predictor and `livermriseg segment` on the same files, one after the other: time and peak memory here.

    make bench-nnunet                                                   # once
    .venv/bin/python Testing/benchmarks/nnunet_speed.py                 # all, some minutes each
    .venv/bin/python Testing/benchmarks/nnunet_speed.py ResEncM         # those whose name begins so
    .venv/bin/python Testing/benchmarks/nnunet_speed.py --small         # does it work? small networks and images

Both start as programs of their own and end with the masks on disk; no mirroring; weights are random. Memory is that of
all processes of a program together, pages that they share counted once. Ours runs as imported (32 bits, the same
tiles) and with the settings that `livermriseg models tune` tries, which a user keeps where they do not change the
labels.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import psutil

from common import machine
from LiverMRISegLib.inference.tuning import Setting, settings_of
from LiverMRISegLib.io import read_labelmap, write_volume
from LiverMRISegLib.models.importers.import_nnunet import import_nnunet_model
from LiverMRISegLib.models.package.model_package import ModelPackage, rewrite
from LiverMRISegLib.preparation.interpolation import resize_linear
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
    """A network and `files` images [Z, Y, X] on the network's own grid."""

    name: str
    design: Design
    shape: tuple[int, int, int]
    spacing: tuple[float, float, float]
    patch: tuple[int, int, int]
    files: int = 1


RUNS = (
    Run("ResEncM, 80x256x320 at 3x1.2x1.2 mm", RESIDUAL, (80, 256, 320), (3.0, 1.2, 1.2), (48, 160, 224)),
    Run("plain, 128^3 patches, 192x192x192 at 1.5 mm", PLAIN, (192, 192, 192), (1.5, 1.5, 1.5), (128, 128, 128)),
    Run("cohort of 10, ResEncM, 56x160x224", RESIDUAL, (56, 160, 224), (3.0, 1.2, 1.2), (48, 160, 224), 10),
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


def ours(files: Sequence[Path], package: Path, output: Path) -> tuple[float, float, float]:
    """Whole seconds, seconds of the network, peak GB."""
    command = [sys.executable, "-m", "LiverMRISegLib", "segment", *files, "-o", output, "--model", package]
    seconds, peak, said = measured([*command, "--device", "cpu", "--json"], {"PYTHONPATH": str(ROOT)})
    return seconds, sum(case["provenance"]["seconds"]["network"] for case in json.loads(said)), peak


def theirs(files: Sequence[Path], model: Path, output: Path, folder: Path) -> tuple[float, float, float]:
    """As `ours`, of nnU-Net."""
    outputs = [str(output / file.name.removesuffix("_0000.nii.gz")) for file in files]
    job = {"model": str(model), "folds": [0], "mirror": False, "wide": False, "files": [str(file) for file in files]}
    (folder / "jobs.json").write_text(json.dumps([{**job, "outputs": outputs}]))
    script = Path(__file__).with_name("nnunet_reference.py")
    cores = str(len(os.sched_getaffinity(0)))
    seconds, peak, said = measured([REFERENCE, script, folder / "jobs.json"], {"nnUNet_def_n_proc": cores})
    return seconds, json.loads(said.splitlines()[-1])[0]["network"], peak


def made_files(run: Run, folder: Path) -> list[Path]:
    """Images of smooth noise."""
    paths = []
    for number in range(run.files):
        coarse = np.random.default_rng(number).uniform(50, 900, (12, 14, 16)).astype(np.float32)
        paths.append(folder / f"image_{number}_0000.nii.gz")
        image = resize_linear(coarse, run.shape).astype(np.int16)
        write_volume(Volume(image, Geometry(run.shape[::-1], run.spacing[::-1])), paths[-1])
    return paths


def set_to(package: Path, setting: Setting, folder: Path) -> Path:
    """A copy of the package that runs with `setting`."""
    copy = folder / f"{setting.precision}_{setting.overlap}"
    shutil.copytree(package, copy)
    loaded = ModelPackage.load(copy)
    rewrite(loaded, loaded.run_by(setting.of(loaded.spec.inference)).spec)
    return copy


def compare(run: Run, folder: Path) -> None:
    """Print both programs' figures and their ratios."""
    organs = {f"organ {number}": number for number in range(1, ORGANS + 1)}
    plan = plans({"3d_fullres": configuration(run.design, run.spacing, run.patch)})
    document = checkpoint(run.design.network(ORGANS + 1).state_dict())
    model = write_folder(folder, plan, dataset(organs), {"fold_0": document})
    package = import_nnunet_model(model, "speed", folder / "models")
    files = made_files(run, folder)
    reference = folder / "theirs"
    reference.mkdir()
    other = theirs(files, model, reference, folder)
    _tell(run, "nnU-Net 2.8.1", other)
    # Smooth noise has no organs that could be looked for; the cohort's images are covered by two tiles at any overlap.
    settings = [s for s in settings_of(ModelPackage.load(package).spec.inference) if not s.region]
    for setting in settings[: None if run.files == 1 else 2]:
        output = folder / f"ours_{setting.precision}_{setting.overlap}"
        output.mkdir()
        own = ours(files, set_to(package, setting, folder), output)
        name = f"ours, {setting}"
        _tell(run, name, own)
        same = np.mean([_equal(path, reference / path.name.replace("_0000_seg", "")) for path in output.iterdir()])
        print(
            f"RATIO nnunet_speed, {run.name}, {name}: whole {other[0] / own[0]:.1f} times faster, network "
            f"{other[1] / own[1]:.1f} times, memory {other[2] / own[2]:.1f} times less; {same:.3%} of the voxels equal",
            flush=True,
        )


def _tell(run: Run, name: str, figures: tuple[float, float, float]) -> None:
    seconds, network, peak = figures
    print(f"{run.name:40s} {name:28s} {seconds:8.1f} s   network {network:8.1f} s   peak {peak:6.2f} GB", flush=True)


def _equal(first: Path, second: Path) -> float:
    return float((read_labelmap(first).array == read_labelmap(second).array).mean())


def main() -> None:
    """Compare, one run after the other."""
    if not REFERENCE.exists():
        raise SystemExit(f"{REFERENCE} is missing; run: make bench-nnunet")
    print(machine(), flush=True)
    chosen = tuple(argument for argument in sys.argv[1:] if not argument.startswith("--")) or ("",)
    for run in SMALL if "--small" in sys.argv else [run for run in RUNS if run.name.startswith(chosen)]:
        with tempfile.TemporaryDirectory() as folder:
            compare(run, Path(folder))


if __name__ == "__main__":
    main()
