"""What the arguments of each network may be in a model.json: bounded, so that a network is never built to fill memory.

The shapes of the networks themselves are in `networks`; these classes say only which numbers are plausible.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

from LiverMRISegLib.errors import LiverMRISegError, ModelError, UsageError
from LiverMRISegLib.io.dataclass_reader import read_dataclass
from LiverMRISegLib.io.limits import Limits
from LiverMRISegLib.networks.registry import network_named
from LiverMRISegLib.networks.shapes import Shape
from LiverMRISegLib.networks.sizes import DEFAULT_STRIDES, GENERIC, NNUNETS, SAM_MED3D, check_input

MOST_STAGES = 16
Images = Annotated[int, Limits(1, 64)]
Classes = Annotated[int, Limits(1, 1024)]
Width = Annotated[int, Limits(1, 8192)]
Blocks = Annotated[int, Limits(1, 100)]
Stride = Annotated[int, Limits(1, 16)]
Kernel = Annotated[int, Limits(1, 15)]
_Strides = tuple[tuple[Stride, Stride, Stride], ...]


@dataclass(frozen=True)
class StunetArguments:
    """Of a STU-Net of a named size; `strides` are triples [Z, Y, X]."""

    in_channels: Images
    out_channels: Classes
    strides: _Strides = DEFAULT_STRIDES
    deep_supervision: bool = False

    def __post_init__(self) -> None:
        _check_stages(strides=self.strides)


@dataclass(frozen=True)
class GenericStunetArguments(StunetArguments):
    """Of a STU-Net of any size."""

    widths: tuple[Width, ...] = ()
    blocks: Blocks = 1

    def __post_init__(self) -> None:
        _check_stages(strides=self.strides, widths=self.widths)


@dataclass(frozen=True)
class NnunetArguments:
    """Of nnU-Net's networks; everything is given per stage."""

    in_channels: Images
    out_channels: Classes
    features: tuple[Width, ...]
    strides: _Strides
    blocks: tuple[Blocks, ...]
    kernels: tuple[tuple[Kernel, Kernel, Kernel], ...] = ()
    deep_supervision: bool = False

    def __post_init__(self) -> None:
        _check_stages(features=self.features, strides=self.strides, blocks=self.blocks, kernels=self.kernels)


@dataclass(frozen=True)
class SamMed3dArguments:
    """Of SAM-Med3D's image encoder; `size` of the cube in voxels that it sees."""

    in_channels: Images
    out_channels: Classes
    size: Annotated[int, Limits(1, 1024)] = 128
    patch: Annotated[int, Limits(1, 1024)] = 16
    width: Width = 768
    depth: Annotated[int, Limits(1, 100)] = 12
    heads: Annotated[int, Limits(1, 100)] = 12
    window: Annotated[int, Limits(1, 1024)] = 14
    global_blocks: tuple[Annotated[int, Limits(0, 100)], ...] = (2, 5, 8, 11)

    def __post_init__(self) -> None:
        _check_stages(global_blocks=self.global_blocks)


def _check_stages(**given: Sequence[Any]) -> None:
    for name, values in given.items():
        if len(values) > MOST_STAGES:
            raise ModelError(f"network.kwargs.{name} must have at most {MOST_STAGES} entries, not {len(values)}")


def checked_shapes(name: str, kwargs: Mapping[str, Any], where: str) -> dict[str, Shape]:
    """Name and shape of every tensor of the network `name`, if its arguments are plausible.

    Args:
        name: of the network, see `networks.registry`.
        kwargs: as in model.json.
        where: the file, for messages.

    Raises:
        ModelError: the network is unknown, or an argument is missing, unknown, of another type or out of its limits.
    """
    try:
        known = network_named(name)
        read_dataclass(_arguments_of(name), dict(kwargs), f"{where}: network.kwargs", ModelError)
        return known.shapes(name, kwargs)
    except ModelError:
        raise
    except (LiverMRISegError, ArithmeticError, LookupError, TypeError, ValueError) as error:
        raise ModelError(f"{where}: the network cannot be built ({error}); get the model again") from error


def _arguments_of(name: str) -> type[Any]:
    if name == GENERIC:
        return GenericStunetArguments
    return NnunetArguments if name in NNUNETS else SamMed3dArguments if name == SAM_MED3D else StunetArguments


def check_patch(name: str, kwargs: Mapping[str, Any], patch: Sequence[int]) -> None:
    """ModelError unless the strides of the network divide the patch, and leave more than one voxel at the end."""
    if name == SAM_MED3D:
        return
    try:
        check_input(kwargs.get("strides", DEFAULT_STRIDES), patch)
    except UsageError as error:
        raise ModelError(f"inference.patch: {error}") from error
