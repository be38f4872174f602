"""Model packages, configs of training and lines for the worker, damaged.

A package that is accepted by one way in is accepted by all: loaded, verified, and built into a network with finite
weights. A line for the worker is answered in one line, whatever it is, and so is the line after it.
"""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from fuzz.mutations import NASTY, OF_BYTES, OF_TEXT
from helpers.packages import random_weights, tiny_spec
from LiverMRISegLib.errors import InputError
from LiverMRISegLib.inference.worker.server import Server
from LiverMRISegLib.models.package.model_package import ModelPackage, save_package
from LiverMRISegLib.training.configuration import read_config
from LiverMRISegLib.training.stages.finetune import FinetuneConfig

SPEC = tiny_spec()
WEIGHTS = random_weights(SPEC)
_VALUES: tuple[Any, ...] = (
    None, True, -1, 0, 1, 300, 10**6, 10**12, 0.9999999, -0.5, 1e-9, 1e300, float("nan"), float("inf"), "", "x" * 300,
    "\ud800", "a\nb", [], [[]], {}, {"a": {}}, [1] * 1000, [2, 2, 2],
)  # fmt: skip
_LINES: tuple[Mapping[str, Any], ...] = (
    {"id": 1, "do": "ping"},
    {"id": 2, "do": "load", "model": "absent", "device": "cpu"},
    {
        "id": 3,
        "do": "segment",
        "model": "absent",
        "input": "a.nii",
        "output": "b.nii",
        "organs": ["liver"],
        "tta": False,
    },
)
_CONFIG = Path(__file__).parents[2] / "scripts" / "train" / "configs" / "finetune.yaml"


def _pick(values: Any, random: np.random.Generator) -> Any:
    return values[int(random.integers(0, len(values)))]


def change_value(document: Any, random: np.random.Generator) -> None:
    """One value of a JSON document replaced by one that programs stumble over, or lost."""
    holder, key = document, ""
    while isinstance(holder, (dict, list)) and holder:
        key = _pick(list(holder), random) if isinstance(holder, dict) else int(random.integers(0, len(holder)))
        inner = holder[key]
        if not isinstance(inner, (dict, list)) or not inner or random.integers(0, 4) == 0:
            break
        holder = inner
    if random.integers(0, 8) == 0:
        del holder[key]
    else:
        holder[key] = _pick((*_VALUES, *NASTY), random)


@dataclass(frozen=True)
class PackageTarget:
    """Packages; the hash is made right again, so that what is wrong has to be found."""

    name: str

    def make(self, folder: Path, random: np.random.Generator) -> Path:
        """Damaged in a value or the text of model.json, or in the weights; of a zip, anywhere."""
        path = save_package(SPEC, WEIGHTS, folder / self.name.replace(" ", "."))
        if path.is_file():
            path.write_bytes(_pick(OF_BYTES, random)(path.read_bytes(), random))
            return path
        description, weights = path / "model.json", path / "weights.safetensors"
        where = random.integers(0, 5)
        if where == 0:
            description.write_bytes(_pick(OF_TEXT, random)(description.read_bytes(), random))
            return path
        document = json.loads(description.read_text())
        if where == 1:
            content = weights.read_bytes()
            end = 8 + int.from_bytes(content[:8], "little")
            head, rest = content[:end], content[end:]
            damaged = _pick(OF_TEXT, random)(head[8:], random)
            weights.write_bytes(len(damaged).to_bytes(8, "little") + damaged + rest)
            document["files"] = {weights.name: hashlib.sha256(weights.read_bytes()).hexdigest()}
        else:
            change_value(document, random)
        description.write_text(json.dumps(document))
        return path

    def read(self, path: Path) -> ModelPackage:
        """As `models verify` does."""
        package = ModelPackage.load(path)
        package.verify()
        return package

    def fault(self, path: Path, found: ModelPackage) -> str:
        """The weights are finite, and the network is built of them."""
        from LiverMRISegLib.models.package.built import built_member

        for number in range(found.spec.network.members):
            if not all(np.isfinite(array).all() for array in found.member(number).values()):
                return "accepted with weights that are not finite"
            built_member(found, number)
        return ""


@dataclass(frozen=True)
class ConfigTarget:
    """A YAML file of a training."""

    name: str = "config"

    def make(self, folder: Path, random: np.random.Generator) -> Path:
        """Damaged in its text."""
        path = folder / "config.yaml"
        path.write_bytes(_pick(OF_TEXT, random)(_CONFIG.read_bytes(), random))
        return path

    def read(self, path: Path) -> FinetuneConfig:
        """As the training does."""
        return read_config(FinetuneConfig, path)

    def fault(self, path: Path, found: FinetuneConfig) -> str:
        """What was read can be made again."""
        return "" if replace(found) == found else "accepted, but not the same again"


@dataclass(frozen=True)
class WorkerTarget:
    """Lines for the worker, written into a file."""

    name: str = "worker"

    def make(self, folder: Path, random: np.random.Generator) -> Path:
        """A request damaged in a value or in its bytes."""
        document = dict(_pick(_LINES, random))
        if random.integers(0, 2):
            change_value(document, random)
        content = json.dumps(document).encode()
        if random.integers(0, 2):
            content = _pick((*OF_BYTES, *OF_TEXT), random)(content, random)
        path = folder / "line"
        path.write_bytes(content.replace(b"\n", b" "))
        return path

    def read(self, path: Path) -> list[dict[str, Any]]:
        """The answers; InputError if the line is answered with an error."""
        told = io.StringIO()
        Server(io.BytesIO(path.read_bytes() + b'\n{"id": "next", "do": "ping"}\n'), told).run()
        answers = [json.loads(line) for line in told.getvalue().splitlines()]
        if answers[-1]["id"] != "next" or any("unexpected" in answer.get("message", "") for answer in answers):
            raise RuntimeError(f"answers: {answers}")
        if answers[0]["event"] == "error":
            raise InputError(f"{path}: {' '.join(ascii(answers[0]['message']).split())}")
        return answers

    def fault(self, path: Path, found: list[dict[str, Any]]) -> str:
        """One answer for the next line, and at most one for this one."""
        return "" if 1 <= len(found) <= 2 else f"{len(found)} answers"


PACKAGE_TARGETS = (PackageTarget("package"), PackageTarget("package zip"), ConfigTarget(), WorkerTarget())
