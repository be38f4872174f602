"""What many tests share: small volumes in every orientation, a DICOM series, a tiny model package."""

from __future__ import annotations

import itertools
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

os.environ.setdefault("OMP_NUM_THREADS", "1")

from LiverMRISegLib.anatomy import CHAOS, LEFT_KIDNEY, LIVER, LabelSet
from LiverMRISegLib.models.package import ModelPackage, save_package
from LiverMRISegLib.models.specification import InferenceSpec, ModelSpec, NetworkSpec, OrganRule, PreparationSpec
from LiverMRISegLib.networks.shapes import parameter_shapes
from LiverMRISegLib.volume import Geometry, Volume

ROOT = Path(__file__).resolve().parents[1]
DATA = ROOT.parent / "shared" / "data"
TINY_KWARGS = {
    "in_channels": 1,
    "out_channels": 5,
    "widths": [4, 4, 4, 4, 4, 4],
    "strides": [[2, 2, 2], [2, 2, 2], [1, 1, 1], [1, 1, 1], [1, 1, 1]],
}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Whole pipelines first: at the end one process would wait for them."""
    items.sort(key=lambda item: "_workflow" not in item.path.name)


def all_directions() -> list[np.ndarray]:
    """The 48 directions whose axes are parallel to the patient's."""
    turned = []
    for order in itertools.permutations(range(3)):
        for signs in itertools.product((1.0, -1.0), repeat=3):
            matrix = np.zeros((3, 3))
            for column, (row, sign) in enumerate(zip(order, signs, strict=True)):
                matrix[row, column] = sign
            turned.append(matrix)
    return turned


def oblique_directions() -> list[np.ndarray]:
    """Some proper rotations, none near an axis."""
    found = []
    for seed in range(4):
        q, _ = np.linalg.qr(np.random.default_rng(seed).normal(size=(3, 3)))
        found.append(q)
    return found


def as_rows(matrix: np.ndarray):
    return tuple(tuple(float(v) for v in row) for row in matrix)


def make_volume(direction: np.ndarray | None = None, size=(20, 16, 12), spacing=(2.0, 2.5, 4.0), seed=0) -> Volume:
    """A smooth random image of small positive numbers."""
    matrix = np.eye(3) if direction is None else direction
    geometry = Geometry(size, spacing, (11.0, -7.0, 31.0), as_rows(matrix))
    array = np.random.default_rng(seed).uniform(10, 400, geometry.shape).astype(np.float32)
    return Volume(array, geometry, "made")


def tiny_spec(name: str = "tiny") -> ModelSpec:
    return ModelSpec(
        name=name,
        version="1.0",
        task="four organs",
        modality="MR",
        sequences=("T2WI",),
        labels=CHAOS,
        network=NetworkSpec("stunet", TINY_KWARGS),
        preparation=PreparationSpec((6.0, 6.0, 6.0), normalisation="percentile-z-score"),
        inference=InferenceSpec((16, 24, 24)),
        postprocessing={"liver": OrganRule(keep_largest=True, plausible_ml=(500.0, 3000.0))},
        weights_license="Apache-2.0",
    )


def random_weights(spec: ModelSpec, seed: int = 0) -> dict[str, np.ndarray]:
    random = np.random.default_rng(seed)
    shapes = parameter_shapes(spec.network.name, spec.network.kwargs)
    return {name: random.normal(0, 0.3, shape).astype(np.float16) for name, shape in shapes.items()}


@pytest.fixture(scope="session")
def tiny_package(tmp_path_factory) -> Path:
    """A package with random weights: its masks mean nothing, everything else is real."""
    spec = tiny_spec()
    return save_package(spec, random_weights(spec), tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture(scope="session")
def two_organ_package(tmp_path_factory) -> ModelPackage:
    """As `tiny_package`, of two organs and at 3 mm; tests put engines of known results in its network's place."""
    spec = replace(
        tiny_spec(),
        network=NetworkSpec("stunet", {**TINY_KWARGS, "out_channels": 3}),
        preparation=PreparationSpec((3.0, 3.0, 3.0), normalisation="z-score"),
        inference=InferenceSpec((12, 12, 12)),
        labels=LabelSet("two", {1: LIVER, 2: LEFT_KIDNEY}),
        postprocessing={},
    )
    return ModelPackage.load(save_package(spec, random_weights(spec), tmp_path_factory.mktemp("models") / "two"))


def write_dicom_series(folder: Path, volume: Volume, *, skip=(), uid_suffix="1", description="T2 axial") -> None:
    """An MR series of one file a slice, written by pydicom."""
    import pydicom
    from pydicom.dataset import FileDataset, FileMetaDataset

    folder.mkdir(parents=True, exist_ok=True)
    direction = np.array(volume.geometry.direction)
    for number, plane in enumerate(volume.array):
        if number in skip:
            continue
        meta = FileMetaDataset()
        meta.MediaStorageSOPClassUID = pydicom.uid.MRImageStorage
        meta.MediaStorageSOPInstanceUID = f"1.2.826.0.1.3680043.10.1.{uid_suffix}.{number + 1}"
        meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
        path = folder / f"image_{uid_suffix}_{number:03d}.dcm"
        data = FileDataset(str(path), {}, file_meta=meta, preamble=b"\0" * 128)
        data.SOPClassUID, data.SOPInstanceUID = meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID
        data.PatientName, data.PatientID = "Secret^Name", "secret-id"
        data.PatientBirthDate, data.PatientSex = "", ""
        data.StudyInstanceUID = "1.2.826.0.1.3680043.10.9"
        data.SeriesInstanceUID = f"1.2.826.0.1.3680043.10.2.{uid_suffix}"
        data.FrameOfReferenceUID = "1.2.826.0.1.3680043.10.8"
        data.StudyDate, data.StudyTime, data.StudyID, data.AccessionNumber = "20200101", "000000", "1", ""
        data.ReferringPhysicianName, data.PositionReferenceIndicator = "", ""
        data.Modality, data.SeriesDescription, data.Manufacturer = "MR", description, "Maker"
        data.SeriesNumber, data.InstanceNumber = int(uid_suffix), number + 1
        data.ImagePositionPatient = [f"{v:.6f}" for v in volume.geometry.world_of((0, 0, number))]
        data.ImageOrientationPatient = [f"{v:.6f}" for v in (*direction[:, 0], *direction[:, 1])]
        data.PixelSpacing = [volume.geometry.spacing[1], volume.geometry.spacing[0]]
        data.SliceThickness = volume.geometry.spacing[2]
        data.Rows, data.Columns = plane.shape
        data.SamplesPerPixel, data.PhotometricInterpretation = 1, "MONOCHROME2"
        data.BitsAllocated, data.BitsStored, data.HighBit, data.PixelRepresentation = 16, 16, 15, 0
        data.ImageType = ["ORIGINAL", "PRIMARY"]
        data.PixelData = plane.astype(np.uint16).tobytes()
        data.save_as(path, enforce_file_format=True)


@pytest.fixture
def scene():
    """An empty MRML scene that is slicer.mrmlScene."""
    slicer = pytest.importorskip("slicer")
    made = slicer.vtkMRMLScene()
    slicer.mrmlScene = made
    yield made
    made.Clear(True)
