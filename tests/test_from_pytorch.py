"""The ten programs: their losses are PyTorch's, which are recorded here, from equal weights, data and noise."""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from examples.from_pytorch import data, programs

STEPS = 3
LOSSES: dict[str, list[float]] = {
    "mnist_cnn": [2.324139, 2.072421, 4.684729],
    "nanogpt": [4.860903, 4.838396, 4.806804],
    "cifar_resnet18": [2.37846, 2.424516, 2.227552],
    "vae": [548.9675, 553.8798, 551.0289],
    "dcgan": [2.161294, 2.200137, 2.110271],
    "char_lstm": [4.84693, 4.801668, 4.800387],
    "unet": [1.323518, 1.325277, 1.354636],
    "reinforce": [-0.1945302, -0.1638885, -0.3660307],
    "word_transformer": [3.030318, 2.980426, 2.911508],
    "super_resolution": [0.3627959, 0.3548294, 0.3595474],
}


@pytest.fixture(autouse=True)
def made_up_data(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The losses are those of data that is there everywhere."""
    monkeypatch.delenv("TINYTORCH_DATA", raising=False)
    for cached in (data._stored, data.text, data.words):  # pyright: ignore[reportPrivateUsage]
        cached.cache_clear()


@pytest.mark.parametrize("name", programs.NAMES)
def test_losses_are_those_of_pytorch(name: str) -> None:
    np.testing.assert_allclose(programs.own_losses(name, STEPS), LOSSES[name], rtol=1e-4)


@pytest.mark.parametrize("name", programs.NAMES)
def test_pytorch_gives_the_recorded_losses(name: str) -> None:
    pytest.importorskip("torch")
    np.testing.assert_allclose(programs.twin_losses(name, STEPS), LOSSES[name], rtol=1e-4)


@pytest.mark.parametrize("name", programs.NAMES)
def test_a_program_differs_from_its_twin_in_imports_and_compile_alone(name: str) -> None:
    lines = (programs.source(name, framework).splitlines() for framework in ("tinytorch", "torch"))
    changed = [line for line in difflib.ndiff(*lines) if line[0] in "+-"]
    kinds = ("import tinytorch", "from tinytorch", "import torch", "from torch", "@torch.compile")
    assert changed and all(line[2:].strip().startswith(kinds) for line in changed)
    assert any("@torch.compile" in line for line in changed)


@pytest.mark.parametrize("name", ["cifar_resnet18", "nanogpt"])
def test_weights_go_both_ways_as_safetensors(name: str, tmp_path: Path) -> None:
    """Under the names and in the layouts of PyTorch, without a conversion."""
    pytest.importorskip("torch")
    from safetensors.torch import load_file, save_file

    ours, theirs = programs.load(name), programs.load(name, "torch")
    (model,), (twin,) = (programs.first_models(p, p.SMALL, seed) for p, seed in ((ours, 0), (theirs, 1)))
    batch = next(iter(ours.batches(ours.SMALL, np.random.default_rng(0))))
    steps = [p.trainer([m], p.SMALL) for p, m in ((ours, model), (theirs, twin))]
    twin.load_state_dict({key: theirs.torch.tensor(value.numpy()) for key, value in model.state_dict().items()})
    steps[1](*map(theirs.torch.from_numpy, batch))  # so that running statistics have moved
    save_file({key: value.clone() for key, value in twin.state_dict().items()}, tmp_path / "theirs.safetensors")
    model.load_state_dict(ours.torch.load(tmp_path / "theirs.safetensors"))
    for key, value in twin.state_dict().items():
        np.testing.assert_array_equal(model.state_dict()[key].numpy(), value.numpy())
    steps[0](*map(ours.torch.from_numpy, batch))
    ours.torch.save(model.state_dict(), tmp_path / "ours.safetensors")
    twin.load_state_dict(load_file(tmp_path / "ours.safetensors"), strict=True)
    for key, value in model.state_dict().items():
        np.testing.assert_array_equal(twin.state_dict()[key].numpy(), value.numpy())
