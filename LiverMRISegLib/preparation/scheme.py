"""The one way from a volume to the grid of a network: by the scheme that its package names."""

from __future__ import annotations

from collections.abc import Sequence

from LiverMRISegLib.errors import InputError, UsageError
from LiverMRISegLib.models.package.specification import NNUNET, PreparationSpec
from LiverMRISegLib.preparation.nnunet_scheme import NnUNetPrepared, prepare_as_nnunet
from LiverMRISegLib.preparation.own_scheme import Prepared, prepare
from LiverMRISegLib.volume import SAME_PLACE, Volume, turned_to

AnyPrepared = Prepared | NnUNetPrepared


def prepare_by_scheme(volume: Volume, spec: PreparationSpec, further: Sequence[Volume] = ()) -> AnyPrepared:
    """Prepare `volume`, and the `further` images of its case, as the `scheme` of a model's preparation says.

    Raises:
        UsageError: the model takes more or fewer images a case.
        InputError: the images of the case are on different grids.
    """
    names = ", ".join(image.name for image in spec.images)
    if 1 + len(further) != len(spec.images):
        raise UsageError(
            f"{volume.name}: the model takes {len(spec.images)} image(s) a case ({names}), {1 + len(further)} given; "
            "give the first, and the others as its further images"
        )
    together = []
    for other in further:
        turned = turned_to(other, volume.geometry, SAME_PLACE)
        if turned is None:
            raise InputError(
                f"{other.name}: is on another grid than {volume.name}, and the images of a case ({names}) must be "
                f"on one; resample it onto that of {volume.name} and check that they show the same place"
            )
        together.append(turned)
    return prepare_as_nnunet(volume, spec, together) if spec.scheme == NNUNET else prepare(volume, spec)
