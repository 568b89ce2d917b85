"""The names that users see: each file lists its own, and the package and `functional` gather them."""

from __future__ import annotations

import inspect
from types import ModuleType

import pytest

import tinytorch as tt
from tinytorch.frontend import (
    activations,
    attention,
    creation,
    einsum,
    embeddings,
    functional,
    layer_functions,
    layers,
    loss_functions,
    losses,
    norms,
    spatial,
    tensor_functions,
    transformers,
)
from tinytorch.frontend.attention import functions as attention_functions
from tinytorch.frontend.spatial import functions, pooling

FUNCTIONS = [
    activations, attention_functions, creation, einsum, layer_functions, loss_functions, norms, functions, pooling,
    tensor_functions,
]  # fmt: skip
LAYERS = [layers, losses, spatial, embeddings, attention, transformers]
INSIDE = {  # for other files of the frontend
    "Activation", "attention_at", "band", "class_ignored", "check_padding", "padding_row", "paddings", "side_by_side",
}  # fmt: skip


@pytest.mark.parametrize("module", [*FUNCTIONS[:-1], layers, losses], ids=lambda module: module.__name__)
def test_what_a_file_defines_is_listed(module: ModuleType) -> None:
    defined = {
        name
        for name, value in vars(module).items()
        if (inspect.isfunction(value) or inspect.isclass(value)) and value.__module__ == module.__name__
    }
    assert {name for name in defined if not name.startswith("_")} - INSIDE <= set(module.__all__)


def test_functional_gathers_the_lists_and_a_name_means_one_thing() -> None:
    listed = [name for module in FUNCTIONS for name in module.__all__]
    assert functional.__all__ == listed and len(set(listed)) == len(listed)
    for module in FUNCTIONS:
        assert all(getattr(functional, name) is getattr(module, name) for name in module.__all__)


@pytest.mark.parametrize("module", [functional, *LAYERS], ids=lambda module: module.__name__)
def test_the_package_has_what_is_listed(module: ModuleType) -> None:
    assert set(module.__all__) <= set(tt.__all__)
    assert all(getattr(tt, name) is getattr(module, name) for name in module.__all__)


def test_all_names_of_the_package_are_there() -> None:
    assert all(hasattr(tt, name) for name in tt.__all__)
    assert not {name for name in tt.__all__ if name.startswith("_")}
