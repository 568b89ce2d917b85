"""Parameters that modules of the user's compute, one after the other, in eager mode and compiled."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import tinytorch as tt
from tinytorch import nn
from tinytorch.nn.utils import parametrize

W = np.arange(9, dtype=np.float32).reshape(3, 3)


class Symmetric(nn.Module):
    def forward(self, x: Any) -> Any:
        return x.triu() + x.triu(1).mT

    def right_inverse(self, x: Any) -> Any:
        return x.triu()


class Doubled(nn.Module):
    def forward(self, x: Any) -> Any:
        return 2 * x


class Short(nn.Module):
    def forward(self, x: Any) -> Any:
        return x[:1]


def linear() -> Any:
    layer = nn.Linear(3, 3, bias=False)
    layer.load_state_dict({"weight": W})
    return layer


def test_parametrizations_follow_each_other_and_the_parameter_stays_the_same_object() -> None:
    layer = linear()
    weight = layer.weight
    call = tt.compile(layer)
    x = tt.eye(3)
    np.testing.assert_array_equal(call(x).numpy(), W.T)
    parametrize.register_parametrization(layer, "weight", Symmetric())
    symmetric = np.triu(W) + np.triu(W, 1).T
    np.testing.assert_array_equal(call(x).numpy(), symmetric)
    parametrize.register_parametrization(layer, "weight", Doubled())
    np.testing.assert_array_equal(call(x).numpy(), 2 * symmetric)
    assert layer.parameters() == [weight]
    assert parametrize.is_parametrized(layer, "weight") and not parametrize.is_parametrized(layer, "bias")
    with pytest.raises(AttributeError, match="right_inverse"):
        layer.weight = tt.zeros(3, 3)
    parametrize.remove_parametrizations(layer, "weight")
    assert layer.weight is weight and not parametrize.is_parametrized(layer)
    np.testing.assert_array_equal(call(x).numpy(), 2 * symmetric)


def test_without_its_parametrization_a_parameter_has_the_value_it_was_computed_of() -> None:
    layer = parametrize.register_parametrization(linear(), "weight", Symmetric())
    layer.weight = tt.tensor(W + W.T)
    parametrize.remove_parametrizations(layer, "weight", leave_parametrized=False)
    np.testing.assert_array_equal(layer.weight.numpy(), np.triu(W + W.T))


def test_a_change_of_shape_is_refused_unless_it_is_meant() -> None:
    with pytest.raises(tt.ShapeError, match=r"weight is f32\[3,3\], would be f32\[1,3\]"):
        parametrize.register_parametrization(linear(), "weight", Short())
    layer = parametrize.register_parametrization(linear(), "weight", Short(), unsafe=True)
    assert layer(tt.ones(2, 3)).shape == (2, 1)
    with pytest.raises(ValueError, match="parametrizations"):
        parametrize.remove_parametrizations(linear(), "weight")


def test_properties_that_fail_say_why() -> None:
    class Broken(nn.Module):
        @property
        def share(self) -> Any:
            return self.get_parameter("missing")

    with pytest.raises(AttributeError, match="Broken has no parameter 'missing'"):
        _ = Broken().share
