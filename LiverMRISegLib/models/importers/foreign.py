"""Foreign checkpoints, read without running any code in them: tensors and plain numbers, nothing else."""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from LiverMRISegLib.errors import ModelError
from LiverMRISegLib.extras import require
from LiverMRISegLib.io.dataclass_reader import shown


def read_foreign(source: Path) -> Any:
    """What torch saved in a file, by torch's weights-only reader with an explicit list of harmless types.

    Raises:
        ModelError: no such file, a damaged one, or one that contains more than tensors and numbers.
        UsageError: torch is not installed.
    """
    require("reading a checkpoint", "torch", "torch")
    import torch

    try:
        with torch.serialization.safe_globals(_harmless()):
            return torch.load(source, map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        raise ModelError(f"{source}: no such file; check the path") from error
    except pickle.UnpicklingError as error:
        if "Unsupported operand" in str(error):  # no pickle at all: a web page that says why there was no download
            raise ModelError(f"{source}: is damaged or no checkpoint; download it again") from error
        raise ModelError(
            f"{source}: contains more than tensors and numbers, which could run code, and was not read; "
            "get the checkpoint from its authors"
        ) from error
    except MemoryError as error:
        raise ModelError(f"{source}: needs more memory than there is; is it damaged?") from error
    except Exception as error:  # a damaged file can raise anything inside torch's reader
        raise ModelError(
            f"{source}: is damaged or no checkpoint ({type(error).__name__}); download it again"
        ) from error


def tensors_of(named: Mapping[Any, Any], source: Path) -> dict[str, np.ndarray]:
    """The tensors of a checkpoint as float32 arrays by name.

    Raises:
        ModelError: a name is not text, or what it names is not a tensor of finite real numbers.
    """
    import torch

    arrays = {}
    for name, tensor in named.items():
        is_plain = isinstance(tensor, torch.Tensor) and tensor.layout == torch.strided and not tensor.is_quantized
        if not isinstance(name, str) or not is_plain or tensor.is_complex() or tensor.is_meta:
            raise ModelError(
                f"{source}: {shown(name)} is not a plain tensor but {type(tensor).__name__}; "
                "get the checkpoint from its authors"
            )
        arrays[name] = tensor.detach().float().numpy()
        if not np.isfinite(arrays[name]).all():
            raise ModelError(f"{source}: tensor '{name}' contains NaN or infinite values; download it again")
    return arrays


def _harmless() -> list[Any]:
    """What checkpoints hold beside the tensors: numpy's numbers and arrays and a device (nnU-Net), flags (SAM-Med3D).

    numpy 1 wrote its functions under names that numpy 2 no longer has.
    """
    from argparse import Namespace

    import torch
    from numpy._core import multiarray

    kinds = [np.dtype(code) for code in ("f8", "f4", "f2", "i8", "i4", "u1", "?")]
    functions = [multiarray.scalar, multiarray._reconstruct]
    old = [(function, f"numpy.core.multiarray.{function.__name__}") for function in functions]
    return [*functions, *old, np.ndarray, np.dtype, *{type(kind) for kind in kinds}, torch.device, Namespace]
