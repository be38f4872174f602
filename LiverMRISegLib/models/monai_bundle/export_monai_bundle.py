"""A model package as a MONAI bundle, which MONAI, MONAI Label and other programs run without this library."""

from __future__ import annotations

import io
import json
import warnings
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import torch
from torch import nn

from LiverMRISegLib.io.atomic_folder import atomic_write_folder
from LiverMRISegLib.models.monai_bundle.monai_config import (
    NETWORK,
    TRANSFORMS,
    check_exportable,
    inference_config,
    left_out,
    metadata,
)
from LiverMRISegLib.models.package.built import built_member
from LiverMRISegLib.models.package.model_package import ModelPackage
from LiverMRISegLib.models.package.specification import ModelSpec
from LiverMRISegLib.networks.instance_norm import InstanceNorm3d

# Names on PyPI, and the lowest versions that run the bundle.
_NEEDED = {
    "monai": "1.5.0", "torch": "2.6.0", "numpy": "1.26.0", "nibabel": "5.2.0", "pytorch-ignite": "0.5.0",
    "scikit-image": "0.22.0", "scipy": "1.11.0", "fire": "0.6.0",
}  # fmt: skip


def export_monai_bundle(package: ModelPackage, folder: Path) -> Path:
    """Write a bundle, whole or not at all, into `folder`, which must be new or empty.

    Raises:
        ModelError: MONAI cannot prepare the model's images, or the package is damaged.
        OutputError: it cannot be written there.
    """
    spec = package.spec
    check_exportable(spec)
    documents = {"configs/inference.json": inference_config(spec), "configs/metadata.json": metadata(spec, _versions())}
    files = {name: json.dumps(document, indent=2).encode("utf-8") + b"\n" for name, document in documents.items()}
    files |= {
        NETWORK: _torchscript([built_member(package, n) for n in range(spec.network.members)], spec),
        TRANSFORMS: Path(__file__).with_name("monai_transforms.py").read_bytes(),
        "scripts/__init__.py": b"",
        "docs/README.md": _readme(spec).encode("utf-8"),
        "LICENSE": f"The weights of {spec.name} {spec.version}: {spec.weights_license}\n".encode(),
    }
    return atomic_write_folder(Path(folder), files)


class _Mean(nn.Module):
    """The mean of the logits of several networks."""

    def __init__(self, networks: Sequence[nn.Module]) -> None:
        super().__init__()
        self.networks = nn.ModuleList(networks)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Logits [B, C, Z, Y, X] of images [B, 1, Z, Y, X]."""
        return torch.stack([network(image) for network in self.networks]).mean(0)


def _torchscript(networks: Sequence[nn.Module], spec: ModelSpec) -> bytes:
    """The networks as one TorchScript module, for batches of any size."""
    whole = networks[0] if len(networks) == 1 else _Mean(networks)
    for module in whole.modules():
        # Ours splits a batch, which a trace would record for the one batch size it sees.
        if isinstance(module, InstanceNorm3d):
            module.__class__ = nn.InstanceNorm3d  # type: ignore[assignment]
    with warnings.catch_warnings(), torch.inference_mode():
        warnings.filterwarnings("ignore", category=DeprecationWarning)
        warnings.filterwarnings("ignore", category=torch.jit.TracerWarning)  # checks of the input's size
        traced = torch.jit.trace(whole, torch.zeros(1, int(spec.network.kwargs["in_channels"]), *spec.inference.patch))
        buffer = io.BytesIO()
        torch.jit.save(traced, buffer)
    return buffer.getvalue()


def _versions() -> dict[str, str]:
    """Versions of what the bundle needs: the installed one, else the lowest that runs it."""
    found = {}
    for name, least in _NEEDED.items():
        try:
            found[name] = version(name).partition("+")[0]
        except PackageNotFoundError:
            found[name] = least
    return found


def _readme(spec: ModelSpec) -> str:
    organs = "\n".join(f"| {value} | {organ.name} |" for value, organ in sorted(spec.labels.items()))
    needed = " ".join(name for name in _NEEDED if name not in ("torch", "numpy"))
    return f"""# {spec.name} {spec.version}

{spec.task}. **{spec.intended_use}** Weights: {spec.weights_license}.

Segments every `.nii` and `.nii.gz` file of a folder. Run it in the bundle's folder, after
`pip install torch {needed}`:

    python -m monai.bundle run --config_file configs/inference.json --dataset_dir IMAGES --output_dir MASKS

The masks `NAME_seg.nii.gz` have the grids of the images:

| value | organ |
|---|---|
| 0 | background |
{organs}

Written by `livermriseg models export {spec.name} --format monai-bundle`. Results differ a little from those of
livermriseg:

{chr(10).join(f"- {sentence}" for sentence in left_out(spec))}

The figures in `configs/metadata.json` (`eval_metrics`) were measured with livermriseg, not with this bundle.
`{NETWORK}` is TorchScript and `{TRANSFORMS}` is Python. Unlike the package they were made from, they are programs: run
them only if you trust their source.
"""
