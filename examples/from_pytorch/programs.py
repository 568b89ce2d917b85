"""The programs, with TinyTorch and, made from the same text, with PyTorch; and their losses."""

from __future__ import annotations

import re
import types
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

NAMES = (
    "mnist_cnn", "nanogpt", "cifar_resnet18", "vae", "dcgan", "char_lstm", "unet", "reinforce", "word_transformer",
    "super_resolution",
)  # fmt: skip
HERE = Path(__file__).parent
IMPORT = re.compile(r"^(import|from) tinytorch( as torch$)?", re.MULTILINE)
COMPILE = re.compile(r"^[ ]*@torch\.compile\n", re.MULTILINE)


def source(name: str, framework: str = "tinytorch") -> str:
    """The text of a program: for "torch", with that in the imports and nothing compiled."""
    text = (HERE / f"{name}.py").read_text()
    return text if framework == "tinytorch" else COMPILE.sub("", IMPORT.sub(r"\1 torch", text))


def load(name: str, framework: str = "tinytorch") -> Any:
    """The program as a module."""
    module = types.ModuleType(f"{name}_with_{framework}")
    code = compile(source(name, framework), str(HERE / f"{name}.py"), "exec")
    exec(code, module.__dict__)
    return module


def losses(program: Any, models: list[Any], size: dict[str, Any], steps: int, seed: int = 0) -> list[float]:
    """The losses of a few steps, on data and noise that `seed` draws; of each step the sum, if it gives several."""
    step = program.trainer(models, size)
    batches = program.batches(size, np.random.default_rng(seed))
    found: list[float] = []
    for batch in islice(batches, steps):
        loss = step(*map(program.torch.from_numpy, batch))
        found.append(sum(float(part.detach()) for part in (loss if isinstance(loss, tuple) else (loss,))))
    return found


def first_models(program: Any, size: dict[str, Any], seed: int = 0) -> list[Any]:
    program.torch.manual_seed(seed)
    return program.models(size)


def with_weights_of(models: list[Any], twins: list[Any], torch: Any) -> None:
    """Load the state dicts of the models into their twins in PyTorch."""
    for model, twin in zip(models, twins, strict=True):
        twin.load_state_dict({key: torch.tensor(value.numpy().copy()) for key, value in model.state_dict().items()})


def twin_losses(name: str, steps: int) -> list[float]:
    """The losses of a program in PyTorch, from the weights that it begins with here."""
    ours, theirs = load(name), load(name, "torch")
    theirs.torch.set_num_threads(1)  # more only wait for each other at these sizes
    twins = first_models(theirs, theirs.SMALL)
    with_weights_of(first_models(ours, ours.SMALL), twins, theirs.torch)
    return losses(theirs, twins, theirs.SMALL, steps)


def own_losses(name: str, steps: int) -> list[float]:
    """The losses of a program here."""
    program = load(name)
    return losses(program, first_models(program, program.SMALL), program.SMALL, steps)
