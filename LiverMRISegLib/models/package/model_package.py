"""The model package: model.json and *.safetensors in a folder or a zip; what training exports and inference loads."""

from __future__ import annotations

import hashlib
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from LiverMRISegLib.errors import ModelError
from LiverMRISegLib.io.atomic import atomic_path, atomic_write_text
from LiverMRISegLib.io.atomic_folder import atomic_write_folder
from LiverMRISegLib.io.dataclass_reader import shown, to_plain
from LiverMRISegLib.models.package import codec, storage
from LiverMRISegLib.models.package.network_arguments import checked_shapes
from LiverMRISegLib.models.package.specification import InferenceSpec, ModelSpec, NetworkSpec
from LiverMRISegLib.models.package.tensors import NUMBER_TYPES, TensorPlace, is_finite
from LiverMRISegLib.networks.shapes import Shape

WEIGHTS = "weights.safetensors"
_FLOATS = (np.float16, np.float32)


@dataclass(frozen=True)
class ModelPackage:
    """A package whose files have the right hashes. Weights are read each time they are asked for, and not stored.

    `path`: the folder or .zip; `hashes`: the sha256 of every weights file; `stamp`: shows whether it has changed since.
    """

    spec: ModelSpec
    path: Path
    hashes: Mapping[str, str]
    stamp: storage.Stamp

    @classmethod
    def load(cls, path: Path) -> ModelPackage:
        """Read a folder or a .zip.

        Raises:
            ModelError: it is not a package, or a file does not match model.json.
        """
        path = Path(path)
        stamp = storage.stamp(path)
        spec, expected = _parsed(storage.read_specification(path), path)
        names = [name for name, _, _ in stamp if name != storage.SPECIFICATION]
        _check_names(names, expected, path)
        _check_places({key: place for name in names for key, place in storage.places(path, name).items()}, spec, path)
        hashes = storage.hashes(path)
        _check_hashes(hashes, expected, path)
        return cls(spec, path, hashes, stamp)

    @property
    def fingerprint(self) -> str:
        """A short identifier of exactly these weights."""
        digests = [self.hashes[name] for name in sorted(self.hashes)]
        return (digests[0] if len(digests) == 1 else _sha256("".join(digests).encode()))[:16]

    @property
    def size_mb(self) -> float:
        """Size of the weights in megabytes."""
        return sum(size for name, size, _ in self.stamp if name in self.hashes) / 1e6

    @property
    def weights(self) -> dict[str, np.ndarray]:
        """All tensors by name, as stored (float16 or float32); read from disk every time.

        Raises:
            ModelError: they do not fit the network, or the package has changed since it was loaded.
        """
        return self._read("")

    def member(self, number: int) -> dict[str, np.ndarray]:
        """The tensors of one network (0, 1, ...) by the network's own names. Errors: see `weights`."""
        prefix = "" if self.spec.network.members == 1 else member_prefix(number)
        return {name.removeprefix(prefix): array for name, array in self._read(prefix).items()}

    @contextmanager
    def mapped_member(self, number: int) -> Iterator[dict[str, np.ndarray]]:
        """Like `member`, but the tensors of a folder are views of its files (see `storage.mapped_tensors`).

        For callers that convert them: they take no memory once the context is left.
        """
        prefix = "" if self.spec.network.members == 1 else member_prefix(number)
        with self._mapped(prefix) as tensors:
            yield {name.removeprefix(prefix): array for name, array in tensors.items()}

    @contextmanager
    def _mapped(self, prefix: str) -> Iterator[dict[str, np.ndarray]]:
        self._check_unchanged()
        with ExitStack() as stack:
            tensors: dict[str, np.ndarray] = {}
            for name in self.hashes:
                tensors.update(stack.enter_context(storage.mapped_tensors(self.path, name, prefix)))
            _check_tensors(tensors, self.spec, self.path, prefix)
            yield tensors

    def _check_unchanged(self) -> None:
        if storage.stamp(self.path) != self.stamp:
            raise ModelError(f"{self.path}: has changed since it was loaded; start again")

    def _read(self, prefix: str) -> dict[str, np.ndarray]:
        self._check_unchanged()
        tensors: dict[str, np.ndarray] = {}
        for name in self.hashes:
            tensors.update(storage.read_tensors(self.path, name, prefix))
        _check_tensors(tensors, self.spec, self.path, prefix)
        return tensors

    def run_by(self, inference: InferenceSpec) -> ModelPackage:
        """The same package with another tile size, precision or region; nothing is written."""
        return replace(self, spec=replace(self.spec, inference=inference))

    def verify(self) -> int:
        """Check what `load` leaves to the reading of the weights: that all their numbers are finite.

        Returns:
            The number of tensors.

        Raises:
            ModelError: one of them contains NaN or infinite values.
        """
        with self._mapped("") as tensors:
            return len(tensors)


def member_prefix(number: int) -> str:
    """The prefix of the names of a member's tensors, in a package with several members."""
    return f"members.{number}."


def joined_members(members: Sequence[Mapping[str, np.ndarray]]) -> dict[str, np.ndarray]:
    """The tensors of the networks of one package, by the names that they have in it."""
    if len(members) == 1:
        return dict(members[0])
    return {member_prefix(m) + name: array for m, tensors in enumerate(members) for name, array in tensors.items()}


