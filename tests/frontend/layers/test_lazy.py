"""Lazy layers become ordinary ones at the first call, in eager mode and in a compiled function."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest

import tinytorch as tt
from tinytorch import nn
from tinytorch.frontend import lazy

INPUTS = {"Linear": (2, 5), "BatchNorm1d": (2, 5), "BatchNorm2d": (2, 5, 4, 4), "BatchNorm3d": (2, 5, 4, 4, 4)}


def network() -> Any:
    return nn.Sequential(
        nn.LazyConv2d(4, 3, bias=False), nn.LazyBatchNorm2d(), nn.ReLU(), nn.Flatten(), nn.LazyLinear(2)
    )


@pytest.mark.parametrize("name", lazy.__all__)
def test_each_becomes_the_layer_of_its_name(name: str) -> None:
    kind = name.removeprefix("Lazy")
    shape = INPUTS.get(kind, (2, 5, *(4,) * int(kind[-2])) if kind[-1] == "d" else ())
    layer = getattr(nn, name)(*(() if "Norm" in name else (3,) if name == "LazyLinear" else (3, 2)))
    result = layer(tt.ones(*shape))
    plain = getattr(nn, kind)(5, *(() if "Norm" in name else (3,) if name == "LazyLinear" else (3, 2)))
    assert type(layer) is type(plain) and result.shape == plain(tt.ones(*shape)).shape
    wanted = [(key, value.type) for key, value in plain.state_dict().items()]
    assert [(key, value.type) for key, value in layer.state_dict().items()] == wanted


def test_a_compiled_function_may_be_the_first_call() -> None:
    model = network().eval()
    model[4].register_forward_hook(lambda module, args, result: 100 + 0 * result)
    twin = copy.deepcopy(model)
    x = tt.randn(3, 2, 8, 8)
    compiled = tt.compile(model)
    result = compiled(x)
    assert result.tolist() == [[100, 100]] * 3
    assert type(model[4]) is nn.Linear and not model[1].training and model[0].bias is None
    assert isinstance(twin[4], nn.LazyLinear)
    assert [name for name, _ in twin.named_parameters()] == [name for name, _ in model.named_parameters()]


def test_training_begins_behind_the_first_call() -> None:
    model = network()
    with pytest.raises(tt.TinyTorchError, match="lazy layer has no parameters yet; call the model once"):
        tt.optim.SGD(model.parameters())
    x = tt.randn(3, 2, 8, 8)
    model(x)
    optimizer = tt.optim.SGD(model.parameters(), lr=0.1)
    before = model[4].weight.numpy().copy()
    model(x).sum().backward()
    optimizer.step()
    assert not np.array_equal(model[4].weight.numpy(), before)


def test_wrong_arguments_are_refused_at_once() -> None:
    with pytest.raises(TypeError, match="LazyLinear"):
        nn.LazyLinear()
    with pytest.raises(TypeError, match=r"unexpected keyword argument 'size'; its arguments are \(out_channels"):
        nn.LazyConv2d(3, size=2)
    with pytest.raises(tt.TinyTorchError, match="LazyLinear"):
        nn.LazyLinear(2)([1.0])
