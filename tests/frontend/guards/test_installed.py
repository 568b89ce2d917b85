"""Installed packages that use tinytorch are the user's code; others are not."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import Any

import pytest

import tinytorch as tt
from tests.frontend.guards.cases import ones

MODELS = """
import tinytorch as tt
from {name}.settings import SETTINGS
SCALE = 2.0

class Model:
    def __init__(self):
        self.weight, self.power = tt.full((3,), 2.0), 1

    def forward(self, x):
        return x * self.weight ** self.power * SCALE + SETTINGS.shift

def forward(x):
    return x * SCALE + SETTINGS.shift
"""
SETTINGS = """
class Settings:
    shift = 0.0

SETTINGS = Settings()
"""
OTHER = """
class Counter:
    def __init__(self):
        self.counts = (i for i in range(10))
        self.factor = 3.0
"""


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Any:
    """A package of models, imported from a folder for installed packages."""
    name = f"{request.node.name}_package"
    folder = tmp_path / "site-packages" / name
    folder.mkdir(parents=True)
    for file, text in {"__init__": "", "models": MODELS, "settings": SETTINGS}.items():
        (folder / f"{file}.py").write_text(text.replace("{name}", name), encoding="utf-8")
    monkeypatch.syspath_prepend(folder.parent)
    yield importlib.import_module(f"{name}.models")
    for module in [module for module in sys.modules if module.startswith(name)]:
        del sys.modules[module]


def test_a_method_of_a_plain_class(installed: Any) -> None:
    model = installed.Model()
    compiled = tt.compile(model.forward)
    assert compiled(ones()).numpy()[0] == 4
    model.power = 2
    assert compiled(ones()).numpy()[0] == 8
    model.weight = tt.full((3,), 5.0)
    assert compiled(ones()).numpy()[0] == 50


def test_changes_are_seen(installed: Any) -> None:
    compiled = tt.compile(installed.forward)
    assert compiled(ones()).numpy()[0] == 2
    installed.SCALE = 7.0
    assert compiled(ones()).numpy()[0] == 7
    installed.SETTINGS.shift = 1.0
    assert compiled(ones()).numpy()[0] == 8
    type(installed.SETTINGS).shift, installed.SETTINGS = 2.0, type(installed.SETTINGS)()
    assert compiled(ones()).numpy()[0] == 9


def test_what_does_not_use_it_is_not_looked_into(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "site-packages").mkdir()
    (tmp_path / "site-packages" / "counting_elsewhere.py").write_text(OTHER, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path / "site-packages")
    counter = importlib.import_module("counting_elsewhere").Counter()
    with pytest.raises(tt.TinyTorchError, match=r"counting_elsewhere\.Counter.*cannot watch"):
        tt.compile(lambda x: x * counter.factor)(ones())
