"""State dicts, and files that they are saved in and loaded from."""

from __future__ import annotations

import io
import math

import numpy as np
import pytest

import tinytorch as tt
from tests.frontend.layers.networks import Net
from tinytorch.frontend import functional as F
from tinytorch.frontend.functions import random
from tinytorch.frontend.layers.layers import Linear
from tinytorch.frontend.module.containers import Sequential
from tinytorch.frontend.module.weights import load_safetensors, save_safetensors
from tinytorch.frontend.tensor import Tensor
from tinytorch.ir.errors import TinyTorchError
from tinytorch.ir.types import DTYPES


@pytest.fixture(autouse=True)
def seeded():
    random.manual_seed(7)


# State and files.
def test_state_dict_round_trip():
    a, b = Net(), Net()
    assert b.load_state_dict(a.state_dict()) == ([], [])
    np.testing.assert_array_equal(a(F.ones(1, 2)).numpy(), b(F.ones(1, 2)).numpy())
    b.load_state_dict({name: t.numpy() for name, t in Net().state_dict().items()})
    b.scale.data[:] = 5
    assert b.state_dict()["scale"].tolist() == [5.0, 5.0] and not b.state_dict()["scale"].requires_grad


def test_state_that_does_not_fit_changes_nothing():
    net = Net()
    before = {name: t.numpy().copy() for name, t in net.state_dict().items()}
    state = {name: np.full_like(array, 7) for name, array in before.items()}
    state["layers.0.bias"] = np.zeros(9, np.float32)
    state["extra"] = np.zeros(1)
    del state["mean"]
    with pytest.raises(TinyTorchError) as error:
        net.load_state_dict(state)
    for part in ("missing: mean f32[2]", "unexpected: extra", "layers.0.bias: the module has [3], the state [9]"):
        assert part in str(error.value)
    with pytest.raises(TinyTorchError, match=r"layers.0.bias"):
        net.load_state_dict(state, strict=False)
    for name, tensor in net.state_dict().items():
        np.testing.assert_array_equal(tensor.numpy(), before[name])
    del state["layers.0.bias"]
    assert net.load_state_dict(state, strict=False) == (["mean", "layers.0.bias"], ["extra"])
    assert net.scale.tolist() == [7.0, 7.0]


def test_safetensors_round_trip_for_all_dtypes(tmp_path):
    state = {n: Tensor([[0, 1], [2, 3]], dtype=n) for n in DTYPES}
    state |= {"scalar": Tensor(3.0), "empty": F.zeros(0, 3), "view": Tensor(np.arange(6.0).reshape(2, 3).T)}
    path = tmp_path / "all.safetensors"
    save_safetensors(state, path)
    loaded = load_safetensors(path)
    assert set(loaded) == set(state)
    for name, tensor in state.items():
        assert loaded[name].type == tensor.type
        np.testing.assert_array_equal(loaded[name].numpy(), tensor.numpy())
    loaded["f32"].zero_()  # loaded tensors can be written to


def test_torch_reads_our_files(tmp_path):
    pytest.importorskip("torch")
    safetensors = pytest.importorskip("safetensors.torch")
    net = Linear(3, 2)
    net.save(tmp_path / "m.safetensors")
    loaded = safetensors.load_file(tmp_path / "m.safetensors")
    np.testing.assert_array_equal(loaded["weight"].numpy(), net.weight.numpy())


def test_save_and_load(tmp_path):
    a, b = Net(), Net()
    a.save(tmp_path / "net.safetensors")
    b.load(tmp_path / "net.safetensors")
    np.testing.assert_array_equal(a(F.ones(1, 2)).numpy(), b(F.ones(1, 2)).numpy())
    assert [p.name for p in tmp_path.iterdir()] == ["net.safetensors"]


@pytest.mark.parametrize("damage", [lambda b: b[:-1], lambda b: b[:20], lambda b: b"", lambda b: b"\xff" * 64])
def test_a_damaged_file_is_an_error_and_changes_nothing(tmp_path, damage):
    net, path = Net(), tmp_path / "net.safetensors"
    Net().save(path)
    path.write_bytes(damage(path.read_bytes()))
    before = {name: t.numpy().copy() for name, t in net.state_dict().items()}
    with pytest.raises(TinyTorchError, match="not a whole safetensors file"):
        net.load(path)
    for name, tensor in net.state_dict().items():
        np.testing.assert_array_equal(tensor.numpy(), before[name])


def test_files_that_cannot_be_read_or_written(tmp_path, monkeypatch):
    with pytest.raises(TinyTorchError, match="cannot read"):
        load_safetensors(tmp_path / "none.safetensors")
    with pytest.raises(TinyTorchError, match="cannot write"):
        save_safetensors({}, tmp_path / "no" / "folder.safetensors")
    path = tmp_path / "kept.safetensors"
    save_safetensors({"a": Tensor([1.0])}, path)
    monkeypatch.setattr("os.replace", lambda *_: (_ for _ in ()).throw(OSError("disk full")))
    with pytest.raises(TinyTorchError, match="disk full"):
        save_safetensors({"a": Tensor([2.0])}, path)
    assert load_safetensors(path)["a"].tolist() == [1.0] and len(list(tmp_path.iterdir())) == 1


# Saving.
def test_nested_state_comes_back_as_it_was(tmp_path):
    state = {
        "model": {"w": Tensor([[1.0, 2.0]]), "n": Tensor(3)}, "epoch": 4, "rate": [0.5, math.inf, None, True, "name"],
        "pair": (Tensor([1]), "x"), 7: np.arange(3), "dtype": DTYPES["bf16"],
    }  # fmt: skip
    for target in (tmp_path / "a.tt", io.BytesIO()):
        tt.save(state, target)
        if isinstance(target, io.BytesIO):
            target.seek(0)
        back = tt.load(target)
        assert back["model"]["w"].tolist() == [[1, 2]] and back["model"]["n"].item() == 3 and back["epoch"] == 4
        assert back["rate"] == state["rate"] and isinstance(back["pair"], tuple) and back["pair"][0].tolist() == [1]
        assert back[7].tolist() == [0, 1, 2] and back["dtype"] is DTYPES["bf16"]


def test_a_state_dict_is_a_plain_safetensors_file(tmp_path):
    model = Sequential(Linear(2, 3))
    tt.save(model.state_dict(), tmp_path / "m.safetensors")
    assert load_safetensors(tmp_path / "m.safetensors")["0.weight"].tolist() == model[0].weight.tolist()
    assert list(tt.load(tmp_path / "m.safetensors")) == ["0.weight", "0.bias"]
    tt.save(Tensor([1.0]), tmp_path / "t")
    assert tt.load(tmp_path / "t", map_location="cpu").tolist() == [1.0]


def test_what_cannot_be_saved_or_loaded_says_why(tmp_path):
    with pytest.raises(TinyTorchError, match=r"save its state_dict\(\)"):
        tt.save(Linear(1, 1), tmp_path / "x")
    with pytest.raises(TinyTorchError, match=r"\['a'\]\[1\] is a set"):
        tt.save({"a": [1, {2}]}, tmp_path / "x")
    assert not (tmp_path / "x").exists()
    (tmp_path / "z").write_bytes(b"PK\x03\x04 and more than that")
    with pytest.raises(TinyTorchError, match="as PyTorch writes"):
        tt.load(tmp_path / "z")
