"""Official STU-Net checkpoints become packages; what could run code is refused and not run."""

import os

import numpy as np
import pytest
import torch

import nnunet_folder as made
from LiverMRISegLib.anatomy import LIVER
from LiverMRISegLib.cli import main
from LiverMRISegLib.errors import ModelError
from LiverMRISegLib.models.importers.import_stunet import import_stunet
from LiverMRISegLib.models.package.model_package import ModelPackage
from LiverMRISegLib.networks import build_network

FIRST = "conv_blocks_context.0.0.conv1.weight"


@pytest.fixture(scope="module")
def state():
    torch.manual_seed(0)
    return build_network("stunet-s", in_channels=1, out_channels=105).state_dict()


def test_a_v1_checkpoint(tmp_path, state):
    extras = {"epoch": 4000, "best": np.float64(0.8), "plot": [np.float32(1.0)], "curve": np.arange(3.0)}
    document = {"state_dict": {f"module.{k}": v for k, v in state.items()}, **extras}
    torch.save(document, tmp_path / "small_ep4k.model")
    path = import_stunet(tmp_path / "small_ep4k.model", "stunet-small", tmp_path / "models")
    package = ModelPackage.load(path)
    package.verify()
    assert package.spec.network.name == "stunet-s"
    assert package.spec.labels[40] is LIVER
    assert package.spec.preparation.spacing == (1.5, 1.5, 1.5)
    network = build_network(package.spec.network.name, **dict(package.spec.network.kwargs))
    network.load_state_dict({k: torch.from_numpy(v) for k, v in package.weights.items()})
    assert torch.equal(network.state_dict()["seg_outputs.4.bias"], state["seg_outputs.4.bias"])


def test_a_v2_checkpoint(tmp_path, state):
    torch.save({"network_weights": state}, tmp_path / "x.pth")
    assert ModelPackage.load(import_stunet(tmp_path / "x.pth", "x", tmp_path)).spec.name == "x"


class Trap:
    def __init__(self, path):
        self.path = str(path)

    def __reduce__(self):
        return os.mkdir, (self.path,)


def test_code_is_not_run(tmp_path, state):
    torch.save({"state_dict": state, "more": Trap(tmp_path / "sprung")}, tmp_path / "evil.model")
    with pytest.raises(ModelError, match=r"evil\.model: contains more than tensors"):
        import_stunet(tmp_path / "evil.model", "x", tmp_path)
    assert not (tmp_path / "sprung").exists()
    assert not (tmp_path / "x").exists()


def test_what_is_no_such_checkpoint(tmp_path, state):
    with pytest.raises(ModelError, match=r"ends with \.model"):
        import_stunet(tmp_path / "a.pt", "x", tmp_path)
    with pytest.raises(ModelError, match="no such file"):
        import_stunet(tmp_path / "a.pth", "x", tmp_path)
    (tmp_path / "b.pth").write_text("text")
    with pytest.raises(ModelError, match=r"b\.pth"):
        import_stunet(tmp_path / "b.pth", "x", tmp_path)
    torch.save({"weights": state}, tmp_path / "c.pth")
    with pytest.raises(ModelError, match="contains no 'network_weights'"):
        import_stunet(tmp_path / "c.pth", "x", tmp_path)
    fewer = {k: (v[:3] if k.startswith("seg_outputs") else v) for k, v in state.items()}
    torch.save({"network_weights": fewer}, tmp_path / "d.pth")
    with pytest.raises(ModelError, match="has 3 classes"):
        import_stunet(tmp_path / "d.pth", "x", tmp_path)
    partial = {k: v for k, v in state.items() if not k.startswith("upsample_layers.2")}
    torch.save({"network_weights": partial}, tmp_path / "e.pth")
    with pytest.raises(ModelError, match=r"upsample_layers\.2\.conv\.\w+' of stunet-s is missing"):
        import_stunet(tmp_path / "e.pth", "x", tmp_path)


ODD = {
    "a list": [1, 2], "a number": 3, "nothing": {}, "a name that is a number": {3: torch.zeros(1)},
    "text for a tensor": {FIRST: "weights"}, "none": {FIRST: None}, "no dimension": {FIRST: torch.tensor(1.0)},
    "a complex one": {FIRST: torch.zeros(8, 1, 3, 3, 3, dtype=torch.complex64)},
    "a sparse one": {FIRST: torch.zeros(8, 8).to_sparse()},
    "not finite": {FIRST: torch.full((8, 1, 3, 3, 3), torch.nan)},
    "one stage": {FIRST: torch.zeros(8, 1, 3, 3, 3), "seg_outputs.4.weight": torch.zeros(105, 8, 1, 1, 1)},
    "nested": {FIRST: {"more": {"more": {}}}},
}  # fmt: skip


@pytest.mark.parametrize("what", ODD)
@pytest.mark.parametrize("kind", ["stunet", "sam-med3d", "nnunet"])
def test_odd_dictionaries_are_refused_in_one_line(tmp_path, monkeypatch, capsys, kind, what):
    monkeypatch.setenv("LIVERMRISEG_MODELS", str(tmp_path / "models"))
    source, odd = tmp_path / "x.pth", ODD[what]
    if kind == "sam-med3d":
        odd = {f"image_encoder.{name}": tensor for name, tensor in odd.items()} if isinstance(odd, dict) else odd
        torch.save({"model_state_dict": odd}, source)
    elif kind == "stunet":
        torch.save({"network_weights": odd}, source)
    else:
        source = tmp_path / "Trainer__plans__3d_fullres"
        design = made.Design("PlainConvUNet", [4, 8, 8])
        plans = made.plans({"3d_fullres": made.configuration(design, [4.0, 2.0, 2.0], [8, 16, 16])})
        source = made.write_folder(source, plans, made.dataset({"liver": 1}), {"fold_0": made.checkpoint({})})
        torch.save({"network_weights": odd}, source / "fold_0" / "checkpoint_final.pth")
    assert main(["models", "import", kind, str(source), "new"]) == ModelError.exit_status
    message = capsys.readouterr().err
    assert message.count("\n") == 1
    assert "unexpected" not in message
    assert not (tmp_path / "models" / "new").exists()
