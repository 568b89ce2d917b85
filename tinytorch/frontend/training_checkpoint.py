"""Checkpoints: one safetensors file with the tensors of a run, and everything else of it as JSON in a tensor of bytes.

One file, because two could be of different moments: it is written beside its place and takes it in one step.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from os import PathLike
from typing import Any

import numpy as np

from tinytorch.frontend.module import Module
from tinytorch.frontend.optimizers import Optimizer
from tinytorch.frontend.random import Generator, default_generator
from tinytorch.frontend.tensor import Tensor
from tinytorch.frontend.tracked import attributes_of
from tinytorch.frontend.weights import load_safetensors, save_safetensors
from tinytorch.ir.errors import TinyTorchError
from tinytorch.ir.loc import user_loc
from tinytorch.ir.op import Array

FORMAT = 1  # raise it when a checkpoint's content changes
_STATE = "trainer.json"


@dataclass(frozen=True)
class Checkpoint:
    """Arrays by name, and what JSON can hold."""

    arrays: dict[str, Array]
    state: dict[str, Any]

    def save(self, path: str | PathLike[str]) -> None:
        """Write the file; TinyTorchError if it cannot be written, and what was there before stays."""
        text = json.dumps({"format": FORMAT, **self.state}, default=float).encode()
        save_safetensors({**self.arrays, _STATE: np.frombuffer(text, np.uint8)}, path)

    @staticmethod
    def load(path: str | PathLike[str]) -> Checkpoint:
        """Read the file; TinyTorchError if it is missing, damaged or no checkpoint."""
        arrays = {name: tensor.numpy() for name, tensor in load_safetensors(path).items()}
        if _STATE not in arrays:
            raise TinyTorchError(f"{path} holds tensors, but is no checkpoint of a Trainer", user_loc())
        state = json.loads(arrays.pop(_STATE).tobytes())
        if state.pop("format") != FORMAT:
            raise TinyTorchError(f"{path} is a checkpoint of another version of TinyTorch", user_loc())
        return Checkpoint(arrays, state)

    def part(self, prefix: str) -> dict[str, Array]:
        """The arrays under `prefix.`, without it."""
        start = f"{prefix}."
        return {name.removeprefix(start): array for name, array in self.arrays.items() if name.startswith(start)}


def under(prefix: str, tensors: Mapping[str, Any]) -> dict[str, Array]:
    """Copies of tensors or arrays, with `prefix.` before their names."""
    return {f"{prefix}.{name}": np.array(value) for name, value in tensors.items()}


def optimizer_arrays(optimizer: Optimizer) -> dict[str, Tensor]:
    """The tensors of an optimizer's state, as `number.name`."""
    return {f"{i}.{name}": t for i, state in optimizer.state_dict()["state"].items() for name, t in state.items()}


def load_optimizer(optimizer: Optimizer, arrays: Mapping[str, Array], groups: list[dict[str, Any]]) -> None:
    """The inverse; TinyTorchError if it does not fit, and nothing has been changed."""
    state: dict[int, dict[str, Tensor]] = {}
    for key, array in arrays.items():
        number, name = key.split(".", 1)
        state.setdefault(int(number), {})[name] = Tensor.wrap(array)
    # JSON knows no tuples, and a list in place of one would be a changed setting to a compiled step.
    tuples = [{k: tuple(v) if isinstance(v, list) and k != "params" else v for k, v in g.items()} for g in groups]
    optimizer.load_state_dict({"state": state, "param_groups": tuples})


def generators_of(model: Module) -> dict[str, Generator]:
    """The default generator, and those that modules of `model` keep, each once."""
    found = {"default": default_generator}
    for path, module in model.named_modules():
        for name, value in attributes_of(module).items():
            if isinstance(value, Generator) and all(value is not known for known in found.values()):
                found[f"model.{path}.{name}"] = value
    return found


def load_generators(generators: Mapping[str, Generator], arrays: Mapping[str, Array]) -> None:
    """Set every generator to its saved state."""
    if generators.keys() != arrays.keys():
        raise TinyTorchError(
            f"the checkpoint has random generators {sorted(arrays)}, the model {sorted(generators)}", user_loc()
        )
    for name, generator in generators.items():
        generator.set_state(arrays[name])
