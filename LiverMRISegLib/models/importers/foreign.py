"""Foreign checkpoints, read without running any code in them: tensors and plain numbers, nothing else."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np

from LiverMRISegLib.errors import ModelError
from LiverMRISegLib.extras import require


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
    except (OSError, RuntimeError, EOFError, ValueError, LookupError) as error:
        raise ModelError(
            f"{source}: is damaged or no checkpoint ({type(error).__name__}); download it again"
        ) from error


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