def load_spec(path: Path) -> ModelSpec:
    """The specification of a package, without reading its weights (`ModelPackage.load` checks those).

    Raises:
        ModelError: it is not a package.
    """
    return _parsed(storage.read_specification(Path(path)), Path(path))[0]


def save_package(spec: ModelSpec, weights: Mapping[str, np.ndarray], path: Path, *, source: Path | None = None) -> Path:
    """Write a package, whole or not at all: a .zip if `path` ends with .zip, else a new or empty folder.

    Args:
        spec: all but the weights.
        weights: the tensors by name.
        path: of the package.
        source: where both come from, if they were imported: errors about them name it.

    Raises:
        ModelError: the weights do not fit the network of the specification.
        OutputError: it cannot be written there.
    """
    from safetensors.numpy import save

    path = Path(path)
    _check_tensors(weights, spec, source or path)
    content = save({name: np.ascontiguousarray(array) for name, array in weights.items()})
    text = codec.to_json(spec, {WEIGHTS: _sha256(content)})
    codec.from_json(
        text, str(source) if source else f"{path}/{storage.SPECIFICATION}"
    )  # what could not be read again is not written
    files = {storage.SPECIFICATION: text.encode("utf-8"), WEIGHTS: content}
    if path.suffix.lower() == ".zip":
        _write_zip(path, files)
    else:
        atomic_write_folder(path, files)
    return path


def rewrite(package: ModelPackage, spec: ModelSpec) -> ModelPackage:
    """Replace the specification of a package in a folder; its weights stay. Returns the changed package.

    Raises:
        OutputError: it cannot be written.
    """
    atomic_write_text(package.path / storage.SPECIFICATION, codec.to_json(spec, package.hashes))
    return ModelPackage.load(package.path)


def _write_zip(path: Path, files: Mapping[str, bytes]) -> None:
    with atomic_path(path) as temporary, zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0)), content, zipfile.ZIP_DEFLATED)


def _parsed(content: bytes, path: Path) -> tuple[ModelSpec, Mapping[str, str]]:
    """Specification and hashes of the files of weights."""
    where = f"{path}/{storage.SPECIFICATION}"
    try:
        return codec.from_json(content.decode("utf-8"), where)
    except UnicodeDecodeError as error:
        raise ModelError(f"{where}: is not UTF-8 text; get the model again") from error


def _check_names(found: Sequence[str], expected: Mapping[str, str], path: Path) -> None:
    for name in sorted(set(expected) - set(found)):
        raise ModelError(f"{path}: {shown(name)} is missing; get the model again")
    for name in sorted(set(found) - set(expected)):
        raise ModelError(f"{path}: '{name}' is not named in {storage.SPECIFICATION}; get the model again")


def _check_hashes(found: Mapping[str, str], expected: Mapping[str, str], path: Path) -> None:
    for name, digest in expected.items():
        if found[name] != digest.lower():
            raise ModelError(
                f"{path}: '{name}' has the wrong sha256: it is damaged or was changed; get the model again"
            )


def _check_places(places: Mapping[str, TensorPlace], spec: ModelSpec, path: Path) -> None:
    """Check that they are exactly the network's tensors, before any of them is read."""
    described = {name: (place.shape, place.kind, place.kind in NUMBER_TYPES) for name, place in places.items()}
    _check_described(described, spec, path, "")


def _check_tensors(tensors: Mapping[str, np.ndarray], spec: ModelSpec, path: Path, prefix: str = "") -> None:
    """Check that `tensors` are exactly the network's tensors whose names begin with `prefix`, and finite."""
    described = {name: (a.shape, str(a.dtype), a.dtype.type in _FLOATS) for name, a in tensors.items()}
    _check_described(described, spec, path, prefix)
    for name, array in tensors.items():
        if not is_finite(array):
            raise ModelError(f"{path}: tensor '{name}' contains NaN or infinite values; get the model again")


def _check_described(found: Mapping[str, tuple[Shape, str, bool]], spec: ModelSpec, path: Path, prefix: str) -> None:
    """Check tensors by their names, shapes and types (in words, and whether it is one of ours)."""
    network = spec.network.name
    shapes = _expected_shapes(spec.network, f"{path}/{storage.SPECIFICATION}")
    expected = {name: shape for name, shape in shapes.items() if name.startswith(prefix)}
    for name in sorted(set(expected) - set(found)):
        raise ModelError(f"{path}: tensor '{name}' of {network} is missing; get the model again")
    for name, (shape, kind, is_ours) in found.items():
        if name not in expected:
            raise ModelError(f"{path}: tensor {shown(name)} does not belong to {network}; get the model again")
        if shape != expected[name]:
            raise ModelError(f"{path}: tensor '{name}' has shape {shape} instead of {expected[name]}")
        if not is_ours:
            raise ModelError(f"{path}: tensor '{name}' is {kind}; expected float16 or float32")


def _expected_shapes(network: NetworkSpec, where: str) -> dict[str, Shape]:
    shapes = checked_shapes(network.name, to_plain(network.kwargs), where)
    if network.members == 1:
        return shapes
    return {member_prefix(m) + name: shape for m in range(network.members) for name, shape in shapes.items()}


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
