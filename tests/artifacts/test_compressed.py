"""Quantized and pruned models, and models of 16-bit floats, in files and as objects: the same bits as compiled."""

from __future__ import annotations

import numpy as np
import pytest

import tinytorch as tt
from tests.artifacts.objects import Linked
from tinytorch import nn


def mlp():
    return nn.Sequential(nn.Linear(24, 48), nn.ReLU(), nn.Linear(48, 32), nn.ReLU(), nn.Linear(32, 5)).eval()


def cnn():
    return nn.Sequential(
        nn.Conv2d(2, 6, 3, padding=1), nn.BatchNorm2d(6), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(96, 4)
    ).eval()


def pruned(model):
    tt.magnitude_prune(model, 0.8)
    return model


CASES = {
    "dynamic int8": (lambda: tt.quantize(mlp()), (7, 24)),
    "static int8": (lambda: tt.quantize(cnn(), tt.randn(32, 2, 8, 8)), (3, 2, 8, 8)),
    "int4": (lambda: tt.quantize(mlp(), weight_only="int4"), (2, 24)),
    "pruned": (lambda: pruned(mlp()), (5, 24)),
    "bf16": (lambda: mlp().to(tt.bf16), (5, 24)),
}


@pytest.mark.parametrize("case", CASES)
def test_compressed_models_give_the_same_bits(case, tmp_path):
    tt.manual_seed(6)
    make, shape = CASES[case]
    model = make()
    compiled = tt.compile(model, freeze=True)
    x = tt.randn(*shape).to(tt.bf16 if case == "bf16" else tt.f32)
    with tt.no_grad():
        wanted = compiled(x).numpy()
        tt.save(compiled, tmp_path / "model.tt")
        loaded = tt.load(tmp_path / "model.tt")
        assert loaded(x).numpy().tobytes() == wanted.tobytes()
        loaded.export(tmp_path / "model.o")
    linked, out = Linked(tmp_path / "model.o"), np.zeros_like(wanted)
    assert linked.run(x.numpy(), out) == 0 and out.tobytes() == wanted.tobytes()
