"""Weights of a package: names, shapes, places in their file and numbers are checked; a pickle is never run."""

import json
import os
import pickle
from dataclasses import replace

import numpy as np
import pytest

from helpers.packages import random_weights, refused, repacked, tiny_spec
from LiverMRISegLib.errors import ModelError
from LiverMRISegLib.inference.segmenter import Segmenter
from LiverMRISegLib.models.package.model_package import ModelPackage, save_package
from LiverMRISegLib.models.package.tensors import is_finite

SPEC = tiny_spec()
WEIGHTS = random_weights(SPEC)


class Trap:
    """Unpickling this makes a folder: a test can see whether it was run."""

    def __init__(self, path):
        self.path = str(path)

    def __reduce__(self):
        return os.mkdir, (self.path,)


def test_a_pickle_renamed_is_refused_and_not_run(tmp_path):
    refused(repacked(tmp_path, pickle.dumps(Trap(tmp_path / "sprung"))), "not a safetensors", verify=True)
    assert not (tmp_path / "sprung").exists()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda w: w.pop("seg_outputs.0.bias"), "tensor 'seg_outputs.0.bias' of stunet is missing"),
        (lambda w: w.update(extra=np.zeros(1, np.float16)), "'extra' does not belong"),
        (lambda w: w.update({"seg_outputs.0.bias": np.zeros(4, np.float16)}), r"shape \(4,\) instead of \(5,\)"),
        (lambda w: w.update({"seg_outputs.0.bias": np.zeros(5, np.int32)}), "I32"),
        (lambda w: w.update({"seg_outputs.0.bias": np.full(5, np.nan, np.float16)}), "NaN"),
    ],
)
def test_wrong_tensors(tmp_path, change, words):
    from safetensors.numpy import save

    weights = dict(WEIGHTS)
    change(weights)
    refused(repacked(tmp_path, save(weights)), words, verify=True)


def header_of(content):
    """A safetensors file's header, and what follows it."""
    length = int.from_bytes(content[:8], "little")
    return json.loads(content[8 : 8 + length]), content[8 + length :]


def with_header(header, tensors):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + tensors


def _move(header, name, first, last):
    header[name]["data_offsets"] = [first, last]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda h: _move(h, "seg_outputs.0.bias", 0, 10), "overlap or leave a gap"),
        (lambda h: _move(h, "seg_outputs.0.bias", -10, 0), "not a list of whole numbers"),
        (lambda h: _move(h, "seg_outputs.0.bias", 2**70, 2**70 + 10), "not a list of whole numbers"),
        (lambda h: _move(h, "seg_outputs.0.bias", 2**40, 2**40 + 10), "overlap or leave a gap"),
        (lambda h: _move(h, "seg_outputs.0.bias", 0, 12), "does not fit its shape"),
        (lambda h: h["seg_outputs.0.bias"].update(shape=[1.5]), "not a list of whole numbers"),
        (lambda h: h["seg_outputs.0.bias"].update(shape="5"), "not a list of whole numbers"),
        (lambda h: h["seg_outputs.0.bias"].update(dtype="F13"), "of the unknown type 'F13'"),
        (lambda h: h["seg_outputs.0.bias"].update(dtype=[]), "of the unknown type"),
        (lambda h: h.update({"more": 3}), "needs dtype, shape and data_offsets"),
        (lambda h: h.pop("seg_outputs.0.bias"), "overlap or leave a gap|end after"),
    ],
)
def test_headers_of_weights_are_checked_when_a_package_is_loaded(tmp_path, change, words):
    from safetensors.numpy import save

    header, tensors = header_of(save(WEIGHTS))
    change(header)
    refused(repacked(tmp_path, with_header(header, tensors)), words)


@pytest.mark.parametrize("content", [b"", b"\xff" * 8, b"[" * 50_000, b"\xff\xfe", b"[]"])
def test_headers_that_are_none(tmp_path, content):
    whole = with_header(content, b"") if content not in (b"", b"\xff" * 8) else content
    refused(repacked(tmp_path, whole), "not a safetensors file")


@pytest.mark.parametrize("kind", [np.float16, np.float32])
@pytest.mark.parametrize("value", [np.nan, -np.nan, np.inf, -np.inf])
def test_weights_that_are_not_finite_are_never_used(tmp_path, kind, value):
    from safetensors.numpy import save

    weights = {name: array.astype(kind) for name, array in WEIGHTS.items()}
    weights["seg_outputs.0.bias"][3] = value
    package = ModelPackage.load(repacked(tmp_path, save(weights)))
    with pytest.raises(ModelError, match=r"'seg_outputs\.0\.bias' contains NaN or infinite values"):
        package.member(0)
    with pytest.raises(ModelError, match="NaN or infinite"), package.mapped_member(0):
        pass
    with pytest.raises(ModelError, match="NaN or infinite"):
        Segmenter.load(package.path, "cpu")


def test_all_finite_numbers_are_finite():
    every = np.arange(2**16, dtype=np.uint16).view(np.float16)
    assert [is_finite(every[i : i + 1]) for i in range(every.size)] == np.isfinite(every).tolist()
    assert is_finite(np.array([3.4e38, -3.4e38, 1e-45, 0.0], np.float32))


def test_a_package_that_could_not_be_read_is_not_written(tmp_path):
    spec = replace(SPEC, preparation=replace(SPEC.preparation, spacing=(1000.0, 1.0, 1.0)))
    with pytest.raises(ModelError, match=r"spacing.0. must be between"):
        save_package(spec, WEIGHTS, tmp_path / "p")
    assert list(tmp_path.iterdir()) == []
